package suite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/table"
	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/wire"
	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

// Of the section daemons.
const (
	farAway     = 10 * time.Millisecond // each way
	daemonsWait = 2 * time.Minute       // for anything that daemons do
	askEvery    = 20 * time.Millisecond

	// A slow machine is one on which a process may work for slowWorks, and then not for slowRests.
	slowWorks = 10 * time.Millisecond
	slowRests = 40 * time.Millisecond
)

// sharing is an account in which daemons delete everybody again and again.
type sharing struct {
	*bench
	store    *crmstore.Store
	contacts int
	busy     map[int]busy // by number of daemons, in the last round
}

// busy is how many cores were busy during a run, and how much memory a daemon had at most.
type busy struct{ server, daemons, resident float64 }

// daemons measures a large run in one process, and by daemons that share it.
func (b *bench) daemons(ctx context.Context) error {
	s := sharing{bench: b, busy: map[int]busy{}, contacts: min(b.Contacts, max(b.Contacts/5, 10_000), mostDeleted)}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	defer s.store.Close() //nolint:errcheck // the server is emptied anyway
	far, err := wire.Away(ctx, b.file("far"), b.scratch.socket, farAway)
	if err != nil {
		return err
	}
	defer far.Close() //nolint:errcheck // only listening ends
	near, away := b.scratch.url(), "unix://"+b.file("far")
	samples, err := b.rounds(ctx, fmt.Sprintf("daemons delete %d contacts", s.contacts),
		s.alone(math.MaxInt64), s.alone(0), s.by(1, away, false), s.by(2, away, false), s.by(1, near, true), s.by(2, near, true),
		s.by(1, near, false), s.by(2, near, false))
	if err != nil {
		return err
	}
	one := []table.Against{{Name: "one process", Samples: samples[0], AtMost: 1.1}}
	b.add(
		table.Row{What: "large run: one process, nothing shared", Samples: samples[0]},
		table.Row{What: "large run: one process, could be shared", Samples: samples[1], Against: one},
		table.Row{What: "large run: one daemon, from the queue", Samples: samples[6], Against: one},
		table.Row{
			What: "large run: two daemons", Samples: samples[7], Against: []table.Against{{Name: "one daemon", Samples: samples[6]}},
			Note: fmt.Sprintf("All on this machine. While one daemon ran, the server kept %.2f cores busy and the daemon %.2f; with two, the server %.2f and the "+
				"daemons %.2f together. A daemon had %.0f MB resident at the peak.",
				s.busy[1].server, s.busy[1].daemons, s.busy[2].server, s.busy[2].daemons, s.busy[1].resident/1e6),
		},
		table.Row{
			What: "large run: one daemon, slow machine", Samples: samples[4],
			Note: fmt.Sprintf("Stopped for %v after each %v, so that the server is not the limit.", slowRests, slowWorks),
		},
		table.Row{
			What: "large run: two daemons, slow machines", Samples: samples[5],
			Against: []table.Against{{Name: "one daemon", Samples: samples[4], AtLeast: 1.7}},
		},
		table.Row{
			What: "large run: one daemon, far away", Samples: samples[2],
			Note: fmt.Sprintf("Each question to the server takes %v there and as long back.", farAway),
		},
		table.Row{What: "large run: two daemons, far away", Samples: samples[3], Against: []table.Against{{Name: "one daemon", Samples: samples[2]}}},
	)
	return b.scratch.empty(ctx)
}

// prepare fills the account and publishes a workflow that deletes everybody once a year.
func (s *sharing) prepare(ctx context.Context) error {
	var err error
	if s.store, err = s.fill(ctx, s.scratch, "daemons", s.crowd, s.contacts); err != nil {
		return err
	}
	vocabulary, err := definition.AccountVocabulary(ctx, s.store)
	if err != nil {
		return err
	}
	text := source("bench", "known(contact.createdate)") + "schedule: {cron: '@yearly'}\n"
	def, findings := definition.Load("bench.yaml", []byte(text), vocabulary)
	if def == nil {
		return fmt.Errorf("workflow bench does not load: %v", findings)
	}
	if _, err := workflow.Publish(ctx, s.store, def, s.crowd.Now); err != nil {
		return err
	}
	return s.scratch.keep(ctx)
}

// alone carries the run in this process.
func (s *sharing) alone(shareFrom int64) act {
	return func(ctx context.Context) (table.Sample, error) {
		if err := s.scratch.rewind(ctx); err != nil {
			return table.Sample{}, err
		}
		run, err := (&workflow.Runner{Store: s.store, ShareFrom: shareFrom}).Run(ctx, workflow.RunRequest{Name: "bench", Now: s.crowd.Now})
		if err != nil {
			return table.Sample{}, err
		}
		return s.sample(run)
	}
}

