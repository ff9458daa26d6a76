package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/triggers"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

func TestReference_IsFresh(t *testing.T) {
	t.Parallel()
	had, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docs", "REFERENCE.md"))
	if err != nil {
		t.Fatal(err)
	}
	want := referenceText(newRoot(&session{out: &output{}, err: &output{}}))
	if diff := cmp.Diff(want, string(had)); diff != "" {
		t.Errorf("docs/REFERENCE.md is stale, run make gen (-program +file):\n%s", diff)
	}
}

func TestReference_TablesAreWhole(t *testing.T) {
	t.Parallel()
	text := referenceText(newRoot(&session{out: &output{}, err: &output{}}))
	for _, c := range diag.Codes() {
		if !strings.Contains(text, "| "+c.ID+" |") {
			t.Errorf("finding %s is missing", c.ID)
		}
	}
	for _, f := range triggers.Functions() {
		if !strings.Contains(text, f.Name) {
			t.Errorf("function %s is missing", f.Name)
		}
	}
	if got := len(metricRows()); got < 13 {
		t.Errorf("%d metrics, want at least the 13 that others rely on", got)
	}
}
