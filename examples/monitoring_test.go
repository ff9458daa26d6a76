package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// promtool finds the program or skips the test; in CI, where it must be, it fails instead.
func promtool(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("promtool is not on PATH, and CI must check the alerts (Debian package prometheus)")
		}
		t.Skip("SKIPPED: promtool is not on PATH (Debian package prometheus, brew install prometheus)")
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = "monitoring"
	return cmd
}

func TestMonitoring_Promtool(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"rules are valid":         {"check", "rules", "--lint=all", "--lint-fatal", "alerts.yml"},
		"configuration is valid":  {"check", "config", "prometheus.yml"},
		"alerts fire when needed": {"test", "rules", "alerts_test.yml", "alerts_week_test.yml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if out, err := promtool(t, args...).CombinedOutput(); err != nil {
				t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
			}
		})
	}
}

var (
	alertDefined = regexp.MustCompile(`(?m)^ +- alert: (\w+)$`)
	alertQuiet   = regexp.MustCompile(`(?m)^ +- \{ eval_time: \w+, alertname: (\w+) \}`)
	alertFires   = regexp.MustCompile(`(?m)^ +alertname: (\w+)\n +exp_alerts:\n +- exp_labels`)
)

// TestMonitoring_EachAlertTestedBothWays: an alert without a test that sees it fire, or one that sees it keep quiet, is a guess.
func TestMonitoring_EachAlertTestedBothWays(t *testing.T) {
	t.Parallel()
	alerts := names(t, "alerts.yml", alertDefined)
	if len(alerts) < 6 {
		t.Fatalf("found %d alerts: %v", len(alerts), alerts)
	}
	var fires, quiet []string
	for _, file := range []string{"alerts_test.yml", "alerts_week_test.yml"} {
		fires = append(fires, names(t, file, alertFires)...)
		quiet = append(quiet, names(t, file, alertQuiet)...)
	}
	for _, alert := range alerts {
		if !slices.Contains(fires, alert) {
			t.Errorf("no unit test sees %s fire", alert)
		}
		if !slices.Contains(quiet, alert) {
			t.Errorf("no unit test sees %s keep quiet", alert)
		}
	}
}

func names(t *testing.T, file string, pattern *regexp.Regexp) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("monitoring", file))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range pattern.FindAllSubmatch(text, -1) {
		found = append(found, string(m[1]))
	}
	return found
}
