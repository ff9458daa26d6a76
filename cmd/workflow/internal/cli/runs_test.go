package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// A person watches the list of runs; each second it is drawn anew in its place, with how far each run is.
func TestRuns_ListIsWatched(t *testing.T) {
	t.Parallel()
	store, err := crmstore.Open(t.Context(), crmstore.Config{URL: "memory", User: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if _, err := store.CreateAccount(t.Context(), crmstore.Professional, 1, record.Cause{}, at); err != nil {
		t.Fatal(err)
	}
	run, err := store.CreateRun(t.Context(), crmstore.Run{
		ID: "stale@2026-01-02T03:00:00Z", Kind: crmstore.RunWorkflow, Workflow: "stale", Object: record.Contact, Scheduled: true, Now: at,
		State: crmstore.RunRunning, Stage: "act", StartedAt: at, Beat: at, Owner: "a:1:1", StartedBy: "ann",
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	screen := &screen{draws: func(n int) {
		run.Progress = crmstore.Progress{Done: int64(n) * 250, Of: 1000}
		if run, err = store.SaveRun(ctx, run); err != nil {
			t.Error(err)
		}
		if n == 2 {
			stop()
		}
	}}
	c := &Command{
		Args: []string{"runs", "--watch"}, Stdout: screen, StdoutTerminal: true, Width: 150, User: "ann", shared: store,
		Env: func(name string) string { return map[string]string{"NO_COLOR": "1"}[name] },
	}
	if code := c.Run(ctx); code == 0 {
		t.Error("an interrupted watch ends with 0")
	}
	text := screen.String()
	lists := strings.Split(text, "\x1b[2A\x1b[J")
	if len(lists) != 2 || !strings.Contains(lists[1], "acted on 250 of 1,000, 750 left") || strings.Contains(lists[0], "acted on") {
		t.Errorf("drew %q", text)
	}
	for name, c := range map[string]*Command{
		"a pipe": {Args: []string{"runs", "--watch"}},
		"JSON":   {Args: []string{"runs", "--watch", "--format", "json"}, StdoutTerminal: true},
	} {
		if c.shared = store; c.Run(t.Context()) != 2 {
			t.Errorf("%s is not refused", name)
		}
	}
}

// screen is a terminal that says when something was drawn.
type screen struct {
	bytes.Buffer
	n     int
	draws func(n int)
}

// Write draws.
func (s *screen) Write(b []byte) (int, error) {
	n, err := s.Buffer.Write(b)
	s.n++
	s.draws(s.n)
	return n, err
}
