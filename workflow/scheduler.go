package workflow

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/triggers/schedule"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
	"github.com/crm-workflow/crm-workflow/workflow/queue"
)

const (
	defaultPoll   = time.Second
	defaultAtOnce = 2
	activeEvery   = 5 * time.Second // how often unfinished runs are looked for
	recordsEvery  = time.Minute     // how often records are counted for metrics
	backOffFrom   = 5 * time.Second // a workflow that could not start is tried again after this, then twice as long …
	backOffTo     = time.Minute     // … up to this
	reloadEvery   = time.Minute     // a published file that does not load is tried again after this
)

// Scheduler starts the runs of all published workflows at their slots, and resumes runs without a carrier.
// Publishing, switching and cancelling by other processes are noticed within two seconds. Several schedulers
// may run on one account: a slot gets one run.
type Scheduler struct {
	Runner *Runner
	Poll   time.Duration // how often the store is asked; 0 = once a second
	AtOnce int           // runs of different workflows that delete at the same time; 0 = 2. Any number evaluate together

	// Queue shares slots and large runs out among the account's daemons; nil = this daemon starts what is due itself. In
	// either case the store gives a slot one run.
	Queue *queue.Queue
}

// Run schedules until the context ends, then waits for the runs under way to stop (each after its batch in hand) and
// returns nil. A workflow that fails never stops the others, and a store that is away is waited for.
func (s *Scheduler) Run(ctx context.Context) error {
	l := newLoop(s)
	poll := s.Poll
	if poll <= 0 {
		poll = defaultPoll
	}
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	defer l.running.Wait()
	if l.queue != nil {
		l.serve(ctx)
	}
	for {
		l.tick(ctx, l.r.Store.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// loop is the scheduler's memory between ticks. All but busy and patience belongs to the goroutine that ticks.
type loop struct {
	r       *Runner
	slots   chan struct{} // one token per run that may be under way
	running sync.WaitGroup

	loaded      map[string]loaded // by workflow
	lastActive  time.Time
	lastRecords time.Time
	lastQueues  time.Time
	storeAway   bool

	queue    *queue.Queue     // nil = none
	offered  map[string]offer // by workflow; the newest slot
	carried  map[string]bool  // workflows with a run that some process carries
	arrivals chan *arrival

	mu       sync.Mutex          // guards what follows
	busy     map[string]bool     // workflows with a run under way in this process
	patience map[string]patience // workflows that could not start
}

// loaded is what a published revision says about when to run.
type loaded struct {
	revision int
	schedule *schedule.Schedule
	missed   definition.Missed
	bounds   bounds
	failed   string // why it does not load; "" = it does
	at       time.Time
}

type patience struct {
	until time.Time
	wait  time.Duration
}

func newLoop(s *Scheduler) *loop {
	atOnce := s.AtOnce
	if atOnce <= 0 {
		atOnce = defaultAtOnce
	}
	r := *s.Runner
	if s.Queue != nil && r.Helpers == nil {
		r.Helpers = helpers{s.Queue}
	}
	return &loop{
		r: &r, slots: make(chan struct{}, atOnce), queue: s.Queue,
		loaded: map[string]loaded{}, busy: map[string]bool{}, patience: map[string]patience{},
		offered: map[string]offer{}, carried: map[string]bool{}, arrivals: make(chan *arrival),
	}
}

// tick does all that is due at the moment now.
func (l *loop) tick(ctx context.Context, now time.Time) {
	workflows, err := l.r.Store.Workflows(ctx)
	if !l.storeAnswered(ctx, err) || !l.storeWell(ctx) {
		return
	}
	l.r.Metrics.Track(workflows)
	if now.Sub(l.lastActive) >= activeEvery {
		l.lastActive = now
		l.active(ctx)
	}
	var due []RunRequest
	for _, w := range workflows {
		if w.On {
			due = append(due, l.schedule(ctx, now, w)...)
		}
	}
	l.begin(ctx, l.offer(ctx, due), nil)
	l.lookIntoQueues(ctx, now)
	if now.Sub(l.lastRecords) >= recordsEvery {
		l.lastRecords = now
		l.refreshRecords(ctx, now, workflows)
	}
}

// refreshRecords shows how many records there are, unless the store has lost the account while they were counted.
func (l *loop) refreshRecords(ctx context.Context, now time.Time, workflows []crmstore.Workflow) {
	if l.r.Metrics == nil {
		return
	}
	seen, err := readRecords(ctx, l.r.Store, now)
	l.report(ctx, err)
	if err == nil && l.storeWell(ctx) {
		l.r.Metrics.show(seen, l.bounds(workflows))
	}
}

// bounds are the limits of the workflows that are on and whose files load.
func (l *loop) bounds(workflows []crmstore.Workflow) map[string]bounds {
	on := map[string]bounds{}
	for _, w := range workflows {
		if b := l.loaded[w.Name].bounds; w.On && b.object != "" {
			on[w.Name] = b
		}
	}
	return on
}

// storeAnswered reports whether there was an answer, and writes a line when that changes.
func (l *loop) storeAnswered(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if err != nil && !l.storeAway {
		l.r.log().LogAttrs(ctx, slog.LevelError, "store does not answer; waiting for it", slog.Any(keyError, err))
	}
	if err == nil && l.storeAway {
		l.r.log().LogAttrs(ctx, slog.LevelInfo, "store answers again")
	}
	l.storeAway = err != nil
	return err == nil
}

// storeWell asks the store for its health, after the last answer on which something depends: an account that is there
// afterwards was there when that answer was given. While it is not well, slots wait and metrics stay as they were, and the time
// that a slot waits is not the queue's fault.
func (l *loop) storeWell(ctx context.Context) bool {
	if l.r.Health.Ask(ctx) == nil {
		return true
	}
	clear(l.offered)
	return false
}

func (l *loop) report(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		l.r.log().LogAttrs(ctx, slog.LevelWarn, "metrics are not fresh", slog.Any(keyError, err))
	}
}

// active counts held runs and resumes runs without a carrier. One whose workflow is off by now becomes held. It leaves
// deletions by hand alone: the user that stopped one may have had a reason, and resumes it by hand.
func (l *loop) active(ctx context.Context) {
	runs, err := l.r.Store.ActiveRuns(ctx)
	if err != nil {
		l.report(ctx, err)
		return
	}
	if !l.storeWell(ctx) {
		return
	}
	held := 0
	clear(l.carried)
	for _, run := range runs {
		if run.Kind == crmstore.RunDelete {
			continue
		}
		if run.State == crmstore.RunHeld {
			held++
		}
		if abandoned(run, l.r.Store.Now()) {
			l.start(ctx, run.Workflow, func(ctx context.Context) (crmstore.Run, error) { return l.r.Resume(ctx, run.ID) })
		} else if run.State == crmstore.RunRunning {
			l.carried[run.Workflow] = true
		}
	}
	l.r.Metrics.setHeld(held)
}

// schedule says which run of a workflow is due: none or one. A slot that is skipped is noted.
func (l *loop) schedule(ctx context.Context, now time.Time, w crmstore.Workflow) []RunRequest {
	known := l.load(ctx, now, w)
	if known.schedule == nil {
		return nil
	}
	w = l.mend(ctx, now, w, known.schedule)
	d := dueAt(known.schedule, w, known.missed, now)
	if d.slot.IsZero() {
		return nil
	}
	q := RunRequest{Name: w.Name, Now: d.slot, Scheduled: true, missed: d.missed}
	if !d.run {
		l.start(ctx, w.Name, func(ctx context.Context) (crmstore.Run, error) { return crmstore.Run{}, l.r.note(ctx, q, "") })
		return nil
	}
	if !l.free(w.Name) {
		return nil
	}
	return []RunRequest{q}
}

// begin starts the runs that are due: one by itself, several together, so that contacts are read once for all of them. It is
// false when enough runs are under way: then they stay due. ended is called at each run's end; it may be nil.
func (l *loop) begin(ctx context.Context, due []RunRequest, ended func(RunRequest, crmstore.Run, error)) bool {
	if ended == nil {
		ended = func(RunRequest, crmstore.Run, error) {}
	}
	if len(due) == 0 {
		return true
	}
	if len(due) == 1 {
		return l.start(ctx, due[0].Name, func(ctx context.Context) (crmstore.Run, error) {
			run, err := l.run(ctx, due[0])
			ended(due[0], run, err)
			return run, err
		})
	}
	select {
	case l.slots <- struct{}{}: // for the evaluation
	default:
		return false
	}
	members := groupRuns(ctx, len(due), l.slots, func(evaluate func()) { l.running.Go(evaluate) })
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, q := range due {
		q.member = members[i]
		l.busy[q.Name] = true
		l.running.Go(func() {
			run, err := l.run(ctx, q)
			q.member.end()
			l.stopped(ctx, q.Name, run, err)
			ended(q, run, err)
		})
	}
	return true
}

// run carries a scheduled run.
func (l *loop) run(ctx context.Context, q RunRequest) (crmstore.Run, error) {
	run, err := l.r.Run(ctx, q)
	var refused *RefusedError
	if errors.As(err, &refused) && refused.Reason == RefusedActive && run.State == crmstore.RunHeld {
		// The held run may wait for days, so the slot does not wait for it.
		q.missed++
		err = errors.Join(err, l.r.note(ctx, q, ""))
	}
	return run, err
}

// free reports whether the workflow is neither busy nor resting.
func (l *loop) free(workflow string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.busy[workflow] && !monotonic().Before(l.patience[workflow].until)
}

// load compiles a revision once. One that does not load is reported once, and tried again every minute: the
// property it misses may come back.
func (l *loop) load(ctx context.Context, now time.Time, w crmstore.Workflow) loaded {
	known, ok := l.loaded[w.Name]
	if ok && known.revision == w.Revision && (known.failed == "" || now.Sub(known.at) < reloadEvery) {
		return known
	}
	before := known
	d, err := LoadRevision(ctx, l.r.Store, w.Name, w.Revision)
	known = loaded{revision: w.Revision, at: now}
	var findings *FindingsError
	switch {
	case err == nil:
		known.schedule, known.missed, known.bounds = d.Schedule, d.Missed, bounds{d.Object, d.Limits}
	case !errors.As(err, &findings):
		return loaded{} // the store: the next tick asks again
	default:
		known.failed = err.Error()
		if before.revision == w.Revision {
			known.schedule, known.missed, known.bounds = before.schedule, before.missed, before.bounds
		}
		if known.failed != before.failed {
			l.r.Metrics.failed(w.Name)
			l.r.log().LogAttrs(ctx, slog.LevelError, "workflow does not load and cannot run",
				slog.String(keyWorkflow, w.Name), slog.Int(keyRevision, w.Revision), slog.Any(keyError, err))
		}
	}
	if !ok {
		l.report(ctx, l.r.Metrics.recall(ctx, l.r.Store, w.Name))
	}
	if known.schedule != nil {
		l.r.Metrics.scheduled(w.Name, known.schedule, now)
	} else {
		l.r.Metrics.scheduled(w.Name, nil, now) // a nil *Schedule in the interface would not be nil
	}
	l.loaded[w.Name] = known
	return known
}

// start runs the work in a goroutine, unless the workflow is busy or resting, or enough runs are under way: then it is
// false, the work stays due, and a later tick starts it.
func (l *loop) start(ctx context.Context, workflow string, work func(context.Context) (crmstore.Run, error)) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy[workflow] || monotonic().Before(l.patience[workflow].until) {
		return false
	}
	select {
	case l.slots <- struct{}{}:
	default:
		return false
	}
	l.busy[workflow] = true
	l.running.Go(func() {
		run, err := work(ctx)
		l.stopped(ctx, workflow, run, err)
		<-l.slots
	})
	return true
}

// stopped decides how long the workflow rests after its work: not at all when the slot is dealt with. A run that ended
// badly has written its own line.
func (l *loop) stopped(ctx context.Context, workflow string, run crmstore.Run, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.busy, workflow)
	var refused *RefusedError
	isRefusal := errors.As(err, &refused)
	if err == nil || errors.Is(err, ErrSlotTaken) || ctx.Err() != nil {
		delete(l.patience, workflow)
		return
	}
	if isRefusal && refused.Reason != RefusedActive {
		delete(l.patience, workflow)
	} else {
		p := l.patience[workflow]
		p.wait = min(max(2*p.wait, backOffFrom), backOffTo)
		p.until = monotonic().Add(p.wait)
		l.patience[workflow] = p
		if p.wait > backOffFrom {
			return // it was said before
		}
	}
	if isRefusal || run.ID == "" {
		l.r.log().LogAttrs(ctx, slog.LevelWarn, "workflow could not run",
			slog.String(keyWorkflow, workflow), slog.Any(keyError, err))
	}
}