// sample is what a run took, as it says itself.
func (s *sharing) sample(run crmstore.Run) (table.Sample, error) {
	if run.State != crmstore.RunDone || run.Deleted != int64(s.contacts) {
		return table.Sample{}, fmt.Errorf("run %s is %s and deleted %d contacts, want %d", run.ID, run.State, run.Deleted, s.contacts)
	}
	return table.Sample{Amount: run.FinishedAt.Sub(run.StartedAt).Seconds(), Units: float64(s.contacts)}, nil
}

// by lets so many daemons find a slot that is due, each on a machine that is slow or not.
func (s *sharing) by(daemons int, url string, slow bool) act {
	return func(ctx context.Context) (table.Sample, error) {
		if err := s.scratch.rewind(ctx); err != nil {
			return table.Sample{}, err
		}
		var pids []int
		var stops []func() error
		var err error
		for range daemons {
			pid, stop, startErr := s.daemon(ctx, url)
			if err = startErr; err != nil {
				break
			}
			pids, stops = append(pids, pid), append(stops, stop)
		}
		var sample table.Sample
		if err == nil {
			sample, err = s.watch(ctx, pids, slow)
		}
		for _, stop := range stops {
			err = errors.Join(err, stop())
		}
		return sample, err
	}
}

// watch makes the slot due when the daemons are there, and waits until the run is over.
func (s *sharing) watch(ctx context.Context, pids []int, slow bool) (table.Sample, error) {
	none := table.Sample{}
	err := s.until(ctx, "the daemons are there", func() (bool, error) {
		there, err := s.store.Daemons(ctx)
		return len(there) == len(pids), err
	})
	if err != nil {
		return none, err
	}
	if err := s.makeDue(ctx); err != nil {
		return none, err
	}
	if slow {
		ended := make(chan struct{})
		var slowing sync.WaitGroup
		defer slowing.Wait()
		defer close(ended)
		for _, pid := range pids {
			slowing.Go(func() { slowDown(pid, ended) })
		}
	}
	server, ours := processor(s.scratch.cmd.Process.Pid), processor(pids...)
	var run crmstore.Run
	err = s.until(ctx, "the run is over", func() (bool, error) {
		runs, err := s.store.Runs(ctx, crmstore.RunFilter{Limit: 1})
		if len(runs) > 0 {
			run = runs[0]
		}
		return run.State != "" && run.State != crmstore.RunRunning, err
	})
	if err != nil {
		return none, err
	}
	sample, err := s.sample(run)
	if slow {
		return sample, err
	}
	s.busy[len(pids)] = busy{
		server:  (processor(s.scratch.cmd.Process.Pid) - server) / sample.Amount,
		daemons: (processor(pids...) - ours) / sample.Amount, resident: resident(pids[0]),
	}
	return sample, err
}

// slowDown stops a process again and again, and lets it go in the end.
func slowDown(pid int, ended <-chan struct{}) {
	for {
		_ = syscall.Kill(pid, syscall.SIGSTOP) // one that has ended shows elsewhere
		over := wait(ended, slowRests)
		_ = syscall.Kill(pid, syscall.SIGCONT)
		if over || wait(ended, slowWorks) {
			return
		}
	}
}

// wait waits, and reports whether something ended before.
func wait(ended <-chan struct{}, d time.Duration) bool {
	select {
	case <-ended:
		return true
	case <-time.After(d):
		return false
	}
}

// daemon starts a daemon; stop ends it and waits for it.
func (s *sharing) daemon(ctx context.Context, url string) (pid int, stop func() error, err error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, s.Program, "daemon", "--listen", "none", "--store", url, "--account", "daemons", "--as", user)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(), "WORKFLOW_USER=benchmark")
	if err := cmd.Start(); err != nil {
		return 0, nil, fmt.Errorf("start a daemon: %w", err)
	}
	return cmd.Process.Pid, func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM) // one that has ended by itself shows in Wait
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("daemon: %w: %s", err, bytes.TrimSpace(out.Bytes()))
		}
		return nil
	}, nil
}

// makeDue makes the workflow one that was published so long ago that a slot is due.
func (s *sharing) makeDue(ctx context.Context) error {
	w, err := s.store.Workflow(ctx, "bench")
	if err != nil {
		return err
	}
	w.PublishedAt = time.Now().AddDate(-1, -1, 0)
	w.SwitchedAt = w.PublishedAt
	_, err = s.store.SaveWorkflow(ctx, w, nil, "", record.Cause{}, w.PublishedAt)
	return err
}

func (s *sharing) until(ctx context.Context, what string, come func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, daemonsWait)
	defer cancel()
	for {
		if done, err := come(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, ctx.Err())
		case <-time.After(askEvery):
		}
	}
}
