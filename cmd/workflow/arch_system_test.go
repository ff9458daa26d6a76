package main_test

import (
	"go/ast"
	"maps"
	"testing"
)

// actAsSystem are the files that may act as the program itself, which may do everything, each with its reason.
var actAsSystem = map[string]string{
	"cmd/workflow/internal/cli/daemon.go":      "the daemon carries out what others published, each workflow as its publisher",
	"cmd/workflow/internal/cli/delete_mail.go": "sends the confirmation of a permanent deletion that was allowed",
	"cmd/workflow/internal/cli/health.go":      "counts the records after an import that was allowed, so that a loss is noticed",
	"cmd/workflow/internal/cli/run.go":         "asks after the store's health while a person's run goes on",
	"workflow/heldset.go":                      "loads the frozen file of a held run; its contacts are read as the user",
	"workflow/metrics.go":                      "counts the mails that wait",
	"workflow/housekeeping.go":                 "purges, finishes erasures and trims history",
	"workflow/publish.go":                      "stops the runs of a workflow that a permitted user has switched off",
	"workflow/supersede.go":                    "stops the run of the revision before, of a workflow that a permitted user has published",
	"workflow/runner.go":                       "saves the progress and the end of runs that a permitted user started",
}

// Whoever acts as the system is asked for no permission, so that each place that does is a decision.
func TestHouse_WhoActsAsTheSystem(t *testing.T) {
	t.Parallel()
	unused := maps.Clone(actAsSystem)
	for _, f := range goFiles(t) {
		if f.test {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			sel, is := n.(*ast.SelectorExpr)
			if !is || sel.Sel.Name != "AsSystem" {
				return true
			}
			if actAsSystem[f.path] == "" {
				t.Errorf("%s acts as the system, past all permissions; use the user's own store, or give the reason here", fileSet.Position(sel.Pos()))
			}
			delete(unused, f.path)
			return true
		})
	}
	for path := range unused {
		t.Errorf("%s does not act as the system any more; take it off the list", path)
	}
}
