// Package suite measures: it starts the servers, fills them with the same contacts and lets us, the limits and the
// alternatives do the same work in turns.
//
// It promises that what is compared ran in the same rounds (ours, the limit, each alternative, and again), on the same
// contacts, and gave the same answer where there is one to give. It keeps nothing: servers and files are gone at the end.
package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/people"
	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/rivals"
	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/table"
	"github.com/crm-workflow/crm-workflow/crmstore"
)

// Options say what to measure.
type Options struct {
	Contacts int            // in the large store; at least 1,000
	Rounds   int            // of each comparison; at least 1
	Only     *regexp.Regexp // sections by name; nil = all
	Program  string         // the workflow program; "" = sections that need a process are left out
	Progress io.Writer      // what is being done, a line each
	Postgres bool           // compare with PostgreSQL where it is installed
}

// Result is what was measured.
type Result struct {
	Rows  []table.Row
	Notes []string // what was left out, and why
}

// bench is one execution of the suite.
type bench struct {
	Options
	dir     string
	crowd   people.Crowd
	large   *server          // the large store and what it is compared with
	scratch *server          // emptied by whoever needs it
	pg      *rivals.Postgres // nil = none
	store   *crmstore.Store  // account main of large, with all contacts
	memory  float64          // bytes that filling the large store took
	result  Result
}

// section is one part of the table.
type section struct {
	name    string
	process bool // needs the workflow program
	run     func(b *bench, ctx context.Context) error
}

func sections() []section {
	return []section{
		{"evaluate", false, (*bench).evaluate},
		{"many", false, (*bench).many},
		{"delete", false, (*bench).deletion},
		{"import", true, (*bench).importing},
		{"memory", false, (*bench).memories},
		{"scaling", true, (*bench).scaling},
		{"process", true, (*bench).process},
		{"daemons", true, (*bench).daemons},
	}
}

// Names are the names of the sections, in the order of the table.
func Names() []string {
	var names []string
	for _, s := range sections() {
		names = append(names, s.name)
	}
	return names
}

// Run measures the sections that were asked for. With an error, what was measured before it is returned too.
func Run(ctx context.Context, o Options) (Result, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return Result{}, fmt.Errorf("make a directory: %w", err)
	}
	b := &bench{
		Options: o, dir: dir,
		crowd: people.Crowd{Seed: 1, Now: time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)},
	}
	err = b.run(ctx)
	return b.result, errors.Join(err, b.close(context.WithoutCancel(ctx)), os.RemoveAll(dir))
}

func (b *bench) run(ctx context.Context) error {
	var err error
	if b.large, err = startServer(ctx, b.dir, "large"); err != nil {
		return err
	}
	if b.scratch, err = startServer(ctx, b.dir, "scratch"); err != nil {
		return err
	}
	if err := b.fillLarge(ctx); err != nil {
		return err
	}
	for _, s := range sections() {
		if b.Only != nil && !b.Only.MatchString(s.name) {
			continue
		}
		if s.process && b.Program == "" {
			b.notef("section %s was left out: it needs the workflow program", s.name)
			continue
		}
		if err := s.run(b, ctx); err != nil {
			return fmt.Errorf("measure %s: %w", s.name, err)
		}
	}
	return nil
}

func (b *bench) close(ctx context.Context) error {
	var errs []error
	if b.store != nil {
		errs = append(errs, b.store.Close())
	}
	for _, s := range []*server{b.large, b.scratch} {
		if s != nil {
			errs = append(errs, s.stop())
		}
	}
	if b.pg != nil {
		errs = append(errs, b.pg.Stop(ctx))
	}
	return errors.Join(errs...)
}

// fillLarge fills the large store and, where it is installed and wanted, PostgreSQL.
func (b *bench) fillLarge(ctx context.Context) error {
	before, err := b.large.direct.UsedMemory(ctx)
	if err != nil {
		return err
	}
	if b.store, err = b.fill(ctx, b.large, "main", b.crowd, b.Contacts); err != nil {
		return err
	}
	after, err := b.large.direct.UsedMemory(ctx)
	b.memory = after - before
	if err != nil || !b.Postgres {
		return err
	}
	b.pg, err = rivals.StartPostgres(ctx, b.dir)
	if errors.Is(err, rivals.ErrNoPostgres) {
		b.notef("comparisons with PostgreSQL were left out: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	return b.fillPostgres(ctx)
}

func (b *bench) notef(format string, args ...any) {
	b.result.Notes = append(b.result.Notes, fmt.Sprintf(format, args...))
}

func (b *bench) sayf(format string, args ...any) {
	if b.Progress != nil {
		fmt.Fprintf(b.Progress, "%s  "+format+"\n", append([]any{time.Now().Format(time.TimeOnly)}, args...)...)
	}
}

func (b *bench) add(rows ...table.Row) { b.result.Rows = append(b.result.Rows, rows...) }

func (b *bench) file(name string) string { return filepath.Join(b.dir, name) }

// act is one side of a comparison: it does its work once and says how much it was.
type act func(ctx context.Context) (table.Sample, error)

// rounds lets all acts do their work in turns, once before it counts and then as many rounds as were asked for. The
// samples of an act that is nil stay empty.
func (b *bench) rounds(ctx context.Context, what string, acts ...act) ([][]table.Sample, error) {
	samples := make([][]table.Sample, len(acts))
	for round := range b.Rounds + 1 {
		for i, do := range acts {
			if do == nil {
				continue
			}
			var sample table.Sample
			var err error
			// A profile can be read for one side alone: act 0 is us. A comma would mean two patterns there.
			label := pprof.Labels("act", strings.ReplaceAll(what, ",", "")+" #"+strconv.Itoa(i))
			pprof.Do(ctx, label, func(ctx context.Context) { sample, err = do(ctx) })
			if err != nil {
				return nil, fmt.Errorf("%s: %w", what, err)
			}
			if round > 0 {
				samples[i] = append(samples[i], sample)
			}
		}
	}
	b.sayf("%s: done", what)
	return samples, nil
}

// timed measures how long fn takes for so many units.
func timed(units int, fn func() error) (table.Sample, error) {
	began := time.Now()
	err := fn()
	return table.Sample{Amount: time.Since(began).Seconds(), Units: float64(units)}, err
}
