package workflow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/triggers"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

// The stages of a run, in order.
const (
	stageEvaluate = "evaluate"
	stageGuard    = "guard"
	stageAct      = "act"
	stageClose    = "close"
)

// endTime is how long saving a run's end may take after the context was cancelled.
const endTime = 10 * time.Second

// How often a pass waits for a store in trouble, and by default how long each time. That is enough for a server to start
// again or a replica to take over.
const (
	maxTroubles     = 5
	defaultPatience = 30 * time.Second
)

// pass is one process carrying one run: from taking it to its end, or to letting it go.
type pass struct {
	r     *Runner
	store *crmstore.Store // acts as the system
	id    string
	fence uint64

	workflow string // name; "" for a deletion by hand
	byHand   bool   // a deletion by hand: no tier, no switch, no metrics of a workflow

	member *member // of the run group that its first evaluation is in; nil = of none

	def     *definition.Definition // set by load
	acting  *crmstore.Store        // set by load: the store as the acting user sees it
	matcher *triggers.Matcher      // set by load; actors have clones

	began    time.Time
	counted  crmstore.Totals  // what earlier passes deleted, and counted in metrics
	did      atomic.Int64     // records whose deletion by this pass the store confirmed
	again    bool             // a stage is carried out again after trouble
	helping  bool             // another process carries the run; this one carries out some of its ranges
	ranges   *sharing         // of a large run; see sharing
	reserved bool             // its guard has set the deletions aside
	sum      *crmstore.Totals // what the run did, once it has closed
	throttle *throttle
	progress progress

	matchesLost bool // the store has lost matches; see reconcile

	mu  sync.Mutex   // guards run, and keeps saves apart
	run crmstore.Run // as saved last
}

func (r *Runner) newPass(run crmstore.Run) *pass {
	p := &pass{
		r: r, store: r.system(), id: run.ID, workflow: run.Workflow, byHand: run.Kind == crmstore.RunDelete,
		fence: run.Fence, began: monotonic(), counted: r.Metrics.countedOf(run), run: run,
		progress: progress{report: r.Progress},
	}
	p.throttle = &throttle{pass: p}
	return p
}

// metrics are the workflow's; a deletion by hand has none.
func (p *pass) metrics() *Metrics {
	if p.byHand {
		return nil
	}
	return p.r.Metrics
}

// carriedBefore reports whether another pass, or this one before trouble, may have left something behind.
func (p *pass) carriedBefore() bool { return p.fence > 1 || p.again }

// saved is the run as it was saved last.
func (p *pass) saved() crmstore.Run {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run
}

// carry runs the stages and saves how they ended.
func (p *pass) carry(ctx context.Context) (crmstore.Run, error) {
	work, stop := context.WithCancelCause(ctx)
	var beating sync.WaitGroup
	beating.Go(func() { p.beat(work, stop) })
	err := p.stages(work)
	if cause := context.Cause(work); err != nil && cause != nil {
		err = cause
		if ctx.Err() != nil {
			err = &interruptedError{run: p.id, cause: cause}
		}
	}
	if trouble, ok := errors.AsType[*TroubleError](err); ok {
		err = &interruptedError{run: p.id, cause: trouble}
	}
	stop(nil)
	beating.Wait()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	return (&closing{pass: p}).end(end, err)
}

// beat gives a sign of life until the work is over. It stops the work when the run is lost.
func (p *pass) beat(ctx context.Context, stop context.CancelCauseFunc) {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		var lost *lostError
		if err := p.update(ctx, func(run *crmstore.Run) { run.Progress = p.progress.of(*run) }); errors.As(err, &lost) {
			stop(err)
			return
		}
		// Other errors are left to the stage: it meets the same store, and reports it.
	}
}

// update changes the run in the store. It is a *lostError when another process changed the run in between. A run that
// stops before its end is fenced: a process that carried it before may be frozen in a deletion.
func (p *pass) update(ctx context.Context, change func(*crmstore.Run)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range 5 {
		next := p.run
		next.Beat = p.store.Now()
		change(&next)
		save, stops := p.store.SaveRun, next.State == crmstore.RunHeld || next.State == crmstore.RunFailed
		if stops {
			save = p.store.SealRun
		}
		saved, err := save(ctx, next)
		if err == nil {
			p.run = saved
			return nil
		}
		if !errors.Is(err, record.ErrConflict) {
			return fmt.Errorf("save run %s: %w", p.id, err)
		}
		now, err := p.store.Run(ctx, p.id)
		if err != nil {
			return fmt.Errorf("save run %s: %w", p.id, err)
		}
		if now.Fence == p.fence && now.State == next.State && now.Stage == next.Stage && now.Owner == next.Owner {
			p.run = now                              // our own write, whose answer was lost on the way
			if now.Totals == next.Totals && !stops { // the lost answer leaves open whether the run was fenced
				return nil
			}
			continue
		}
		if err := p.check(now); err != nil {
			return err
		}
		if now.Version < p.run.Version {
			return errRolledBack
		}
		p.run = now
	}
	return fmt.Errorf("save run %s: %w", p.id, record.ErrConflict)
}

