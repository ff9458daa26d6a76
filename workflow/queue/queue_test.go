package queue

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// open opens the queues of a new account.
func open(t *testing.T, store *crmstore.Store) *Queue {
	t.Helper()
	q := Open(store, nil)
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

func offer(t *testing.T, q *Queue, queue, id string) bool {
	t.Helper()
	fresh, err := q.Offer(t.Context(), queue, id, []byte(id))
	if err != nil {
		t.Fatal(err)
	}
	return fresh
}

// served serves a queue until the function that it returns is called, which waits for the end.
func served(t *testing.T, q *Queue, atOnce int, handle func(context.Context, []byte) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- q.Serve(ctx, Runs, atOnce, handle) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestQueue_OneTaskForEachId(t *testing.T) {
	t.Parallel()
	for _, memory := range []bool{false, true} {
		store := storetest.OpenWith(t, storetest.Options{Memory: memory})
		q := open(t, store)
		again := open(t, store) // another daemon
		if !offer(t, q, Runs, "a@1") || offer(t, again, Runs, "a@1") || !offer(t, again, Runs, "a@2") {
			t.Fatal("want the first offer of an id to be taken, and no other")
		}
		if stranger := open(t, storetest.Open(t)); !offer(t, stranger, Runs, "a@1") {
			t.Error("another account's task was in the way")
		}
		state, err := q.State(Runs)
		if err != nil || state.Pending != 2 || state.Active != 0 {
			t.Errorf("state %+v, %v; want 2 pending", state, err)
		}
		if state, err := q.State(Ranges); err != nil || state != (State{}) {
			t.Errorf("a queue that nobody used: %+v, %v", state, err)
		}
		got := make(chan string, 10)
		stop := served(t, q, 8, func(_ context.Context, payload []byte) error { got <- string(payload); return nil })
		stopAgain := served(t, again, 8, func(_ context.Context, payload []byte) error { got <- string(payload); return nil })
		first, second := <-got, <-got
		if first == second {
			t.Errorf("%s came twice", first)
		}
		stop()
		stopAgain()
		if len(got) > 0 {
			t.Errorf("%s came too", <-got)
		}
		if offer(t, q, Runs, "a@1") {
			t.Error("a task that is done a moment ago was offered again, and taken")
		}
	}
}

func TestQueue_TriesAgain(t *testing.T) {
	t.Parallel()
	q := open(t, storetest.Open(t))
	offer(t, q, Runs, "a@1")
	var calls atomic.Int64
	done := make(chan struct{})
	stop := served(t, q, 1, func(context.Context, []byte) error {
		switch calls.Add(1) {
		case 1:
			return ErrBusy
		case 2:
			panic("a bug")
		case 3:
			return errors.New("the store is away")
		}
		close(done)
		return nil
	})
	defer stop()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatalf("%d calls in a minute", calls.Load())
	}
}

// A daemon that stops waits for what it has in hand, whose context ends, and the task goes to another daemon at once.
func TestQueue_StopsAndGivesBack(t *testing.T) {
	t.Parallel()
	store := storetest.Open(t)
	q := open(t, store)
	offer(t, q, Runs, "a@1")
	began, ended := make(chan struct{}), false
	stop := served(t, q, 4, func(ctx context.Context, _ []byte) error {
		close(began)
		<-ctx.Done()
		ended = true
		return ctx.Err()
	})
	<-began
	stop()
	if !ended {
		t.Error("it did not wait for its handler")
	}
	got := make(chan string)
	stop = served(t, open(t, store), 4, func(_ context.Context, payload []byte) error { got <- string(payload); return nil })
	defer stop()
	select {
	case <-got:
	case <-time.After(20 * time.Second): // a task of a process that died comes back after a minute and more
		t.Error("the task did not come back soon")
	}
}

// While the server is away a daemon waits, writes a line and no more, and goes on when the server is back.
func TestQueue_ServerAway(t *testing.T) {
	t.Parallel()
	server := storetest.StartServer(t)
	store, err := crmstore.Open(t.Context(), crmstore.Config{URL: "redis://" + server, User: storetest.User})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var lines safeBuffer
	q := Open(store, slog.New(slog.NewTextHandler(&lines, nil)))
	defer q.Close()
	got := make(chan string, 1)
	stop := served(t, q, 4, func(_ context.Context, payload []byte) error { got <- string(payload); return nil })
	shutDown(t, server)
	if _, err := q.Offer(t.Context(), Runs, "a@1", nil); err == nil {
		t.Error("offered to a server that is away")
	}
	for n := 0; !strings.Contains(lines.String(), "says="); n++ {
		if n > 100 {
			t.Fatal("nothing was written about it")
		}
		_, _ = q.State(Runs) // comes back after a pause
	}
	stop()
	if n := strings.Count(lines.String(), "\n"); n > 3 {
		t.Errorf("%d lines:\n%s", n, lines.String())
	}
}

// shutDown ends a server.
func shutDown(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err = conn.Write([]byte("SHUTDOWN NOSAVE\r\n")); err == nil {
		_, err = io.ReadAll(conn)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// safeBuffer is a buffer for several goroutines.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestQueue_LeavesNothingRunning(t *testing.T) { //nolint:paralleltest // it counts goroutines
	before := goleak.IgnoreCurrent()
	store := storetest.Open(t)
	q := Open(store, nil)
	offer(t, q, Runs, "a@1")
	got := make(chan struct{})
	stop := served(t, q, 4, func(context.Context, []byte) error { close(got); return nil })
	<-got
	stop()
	if err := errors.Join(q.Close(), store.Close()); err != nil {
		t.Error(err)
	}
	goleak.VerifyNone(t, before)
}
