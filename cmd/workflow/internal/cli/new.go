package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore/spelling"
	"github.com/crm-workflow/crm-workflow/examples"
)

func newCommand(s *session) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "new [TEMPLATE] [--out FILE]", Short: "begin a workflow file from a template; without one, list the templates",
		Long: "new writes a workflow file that is ready to be changed: to the terminal, or with --out to a new file. It needs no store, and\n" +
			"never replaces a file.",
		Example: "  workflow new\n  workflow new stale-leads --out stale.yaml",
		Args:    args(0, 1, "the name of a template"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			all, _ := templates()
			names := make([]string, len(all))
			for i, t := range all {
				names[i] = t.Name
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, words []string) error {
			all, err := templates()
			switch {
			case err != nil:
				return err
			case len(words) == 0 && out != "":
				return usagef("see: workflow new", "--out wants the name of a template before it")
			case len(words) == 0:
				emitTemplates(s, all)
				return nil
			}
			return writeTemplate(cmd.Context(), s, all, words[0], out)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "write it to this file, which must not be there yet")
	return cmd
}

// template is a workflow file to begin with.
type template struct {
	Name  string `json:"template"`
	About string `json:"about"` // its description
	text  []byte
}

// templates are the shipped examples.
func templates() ([]template, error) {
	names, err := fs.Glob(examples.Files, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	all := make([]template, 0, len(names))
	for _, name := range names {
		text, err := examples.Files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read template %s: %w", name, err)
		}
		_, about, _ := strings.Cut(string(text), "\ndescription: ")
		about, _, _ = strings.Cut(about, "\n")
		all = append(all, template{strings.TrimSuffix(name, ".yaml"), about, text})
	}
	return all, nil
}

func emitTemplates(s *session, all []template) {
	s.emit(map[string][]template{"templates": all}, func(o *output) {
		tb := &table{columns: []column{{head: "template"}, {head: "what it does", flex: true}}}
		for _, t := range all {
			tb.add(ink(bold, t.Name), txt(t.About))
		}
		o.table(tb, 0)
		o.printf("\nbegin with one: workflow new %s --out my-workflow.yaml\n", all[0].Name)
	})
}

func writeTemplate(ctx context.Context, s *session, all []template, name, out string) error {
	var names []string
	for _, t := range all {
		if t.Name != name {
			names = append(names, t.Name)
			continue
		}
		if out == "" {
			s.out.printf("%s", t.text)
			return nil
		}
		if _, err := os.Lstat(out); err == nil {
			return failedf("choose another name, or remove it first", "%s is there already", out)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return failedf("", "write %s: %v", out, err)
		}
		err := writeFile(ctx, out, func(f io.Writer) error {
			_, err := f.Write(t.text)
			return err
		})
		if err != nil {
			return failedf("", "write %s: %v", out, err)
		}
		s.emit(map[string]string{"template": t.Name, "file": out}, func(o *output) {
			o.printf("%s %s\nchange it, and then: workflow validate %s\nsee whom it would delete: workflow review %s\n", o.paint(green, "written:"), clean(out), clean(out), clean(out))
		})
		return nil
	}
	help := "see them all: workflow new"
	if near := spelling.Nearest(name, names); near != "" {
		help = "did you mean: workflow new " + near
	}
	return usagef(help, "there is no template %q", name)
}
