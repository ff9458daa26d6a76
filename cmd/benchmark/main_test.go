package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The smoke run measures everything but PostgreSQL on a small store, and its checks hold: every side of a comparison
// found the same contacts, deletions and imports are complete.
func TestRun_Small(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "workflow")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../workflow").CombinedOutput(); err != nil {
		t.Fatalf("build the workflow program: %v\n%s", err, out)
	}
	var stdout, stderr strings.Builder
	args := []string{"-contacts", "2000", "-rounds", "1", "-postgres=false", "-program", program, "-only", "evaluate|delete|import|memory|scaling|process"}
	if code := run(t.Context(), args, &stdout, &stderr); code != exitGood {
		t.Fatalf("exit code %d\n%s\n%s", code, stdout.String(), stderr.String())
	}
	for _, want := range []string{
		"evaluate: columns, 1 % match", "of GET", "of HVALS", "× obvious", "20 workflows", "of bare script", "undo of the run", "purge: 90 days later",
		"import: CSV, whole process", "memory:   columns", "scaling: 2000 contacts", "process: run, 5000 contacts",
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, stdout.String())
		}
	}
	if strings.Contains(stdout.String(), "PostgreSQL") {
		t.Errorf("PostgreSQL was compared though it was not wanted:\n%s", stdout.String())
	}
}

func TestRun_Refuses(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-contacts", "10"}, {"-rounds", "0"}, {"-only", "("}, {"more"}, {"-unknown"}} {
		var stdout, stderr strings.Builder
		if code := run(t.Context(), args, &stdout, &stderr); code != exitUsage || stderr.Len() == 0 || stdout.Len() > 0 {
			t.Errorf("%v: exit code %d, stdout %q, stderr %q", args, code, stdout.String(), stderr.String())
		}
	}
}
