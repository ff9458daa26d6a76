package workflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/workflow/queue"
)

const (
	// bypassAfter is how long a slot may wait for the queue before a daemon starts it by itself: the queue may have lost it.
	bypassAfter = silentAfter
	// runsAtOnce is how many slots one daemon takes from the queue at the same time. They evaluate together, and then wait for
	// their turn.
	runsAtOnce = 512
	// quietTime is how long a daemon waits for further slots, so that runs which are due together evaluate together, and
	// arriveTime is the longest that it does.
	quietTime  = 50 * time.Millisecond
	arriveTime = time.Second
	queueEvery = 15 * time.Second // how often the queues are looked into for metrics
)

// slotTask is a slot as it stands in the queue.
type slotTask struct {
	Workflow string    `json:"workflow"`
	Slot     time.Time `json:"slot"`
	Missed   int       `json:"missed,omitempty"`
}

// rangeTask is an invitation to take ranges of a large run, as it stands in the queue.
type rangeTask struct {
	Run string `json:"run"`
}

// offer is a slot that this daemon offered to the queue.
type offer struct {
	slot time.Time
	at   time.Time
}

// arrival is a slot that the queue handed to this daemon.
type arrival struct {
	RunRequest
	over chan error // gets the task's answer to the queue
}

// helpers asks the daemons that serve the queue.
type helpers struct{ queue *queue.Queue }

// AskForHelp puts n invitations into the queue. One that was there before waits there still.
func (h helpers) AskForHelp(ctx context.Context, run string, n int) error {
	payload, err := json.Marshal(rangeTask{Run: run})
	if err != nil {
		return fmt.Errorf("ask for help with run %s: %w", run, err)
	}
	group, ctx := errgroup.WithContext(ctx) // the run waits for it
	for number := range n {
		group.Go(func() error {
			_, err := h.queue.Offer(ctx, queue.Ranges, run+"/"+strconv.Itoa(number), payload)
			return err
		})
	}
	return group.Wait()
}

// DaemonsHelp asks the account's daemons for help, where there are any. It is for a process that carries a run and serves no
// queue itself.
func DaemonsHelp(store *crmstore.Store) Helpers { return daemonsHelp{store} }

type daemonsHelp struct{ store *crmstore.Store }

// AskForHelp asks, unless no daemon gave a sign of life lately.
func (h daemonsHelp) AskForHelp(ctx context.Context, run string, n int) error {
	daemons, err := h.store.Daemons(ctx)
	if err != nil || !slices.ContainsFunc(daemons, func(d crmstore.Daemon) bool { return !Silent(d, h.store.Now()) && !d.Stopping }) {
		return err
	}
	q := queue.Open(h.store, nil)
	return errors.Join(helpers{q}.AskForHelp(ctx, run, n), q.Close())
}

// serve takes what the queue hands out, until the context ends.
func (l *loop) serve(ctx context.Context) {
	l.running.Go(func() { l.collect(ctx) })
	for _, q := range []struct {
		name   string
		atOnce int
		handle func(context.Context, []byte) error
	}{{queue.Runs, runsAtOnce, l.takeSlot}, {queue.Ranges, rangeWorkers, l.takeRange}} {
		l.running.Go(func() {
			if err := l.queue.Serve(ctx, q.name, q.atOnce, q.handle); err != nil {
				l.r.log().LogAttrs(ctx, slog.LevelError, "the queue cannot be served; this daemon starts runs without it", slog.Any(keyError, err))
			}
		})
	}
}

// offer offers the due slots to the queue. It returns the slots that the queue gave to no daemon in time: this daemon starts
// them itself.
func (l *loop) offer(ctx context.Context, due []RunRequest) []RunRequest {
	if l.queue == nil {
		return due
	}
	var late []RunRequest
	for _, q := range due {
		known := l.offered[q.Name]
		if !known.slot.Equal(q.Now) {
			l.offered[q.Name] = offer{slot: q.Now, at: monotonic()}
			l.offerSlot(ctx, q)
			continue
		}
		if monotonic().Sub(known.at) < bypassAfter || l.carried[q.Name] {
			continue
		}
		known.at = monotonic()
		l.offered[q.Name] = known
		q.late = true
		late = append(late, q)
	}
	return late
}