// check is a *lostError unless this pass still owns the run as the store has it, or may still help with it.
func (p *pass) check(now crmstore.Run) error {
	if now.State == crmstore.RunRunning && (now.Fence == p.fence || p.helping && now.Stage == stageAct) {
		return nil
	}
	return &lostError{now: now}
}

// owned reads the run and is a *lostError when this pass no longer owns it.
func (p *pass) owned(ctx context.Context) error {
	before := p.saved().Version
	now, err := p.store.Run(ctx, p.id)
	if err != nil {
		return fmt.Errorf("read run %s: %w", p.id, err)
	}
	if now.Version < before {
		return errRolledBack
	}
	return p.check(now)
}

// stages carries the stages out. After trouble with the store that passes it tries the stage again.
func (p *pass) stages(ctx context.Context) error {
	for troubles := 0; ; troubles++ {
		err := p.remaining(ctx)
		if err == nil || troubles == maxTroubles || final(err) || !p.waitForStore(ctx, err) {
			return err
		}
		p.again = true
		p.metrics().triedAgain(p.workflow)
	}
}

// final reports whether an error stays the same however often the stage is tried again.
func final(err error) bool {
	for _, known := range []error{record.ErrFenced, record.ErrNotFound, record.ErrNoAccount, record.ErrLayout, record.ErrAccountGone, record.ErrOtherAccount} {
		if errors.Is(err, known) {
			return true
		}
	}
	switch {
	case errors.As(err, new(*lostError)), errors.As(err, new(*crmstore.LostError)), errors.As(err, new(*limitError)),
		errors.As(err, new(*roomError)), errors.As(err, new(*RefusedError)), errors.As(err, new(*FindingsError)),
		errors.As(err, new(*TroubleError)):
		return true
	}
	return false
}

// waitForStore waits until the store answers, for the runner's patience, and reports whether it does.
func (p *pass) waitForStore(ctx context.Context, trouble error) bool {
	patience := p.r.Patience
	if patience == 0 {
		patience = defaultPatience
	}
	if patience < 0 || ctx.Err() != nil {
		return false
	}
	p.r.event(ctx, p.saved(), slog.LevelWarn, "run has trouble and tries again", slog.Any(keyError, trouble))
	limit, pause := time.NewTimer(patience), time.NewTicker(min(patience/10, time.Second))
	defer limit.Stop()
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-limit.C:
			return false
		case <-pause.C:
			if p.store.Ping(ctx) == nil {
				return true
			}
		}
	}
}

// remaining goes on from the stage that the run is in.
func (p *pass) remaining(ctx context.Context) error {
	if err := p.load(ctx); err != nil {
		return err
	}
	if p.again {
		if err := p.reconcile(ctx); err != nil {
			return err
		}
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		stage := p.saved().Stage
		if stage == stageEvaluate || stage == stageAct { // before the run finds its matches, and before it deletes
			if err := p.r.Health.countAll(ctx, p.def.Object); err != nil {
				return err
			}
		}
		var err error
		switch stage {
		case stageEvaluate:
			err = p.evaluate(ctx)
		case stageGuard:
			err = p.guard(ctx)
		case stageAct:
			err = p.act(ctx)
		case stageClose:
			return p.sumUp(ctx)
		default:
			err = fmt.Errorf("run %s is in stage %q, which this program does not know", p.id, stage)
		}
		if err != nil {
			return asRefusal(p.workflow, err)
		}
	}
}

func loadWorkflow(ctx context.Context, store *crmstore.Store, run crmstore.Run) (*definition.Definition, error) {
	return LoadRevision(ctx, store, run.Workflow, run.Revision)
}

// load compiles the run's own revision, or what a deletion by hand was asked for, and fixes its instant.
func (p *pass) load(ctx context.Context) error {
	run := p.saved()
	load := loadWorkflow
	if p.byHand {
		load = loadByHand
	}
	def, err := load(ctx, p.store, run)
	if err != nil {
		return err
	}
	if p.acting, err = actingFor(ctx, p.store, run); err != nil {
		return err
	}
	if p.matcher, err = def.Trigger.At(run.Now); err != nil {
		return fmt.Errorf("plan run %s: %w", p.id, err)
	}
	p.def = def
	return nil
}
