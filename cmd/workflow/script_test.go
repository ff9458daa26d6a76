package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

func TestMain(m *testing.M) {
	testscript.Main(withServer{m}, map[string]func(){"workflow": main})
}

// withServer starts the tests' server around the tests, and not in the processes that are the program itself.
type withServer struct{ m *testing.M }

// Run runs the tests.
func (w withServer) Run() int { return storetest.Main(w.m) }

// TestScript runs testdata/script: each file is a session at a shell, with the program as it is built, in an account of
// its own that does not exist yet. The server lets it do what docs/OPERATING.md says that it needs, and nothing else.
func TestScript(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	restricted := restrictedUser(t, url)
	examples, err := os.OpenRoot("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = examples.Close() }) // it was only read
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("WORKFLOW_USER", "mira")
			e.Setenv("WORKFLOW_STORE", restricted)
			e.Setenv("STORE", url)
			e.Setenv("WORKFLOW_ACCOUNT", storetest.NewAccountName(e.T().(testing.TB)))
			e.Setenv("EXAMPLES", examples.Name())
			e.Setenv(endAtOnce())
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name == "race" {
				return raceDetector, nil
			}
			return false, fmt.Errorf("condition %q is not known", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "json": jsonPath, "redis": redis, "user": user, "smtp": smtpCommand()},
	})
}

// endAtOnce is the variable that keeps the race detector from waiting a second at the end of every process, and its value.
func endAtOnce() (name, value string) { return "GORACE", "atexit_sleep_ms=0" }
