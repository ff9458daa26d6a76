package cli

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func versionCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "version", Short: "which build this is", Example: "  workflow version --format json", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := buildVersion()
			s.emit(v, func(o *output) {
				o.printf("workflow %s", v.Version)
				if v.Revision != "" {
					o.printf(" (%s, %s)", v.Revision, v.Time)
				}
				o.printf(" %s %s\n", v.Go, v.Platform)
			})
			return nil
		},
	}
}

type version struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// buildVersion is what the Go toolchain wrote into the binary.
func buildVersion() version {
	v := version{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, set := range info.Settings {
		switch set.Key {
		case "vcs.revision":
			v.Revision = set.Value[:min(12, len(set.Value))]
		case "vcs.time":
			v.Time = set.Value
		case "vcs.modified":
			v.Modified = set.Value == "true"
		}
	}
	return v
}
