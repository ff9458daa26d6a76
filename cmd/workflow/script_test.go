package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"workflow": main})
}

// TestScript runs testdata/script: each file is a session at a shell, with the program as it is built.
func TestScript(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setUp,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "json": jsonPath},
	})
}

func setUp(e *testscript.Env) error {
	e.Setenv("WORKFLOW_USER", "mira")
	e.Setenv("NO_COLOR", "1")
	return nil
}
