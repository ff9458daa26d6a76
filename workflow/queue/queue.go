// Package queue hands work to the daemons of an account: runs that are due, and ranges of large runs. It is asynq, kept in
// the account's own Redis beside the store; nothing else imports that library.
//
// It promises to hand an offered task to one daemon at a time, and to another one when that daemon died or failed. It does
// not promise how often or how soon. A task may come twice, or late: a crashed daemon's after one to two minutes. When Redis
// loses its last second, a task may never come. So a task only invites a daemon to begin. The store decides whether there
// is something to do and which daemon does it: a run exists once, and has a fencing number.
//
// It never holds anything about a record: a task is the name of a run, or of a workflow and a slot.
package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// The account's queues.
const (
	Runs   = "runs"   // slots that are due
	Ranges = "ranges" // parts of large runs
)

const (
	checkEvery  = 250 * time.Millisecond // how often an idle daemon looks for a task
	delayEvery  = time.Second            // how often tasks to be tried again are looked for
	againAfter  = 2 * time.Second        // a task that could not be carried out is tried again after this
	keepDone    = time.Minute            // how long a task that is done keeps its id, so that a late offer of it is refused
	mayTake     = 365 * 24 * time.Hour   // how long a task may take: the store says when a run is too old
	tryForever  = 1 << 30
	janitorEach = time.Minute
)

// ErrBusy is what a handler returns that cannot take the task now: it is handed out again a little later.
var ErrBusy = errors.New("busy")

// Queue is the queues of one account. It is safe for concurrent use.
type Queue struct {
	account string
	log     *slog.Logger
	client  interface{ Close() error }
	tasks   *asynq.Client
	looks   *asynq.Inspector
	serve   func(asynq.Config) *asynq.Server
}

// Open opens the queues of the store's account, on a connection of its own. Close them before the store.
func Open(store *crmstore.Store, log *slog.Logger) *Queue {
	c := store.Client()
	return &Queue{
		account: store.AccountName(), log: log, client: c,
		tasks: asynq.NewClientFromRedisClient(c), looks: asynq.NewInspectorFromRedisClient(c),
		serve: func(config asynq.Config) *asynq.Server { return asynq.NewServerFromRedisClient(c, config) },
	}
}

// Close leaves the queues; what is in them stays.
func (q *Queue) Close() error {
	if err := q.client.Close(); err != nil {
		return fmt.Errorf("leave the queues: %w", err)
	}
	return nil
}

// name is the queue's name in Redis. Accounts share nothing.
func (q *Queue) name(queue string) string { return "crm/" + q.account + "/" + queue }

// Offer puts a task into a queue and reports whether it did. It does not when a task with this id waits, is being carried
// out, or was done less than a minute ago.
func (q *Queue) Offer(ctx context.Context, queue, id string, payload []byte) (bool, error) {
	keep := keepDone
	if queue == Ranges {
		keep = 0 // a run's next carrier offers the same task again
	}
	_, err := q.tasks.EnqueueContext(ctx, asynq.NewTask(queue, payload), asynq.Queue(q.name(queue)), asynq.TaskID(id),
		asynq.MaxRetry(tryForever), asynq.Timeout(mayTake), asynq.Retention(keep))
	switch {
	case errors.Is(err, asynq.ErrTaskIDConflict):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("offer %s to the queue: %w", id, err)
	}
	return true, nil
}

// Serve hands tasks to handle, at most atOnce at a time, until the context ends. Then it takes no new task, gives back the
// tasks in hand, and returns nil when the handlers have returned. A handler's context ends with that of Serve, or when this
// daemon was frozen and another one got the task. After an error, this daemon or another one gets the task again.
func (q *Queue) Serve(ctx context.Context, queue string, atOnce int, handle func(ctx context.Context, payload []byte) error) error {
	var running inFlight
	defer running.wait() // the library does not wait for handlers whose context ended
	server := q.serve(asynq.Config{
		Concurrency: atOnce, Queues: map[string]int{q.name(queue): 1},
		TaskCheckInterval: checkEvery, DelayedTaskCheckInterval: delayEvery, JanitorInterval: janitorEach,
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return againAfter },
		IsFailure:      func(err error) bool { return !errors.Is(err, ErrBusy) && !errors.Is(err, context.Canceled) },
		BaseContext:    func() context.Context { return ctx },
		Logger:         &quiet{log: q.log}, LogLevel: asynq.WarnLevel,
	})
	err := server.Start(asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		if !running.take() {
			return context.Canceled
		}
		defer running.tasks.Done()
		return handle(ctx, task.Payload())
	}))
	if err != nil {
		return fmt.Errorf("serve queue %s: %w", queue, err)
	}
	<-ctx.Done()
	server.Stop()
	server.Shutdown()
	return nil
}

// inFlight counts the tasks in hand.
type inFlight struct {
	mu    sync.Mutex
	full  bool // nothing is taken any more
	tasks sync.WaitGroup
}

func (h *inFlight) take() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.full {
		h.tasks.Add(1)
	}
	return !h.full
}

func (h *inFlight) wait() {
	h.mu.Lock()
	h.full = true
	h.mu.Unlock()
	h.tasks.Wait()
}

// State is how full a queue is.
type State struct {
	Pending, Active, Retry int
	Oldest                 time.Duration // how long the oldest pending task has waited; 0 = none waits
}

// State counts a queue's tasks. It costs Redis more than a task does: ask a few times a minute.
func (q *Queue) State(queue string) (State, error) {
	all, err := q.looks.Queues()
	if err == nil && !slices.Contains(all, q.name(queue)) {
		return State{}, nil // nothing was ever offered
	}
	var info *asynq.QueueInfo
	if err == nil {
		info, err = q.looks.GetQueueInfo(q.name(queue))
	}
	if err != nil {
		return State{}, fmt.Errorf("look into queue %s: %w", queue, err)
	}
	return State{Pending: info.Pending, Active: info.Active, Retry: info.Retry + info.Scheduled, Oldest: info.Latency}, nil
}
