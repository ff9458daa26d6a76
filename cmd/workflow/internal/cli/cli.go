// Package cli is the command `workflow`: one file per verb. work.go gives a verb what it needs. The package turns
// arguments into calls of the packages below, and what they answer into text for people or one JSON document for programs.
//
// It promises that results go to stdout and talk to stderr, that every failure ends in one exit code
// (exit.go) and says what happened and what to do, and that flags and environment are read nowhere else.
// It never decides what a workflow means: a verb that does more than ask and show belongs further down.
package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Command is one call of the program with everything it may touch from outside.
type Command struct {
	Args   []string                 // without the program's name
	Env    func(name string) string // nil: no environment
	Stdin  io.Reader                // nil: empty
	Stdout io.Writer                // nil: discarded
	Stderr io.Writer                // nil: discarded
	User   string                   // who acts when neither --as nor WORKFLOW_USER says so

	StdinTerminal  bool // a person can be asked
	StdoutTerminal bool // tables fit Width, colour is welcome
	StderrTerminal bool // progress is shown
	Width          int  // columns of the terminal; 0 = 80

	ClockAhead time.Duration // how far this machine's clock is taken to be ahead; only tests have a reason

	shared *crmstore.Store   // every verb uses this store and leaves it open; see demo.go
	files  map[string][]byte // these files are there although they are not on disk; see demo.go
}

// FromOS is the command as this process was called.
func FromOS() *Command {
	c := &Command{
		Args: os.Args[1:], Env: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		StdinTerminal:  isatty.IsTerminal(os.Stdin.Fd()),
		StdoutTerminal: isatty.IsTerminal(os.Stdout.Fd()),
		StderrTerminal: isatty.IsTerminal(os.Stderr.Fd()),
		User:           "unknown",
	}
	if u, err := user.Current(); err == nil && u.Username != "" {
		c.User = u.Username
	}
	for _, f := range []*os.File{os.Stdout, os.Stderr} {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			c.Width = w
			break
		}
	}
	return c
}

// Run carries the call out and returns the exit code. When ctx ends, the batch in hand is finished first.
func (c *Command) Run(ctx context.Context) int {
	s := newSession(c)
	root := newRoot(s) //nolint:contextcheck // it only builds the verbs; each gets ctx when it is carried out
	root.SetArgs(c.Args)
	err := root.ExecuteContext(ctx)
	s.countAfterImport(ctx)
	if e := s.close(); err == nil {
		err = e
	}
	return s.finish(ctx, err)
}

// session is one call of the program: its input and output, its flags, and the store once a verb needs it. It knows no verb.
type session struct {
	command *Command
	env     func(string) string
	in      io.Reader
	out     *output // results
	err     *output // talk
	flags   struct{ store, account, as, format string }

	opened *crmstore.Store // nil before the verb asks for the store
	verb   *cobra.Command  // that is carried out; nil while words are completed
}

func newSession(c *Command) *session {
	s := &session{command: c, env: c.Env, in: c.Stdin}
	if s.env == nil {
		s.env = func(string) string { return "" }
	}
	if s.in == nil {
		s.in = bytes.NewReader(nil)
	}
	colour := s.env("NO_COLOR") == "" && s.env("TERM") != "dumb"
	s.out = newOutput(c.Stdout, c.StdoutTerminal, colour && c.StdoutTerminal, c.Width)
	s.err = newOutput(c.Stderr, c.StderrTerminal, colour && c.StderrTerminal, c.Width)
	s.err.direct = true
	return s
}

// json reports whether a program reads the result. The flag may stand behind the one that could not be parsed, so
// that the arguments are looked through as well.
func (s *session) json() bool {
	if s.flags.format != "" && s.flags.format != formatText {
		return s.flags.format == formatJSON
	}
	for i, a := range s.command.Args {
		if a == "--format="+formatJSON || a == "--format" && i+1 < len(s.command.Args) && s.command.Args[i+1] == formatJSON {
			return true
		}
	}
	return false
}

// emit gives the result: v as one document for programs, or what text writes for people.
func (s *session) emit(v any, text func(o *output)) {
	if s.json() {
		s.out.json(v)
		return
	}
	text(s.out)
}

// talk is where a verb shows something beside its result: a program's stdout holds one document and nothing else.
func (s *session) talk() *output {
	if s.json() {
		return s.err
	}
	return s.out
}

// now is the instant at which a person or a program called, by the store's clock once the store is open; no verb asks the clock in
// another way.
func (s *session) now() time.Time {
	now := time.Now()
	if s.opened != nil {
		now = s.opened.Now()
	}
	return now.UTC().Truncate(time.Millisecond)
}

// user is who acts: --as, then WORKFLOW_USER, then the login name.
func (s *session) user() string {
	for _, name := range []string{s.flags.as, s.env("WORKFLOW_USER"), s.command.User} {
		if name != "" {
			return name
		}
	}
	return "unknown"
}

// cause is the cause of a change that a person makes by hand.
func (s *session) cause(reason string) record.Cause {
	return record.Cause{Actor: s.user(), Reason: reason}
}

// storeURL is --store, then WORKFLOW_STORE; "" is the embedded store's default directory.
func (s *session) storeURL() string {
	if s.flags.store != "" {
		return s.flags.store
	}
	return s.env("WORKFLOW_STORE")
}

// storeExists reports whether there is a store to look at, so that a verb which can do without one does not make one.
func (s *session) storeExists() bool {
	if s.opened != nil || s.command.shared != nil {
		return true
	}
	url := s.storeURL()
	dir, isDir := strings.CutPrefix(url, "dir:")
	switch {
	case url == "":
		dir = defaultDir
	case !isDir:
		return url != "memory"
	}
	_, err := os.Stat(dir)
	return err == nil
}

// defaultDir is where the embedded store is without --store and WORKFLOW_STORE.
const defaultDir = ".workflow"

func (s *session) accountName() string {
	if s.flags.account != "" {
		return s.flags.account
	}
	return s.env("WORKFLOW_ACCOUNT")
}

// open gives the store, connecting at the first call. The account need not exist. A verb that writes gets no store that is in
// trouble.
func (s *session) open(ctx context.Context) (*crmstore.Store, error) {
	if s.opened != nil {
		return s.opened, nil
	}
	if s.command.shared != nil {
		s.opened = s.command.shared.As(s.user())
		return s.opened, nil
	}
	store, err := crmstore.Open(ctx, crmstore.Config{
		URL: s.storeURL(), Account: s.accountName(), User: s.user(), ClockAhead: s.command.ClockAhead,
	})
	if err != nil {
		return nil, err
	}
	s.opened = store
	if err := s.checkHealth(ctx, store); err != nil {
		return nil, err
	}
	if store.Volatile() {
		s.err.printf("note: the store is in memory; everything in it is lost when this command ends\n")
	}
	return store, nil
}

func (s *session) close() error {
	if s.opened == nil || s.command.shared != nil {
		return nil
	}
	err := s.opened.Close()
	s.opened = nil
	return err
}