func (l *loop) offerSlot(ctx context.Context, q RunRequest) {
	payload, err := json.Marshal(slotTask{Workflow: q.Name, Slot: q.Now, Missed: q.missed})
	fresh := false
	if err == nil {
		fresh, err = l.queue.Offer(ctx, queue.Runs, slotID(q), payload)
	}
	switch {
	case err != nil:
		l.report(ctx, err)
	case !fresh:
		l.r.Metrics.duplicateTick(q.Name)
	}
}

// takeSlot waits until the run of a slot is over, or turns out to have another carrier. The run does not depend on the task.
// When the queue takes the task away, the store still has the run's carrier.
func (l *loop) takeSlot(ctx context.Context, payload []byte) error {
	var task slotTask
	if err := json.Unmarshal(payload, &task); err != nil {
		return nil //nolint:nilerr // another version's: a slot that is due is started without the queue
	}
	a := &arrival{
		RunRequest: RunRequest{Name: task.Workflow, Now: task.Slot, Scheduled: true, missed: task.Missed},
		over:       make(chan error, 1),
	}
	select {
	case l.arrivals <- a:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-a.over:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// collect begins the runs of slots that arrive. Slots that arrive together become one run group.
func (l *loop) collect(ctx context.Context) {
	for {
		var batch []*arrival
		select {
		case a := <-l.arrivals:
			batch = append(batch, a)
		case <-ctx.Done():
			return
		}
		longest := time.NewTimer(arriveTime)
		for waiting := true; waiting; {
			silence := time.NewTimer(quietTime)
			select {
			case a := <-l.arrivals:
				batch = append(batch, a)
			case <-silence.C:
				waiting = false
			case <-longest.C:
				waiting = false
			case <-ctx.Done():
				waiting = false
			}
			silence.Stop()
		}
		longest.Stop()
		l.beginArrived(ctx, batch)
	}
}

// beginArrived begins the runs of slots that the queue handed out. What cannot begin now goes back.
func (l *loop) beginArrived(ctx context.Context, batch []*arrival) {
	var due []RunRequest
	over := map[string]chan error{}
	well := l.r.Health.May() == nil
	for _, a := range batch {
		if !well || over[a.Name] != nil || !l.free(a.Name) {
			a.over <- queue.ErrBusy
			continue
		}
		over[a.Name] = a.over
		due = append(due, a.RunRequest)
	}
	begun := l.begin(ctx, due, func(q RunRequest, run crmstore.Run, err error) { over[q.Name] <- forQueue(run, err) })
	if !begun {
		for _, ended := range over {
			ended <- queue.ErrBusy
		}
	}
}

// forQueue is the task's answer to the queue: nil when the slot is dealt with, whatever became of the run.
func forQueue(run crmstore.Run, err error) error {
	var refused *RefusedError
	switch {
	case err == nil, errors.Is(err, ErrSlotTaken):
		return nil
	case errors.As(err, &refused) && refused.Reason == RefusedActive && run.State == crmstore.RunRunning:
		return queue.ErrBusy // the slot is due until that run is over
	case errors.As(err, &refused), run.ID != "":
		return nil // it is in the store, and goes on or was reported from there
	default:
		return err
	}
}

// takeRange helps with a run. The run's carrier takes every range that no helper takes, so a failed task is not repeated.
func (l *loop) takeRange(ctx context.Context, payload []byte) error {
	var task rangeTask
	if err := json.Unmarshal(payload, &task); err != nil {
		return nil //nolint:nilerr // another version's
	}
	if l.r.Health.May() != nil {
		return ctx.Err() // the run's carrier stops too
	}
	if err := l.r.Help(ctx, task.Run); err != nil && ctx.Err() == nil {
		l.r.log().LogAttrs(ctx, slog.LevelWarn, "this daemon could not help with a run", slog.String(keyRun, task.Run), slog.Any(keyError, err))
	}
	return ctx.Err()
}

// lookIntoQueues refreshes the metrics about queues.
func (l *loop) lookIntoQueues(ctx context.Context, now time.Time) {
	if l.queue == nil || now.Sub(l.lastQueues) < queueEvery {
		return
	}
	l.lastQueues = now
	for _, name := range []string{queue.Runs, queue.Ranges} {
		state, err := l.queue.State(name)
		l.report(ctx, err)
		if err == nil {
			l.r.Metrics.queueIs(name, state)
		}
	}
}
