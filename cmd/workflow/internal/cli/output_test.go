package cli

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/workflow/terminal"
)

func TestOutput_TableFitsTheTerminal(t *testing.T) {
	t.Parallel()
	tb := func() *table {
		tb := &table{columns: []column{{head: "id", right: true}, {head: "name", flex: true}, {head: "state"}}}
		tb.add(txt("7"), txt("Ada\x1b[31m Lovelace of the long name"), ink(green, "live"))
		tb.add(txt("1,000"), txt("山田太郎"), txt("bin"))
		return tb
	}
	for _, c := range []struct {
		name  string
		width int
		want  string
	}{
		{"as wide as it gets", 0, "" +
			"   id  name                                state\n" +
			"    7  Ada\uFFFD[31m Lovelace of the long name  live\n" +
			"1,000  山田太郎                            bin\n"},
		{"narrow", 26, ""}, // only the width matters
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			o := newOutput(&b, c.width > 0, false, c.width)
			o.table(tb(), 0)
			if err := o.flush(); err != nil {
				t.Fatal(err)
			}
			if c.width > 0 {
				for line := range strings.Lines(b.String()) {
					if w := terminal.Width(strings.TrimSuffix(line, "\n")); w > c.width {
						t.Errorf("a line is %d wide, want at most %d: %q", w, c.width, line)
					}
				}
				return
			}
			if d := cmp.Diff(c.want, b.String()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestOutput_ColourOnlyWhereItIsWelcome(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		terminal bool
		env      map[string]string
		want     bool
	}{
		{"a terminal", true, nil, true},
		{"a pipe", false, nil, false},
		{"NO_COLOR", true, map[string]string{"NO_COLOR": "1"}, false},
		{"a dumb terminal", true, map[string]string{"TERM": "dumb"}, false},
	} {
		s := newSession(&Command{StderrTerminal: c.terminal, Env: func(k string) string { return c.env[k] }})
		if got := s.err.paint(red, "x") != "x"; got != c.want {
			t.Errorf("%s: coloured %v, want %v", c.name, got, c.want)
		}
	}
}

type brokenPipe struct{ err error }

func (b brokenPipe) Write([]byte) (int, error) { return 0, b.err }

func TestCommand_ReaderThatStopsEarlyIsNoFailure(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want int
	}{{syscall.EPIPE, exitGood}, {io.ErrClosedPipe, exitGood}, {syscall.ENOSPC, exitFailed}} {
		var talk bytes.Buffer
		cmd := &Command{Args: []string{"version"}, Stdout: brokenPipe{c.err}, Stderr: &talk}
		if got := cmd.Run(t.Context()); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.want)
		}
		if c.want != exitGood && !strings.Contains(talk.String(), "write the result") {
			t.Errorf("%v: said %q", c.err, talk.String())
		}
	}
}

func TestProgress_ShowsOnlyLongWorkOnTerminals(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	at := time.Unix(0, 0)
	p := &progress{out: newOutput(&b, true, false, 100), now: func() time.Time { return at }}
	p.out.direct = true
	p.update("import", 10, 1000)
	at = at.Add(900 * time.Millisecond)
	p.update("import", 400, 1000)
	if b.Len() > 0 {
		t.Fatalf("work of under a second shows %q", b.String())
	}
	at = at.Add(1100 * time.Millisecond)
	p.update("import", 500, 1000)
	want := "\r\x1b[Kimport [============            ] 500 of 1,000  250/s  2.0 s left"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
	p.end()
	if !strings.HasSuffix(b.String(), "\r\x1b[K") {
		t.Errorf("the bar stays: %q", b.String())
	}

	b.Reset()
	p = &progress{out: newOutput(&b, false, false, 0), now: func() time.Time { at = at.Add(time.Hour); return at }}
	p.update("import", 1, 2)
	p.update("import", 2, 2)
	p.end()
	if b.Len() > 0 {
		t.Errorf("a pipe gets %q", b.String())
	}
}

func TestRedactURL(t *testing.T) {
	t.Parallel()
	if got := crmstore.PublicAddress("rediss://mira:secret@crm.example:6379/2"); strings.Contains(got, "secret") {
		t.Error(got)
	}
	if got := crmstore.PublicAddress("dir:/var/lib/workflow"); got != "dir:/var/lib/workflow" {
		t.Error(got)
	}
}

func TestSaid_OnlySetsTheCode(t *testing.T) {
	t.Parallel()
	var p *problem
	if err := said(exitRefused); !errors.As(err, &p) || p.code != exitRefused || !p.said {
		t.Errorf("got %+v", err)
	}
}
