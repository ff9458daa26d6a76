package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/crm-workflow/crm-workflow/workflow"
)

// This file holds examples/monitoring to the metrics that the daemon has: their names, and the labels that are asked for.

var (
	metricName = regexp.MustCompile(`\b(?:workflow|crmstore)_[a-z_]+\b`)
	descName   = regexp.MustCompile(`fqName: "([^"]+)"`)
	descLabels = regexp.MustCompile(`variableLabels: \{([^}]*)\}`)
	// A metric with its matchers, and the label names before their = or =~.
	selector = regexp.MustCompile(`\b((?:workflow|crmstore)_[a-z_]+)\{([^}]*)\}`)
	grouping = regexp.MustCompile(`\b(?:by|on) \(([^)]*)\)`)
	matcher  = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
)

// madeByScraping are labels that Prometheus itself adds.
var madeByScraping = []string{"job", "instance"}

// registered is the labels of each metric, by name; a histogram counts by the names of its series.
func registered(t *testing.T) map[string][]string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	workflow.NewMetrics(registry)
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		registry.Describe(descs)
	}()
	metrics := map[string][]string{}
	for d := range descs {
		name, labels := descName.FindStringSubmatch(d.String()), descLabels.FindStringSubmatch(d.String())
		if name == nil || labels == nil {
			t.Fatalf("cannot read %s", d)
		}
		list := strings.Split(labels[1], ",")
		metrics[name[1]] = list
		if strings.HasSuffix(name[1], "_duration_seconds") {
			metrics[name[1]+"_bucket"] = append([]string{"le"}, list...)
			metrics[name[1]+"_count"], metrics[name[1]+"_sum"] = list, list
		}
	}
	if len(metrics) < 10 {
		t.Fatalf("found %d metrics: the way to list them is broken", len(metrics))
	}
	return metrics
}

func TestMonitoring_UsesOnlyMetricsThatExist(t *testing.T) {
	t.Parallel()
	metrics := registered(t)
	expressions := map[string][]string{
		"alerts.yml":     alertExpressions(t),
		"dashboard.json": dashboardExpressions(t),
	}
	used := map[string]bool{}
	for file, list := range expressions {
		for _, e := range list {
			labels := slices.Clone(madeByScraping)
			for _, name := range metricName.FindAllString(e, -1) {
				used[name] = true
				labels = append(labels, metrics[name]...)
				if _, is := metrics[name]; !is {
					t.Errorf("%s: no metric %s, in %s", file, name, e)
				}
			}
			for _, m := range grouping.FindAllStringSubmatch(e, -1) {
				for label := range strings.SplitSeq(m[1], ",") {
					if !slices.Contains(labels, strings.TrimSpace(label)) {
						t.Errorf("%s: no metric has label %s, in %s", file, label, e)
					}
				}
			}
			for _, m := range selector.FindAllStringSubmatch(e, -1) {
				for _, label := range matcher.FindAllStringSubmatch(m[2], -1) {
					if !slices.Contains(metrics[m[1]], label[1]) && !slices.Contains(madeByScraping, label[1]) {
						t.Errorf("%s: %s has no label %s, in %s", file, m[1], label[1], e)
					}
				}
			}
		}
	}
	for name := range metrics {
		part := strings.HasSuffix(name, "_bucket") || strings.HasSuffix(name, "_count") || strings.HasSuffix(name, "_sum")
		if !part && !used[name] && !used[name+"_bucket"] {
			t.Errorf("metric %s answers no question: neither an alert nor the dashboard uses it", name)
		}
	}
}

// alertExpressions are the expr fields of alerts.yml. Comments and texts for people are left out.
func alertExpressions(t *testing.T) []string {
	t.Helper()
	var list []string
	inExpression := false
	for line := range strings.Lines(read(t, "alerts.yml")) {
		text := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(text, "expr:"):
			inExpression = true
			list = append(list, strings.TrimPrefix(text, "expr:"))
		case strings.HasPrefix(text, "for:") || strings.HasPrefix(text, "labels:"):
			inExpression = false
		case inExpression:
			list[len(list)-1] += " " + text
		}
	}
	if len(list) < 6 {
		t.Fatalf("found %d expressions in alerts.yml", len(list))
	}
	return list
}

func dashboardExpressions(t *testing.T) []string {
	t.Helper()
	var board struct {
		Templating struct {
			List []struct {
				Query any `json:"query"`
			} `json:"list"`
		} `json:"templating"`
		Panels []struct {
			ID          int    `json:"id"`
			Title       string `json:"title"`
			Description string `json:"description"`
			Targets     []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal([]byte(read(t, "dashboard.json")), &board); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, v := range board.Templating.List {
		if query, is := v.Query.(map[string]any); is {
			list = append(list, query["query"].(string))
		}
	}
	seen := map[int]bool{}
	for _, p := range board.Panels {
		if seen[p.ID] || p.Title == "" || p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d %q: want an id of its own, a title, a description and a query", p.ID, p.Title)
		}
		seen[p.ID] = true
		for _, target := range p.Targets {
			list = append(list, target.Expr)
		}
	}
	return list
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", "monitoring", file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
