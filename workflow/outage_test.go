package workflow

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// cable is a connection to a server that can be cut and mended.
type cable struct {
	server string
	place  string // where it listens

	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]bool
	done     sync.WaitGroup
}

func newCable(t *testing.T, server string) *cable {
	t.Helper()
	c := &cable{server: server, place: "127.0.0.1:0", open: map[net.Conn]bool{}}
	c.mend(t)
	t.Cleanup(func() { c.cut(); c.done.Wait() })
	return c
}

func (c *cable) mend(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", c.place)
	if err != nil {
		t.Error(err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listener, c.place = l, l.Addr().String()
	c.done.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", c.server)
			if err != nil {
				_ = in.Close()
				continue
			}
			c.join(in, out)
			c.join(out, in)
		}
	})
}

func (c *cable) join(from, to net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[from] = true
	c.done.Go(func() {
		_, _ = io.Copy(to, from)
		_ = to.Close()
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.open, from)
	})
}

func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.listener.Close()
	for conn := range c.open {
		_ = conn.Close()
	}
}

func worldOverCable(t *testing.T) (*world, *cable) {
	t.Helper()
	c := newCable(t, storetest.StartServer(t))
	store, err := crmstore.Open(t.Context(), crmstore.Config{URL: "redis://" + c.place + "?max_retries=-1", User: storetest.User})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	_, err = store.CreateAccount(t.Context(), crmstore.Professional, 16, record.Cause{Actor: "test"}, testPublish)
	if err != nil {
		t.Fatal(err)
	}
	return worldOn(t, store), c
}

// A server that starts again in the middle of a stage costs the run some time and nothing else.
func TestRun_WaitsForAStoreThatComesBack(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{stageEvaluate, stageAct} {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			w, c := worldOverCable(t)
			stale := w.leads(crowd)
			w.publish(file())
			var mended sync.WaitGroup
			var first sync.Once
			w.runner.Patience = 20 * time.Second
			w.runner.Progress = func(s string, done, _ int64) {
				if s == stage && done > 0 {
					first.Do(func() {
						c.cut()
						mended.Go(func() {
							<-time.After(50 * time.Millisecond)
							c.mend(t)
						})
					})
				}
			}
			run := w.run(crmstore.RunDone)
			mended.Wait()
			w.wantDeleted(run, stale)
			if run.Deleted != int64(len(stale)) || run.Fence != 1 {
				t.Errorf("totals %+v, fence %d: want all, in one pass", run.Totals, run.Fence)
			}
		})
	}
}

// untilAnswered waits until the store answers: after as many failures as it has connections, which are few on one processor, the
// client itself tries once a second and tells callers what it was told last.
func (w *world) untilAnswered() {
	w.Helper()
	for {
		if _, err := w.store.Time(context.Background()); err == nil {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
}

// A server that does not come back fails the run loudly; later it is resumed.
func TestRun_FailsWhenTheStoreStaysAway(t *testing.T) {
	t.Parallel()
	w, c := worldOverCable(t)
	stale := w.leads(crowd)
	w.publish(file())
	w.runner.Patience = 30 * time.Millisecond
	w.runner.Owner = nobody()
	var first sync.Once
	w.runner.Progress = func(s string, done, _ int64) {
		if s == stageAct && done > 0 {
			first.Do(c.cut)
		}
	}
	run, err := w.runner.Run(t.Context(), w.request())
	if err == nil || errors.Is(err, context.Canceled) {
		t.Fatalf("run %+v ended with %v, want an error of the store", run, err)
	}
	w.wantCount("failed", w.metrics.runs.WithLabelValues("stale", "failed"), 1)
	// What it deleted is counted and said although the store could not be asked, and not counted again later.
	if run.Deleted == 0 {
		t.Error("the failed run says that it deleted nobody")
	}
	w.wantCount("deleted by the failed run", w.metrics.deleted.WithLabelValues("stale"), float64(run.Deleted))
	c.mend(t)
	w.untilAnswered()
	run, err = w.runner.Resume(t.Context(), run.ID)
	w.must(err)
	w.wantState(run, crmstore.RunDone)
	w.wantDeleted(run, stale)
	w.wantCount("deleted in all", w.metrics.deleted.WithLabelValues("stale"), float64(len(stale)))
}
