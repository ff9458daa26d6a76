package workflow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

// Runner carries runs through. It is safe for concurrent use; one process needs one.
type Runner struct {
	Store   *crmstore.Store // as its user sees it: the user that runs, approves, cancels and undoes, or the system for schedules
	Metrics *Metrics        // nil = none
	Log     *slog.Logger    // nil = nothing is logged
	Owner   string          // the carrier's name; "" = this process, see NewOwner

	// Patience is how long a run waits for a store that stops answering before it fails; 0 = 30 s, below 0 = not at all.
	// It then tries its stage again, a few times.
	Patience time.Duration

	// Health is asked before a run starts and before each of its batches; nil = the store is taken to be well.
	Health *Health

	// Helpers are asked to carry out ranges of large runs; nil = the runner asks none.
	Helpers Helpers
	// ShareFrom is the number of matches from which a run is large; 0 = 10,000. All processes of an account must agree.
	ShareFrom int64

	// PauseAbove is how long the store may take to answer a short question before deletions pause, and take fewer records at a
	// time; 0 = 250 ms, below 0 = they never do.
	PauseAbove time.Duration

	// Progress is called with how far a stage (evaluate, act, undo) is, in partitions or records; nil = none.
	// Calls do not overlap within one run.
	Progress func(stage string, done, total int64)

	// Resumed is called with an unfinished run that Run carried to its end before its own; nil = none.
	Resumed func(crmstore.Run)
}

// RunRequest asks for one pass of a published workflow.
type RunRequest struct {
	Name      string
	Now       time.Time // the run's one instant; for a scheduled run its slot
	Scheduled bool

	missed int     // slots before this one that get no run
	late   bool    // the queue gave the slot to no daemon
	member *member // of the runs that it evaluates together with; nil = none
}

// ErrSlotTaken says that the slot has its run already.
var ErrSlotTaken = errors.New("the slot has its run already")

// byWorkflow is the StartedBy of a scheduled run.
const byWorkflow = "workflow"

// system is the store acting as the system, for what a run saves about itself: also a refusal for lack of permission.
// What a run reads and deletes, it reads and deletes as its acting user.
func (r *Runner) system() *crmstore.Store { return r.Store.AsSystem() }

// Run carries one pass of a published workflow from its evaluation to its end, and returns the run as it was saved last.
// It first resumes an unfinished run of the workflow without a carrier. A run over a limit comes back held, with a nil
// error. Errors: *crmstore.PermissionError when the store's user may not manage workflows; *RefusedError (tier, permission
// of its publisher, switched off, another run not over); ErrSlotTaken; crmstore.ErrNotFound; the context's error (the run
// can be resumed); or what made the run fail.
func (r *Runner) Run(ctx context.Context, q RunRequest) (crmstore.Run, error) {
	if err := r.Store.Check(ctx, "", crmstore.CanManageWorkflows); err != nil {
		return crmstore.Run{}, err
	}
	for {
		w, err := r.Store.Workflow(ctx, q.Name)
		if err != nil {
			return crmstore.Run{}, fmt.Errorf("run workflow %s: %w", q.Name, err)
		}
		if _, _, err := checkRuns(ctx, r.system(), q.Name, w.Revision); err != nil {
			return crmstore.Run{}, r.refuseRun(ctx, q, err)
		}
		run, err := r.create(ctx, w, q)
		var active *record.ActiveRunError
		switch {
		case err == nil:
			if err := r.note(ctx, q, run.ID); err != nil {
				return run, fmt.Errorf("run %s: %w", run.ID, err)
			}
			if q.late { // a run that cannot begin is not the queue's fault
				r.Metrics.bypassed(q.Name)
				r.event(ctx, run, slog.LevelWarn, "the queue gave the slot to no daemon; its run began without the queue")
			}
			r.event(ctx, run, slog.LevelInfo, "run started", slog.Bool("scheduled", run.Scheduled))
			p := r.newPass(run)
			p.member = q.member
			return p.carry(ctx)
		case errors.Is(err, record.ErrExists) && q.Scheduled:
			return r.slotTaken(ctx, q)
		case errors.As(err, &active):
			if err := q.member.leave(ctx); err != nil { // that run has a stage of its own, and may take long
				return crmstore.Run{}, err
			}
			before, err := r.finish(ctx, active.Run)
			if err != nil || before.State != crmstore.RunDone || before.ID == slotID(q) {
				return before, err
			}
		default:
			return crmstore.Run{}, fmt.Errorf("run workflow %s: %w", q.Name, err)
		}
	}
}

// refuseRun notes a refusal. A scheduled slot that was refused is over: it is not tried again.
func (r *Runner) refuseRun(ctx context.Context, q RunRequest, err error) error {
	var refused *RefusedError
	if !errors.As(err, &refused) {
		return err
	}
	r.Metrics.refused(q.Name, refused.Reason)
	if !q.Scheduled {
		return err
	}
	return errors.Join(err, r.note(ctx, q, ""))
}

// slotID is the id of a scheduled run; "" for a run by hand.
func slotID(q RunRequest) string {
	if !q.Scheduled {
		return ""
	}
	return q.Name + "@" + q.Now.UTC().Format(time.RFC3339)
}

// create saves the new run. A run by hand takes the first free number.
func (r *Runner) create(ctx context.Context, w crmstore.Workflow, q RunRequest) (crmstore.Run, error) {
	started := r.Store.Now()
	run := crmstore.Run{
		ID: slotID(q), Workflow: w.Name, Object: w.Object, Revision: w.Revision, Scheduled: q.Scheduled,
		Now: q.Now.UTC(), State: crmstore.RunRunning, Stage: stageEvaluate,
		StartedBy: r.Store.User(), StartedAt: started, Owner: r.owner(), Beat: started, Fence: 1,
	}
	if q.Scheduled {
		run.StartedBy = byWorkflow
		return r.Store.CreateRun(ctx, run)
	}
	for n := 1; ; n++ {
		run.ID = q.Name + "@" + q.Now.UTC().Format(time.RFC3339) + "." + strconv.Itoa(n)
		created, err := r.Store.CreateRun(ctx, run)
		if !errors.Is(err, record.ErrExists) {
			return created, err
		}
	}
}

// slotTaken answers for a slot that has a run. It resumes a run without a carrier.
func (r *Runner) slotTaken(ctx context.Context, q RunRequest) (crmstore.Run, error) {
	run, err := r.Store.Run(ctx, slotID(q))
	if err != nil {
		return run, fmt.Errorf("run workflow %s: %w", q.Name, err)
	}
	if err := r.note(ctx, q, run.ID); err != nil {
		return run, fmt.Errorf("run workflow %s: %w", q.Name, err)
	}
	if abandoned(run, r.Store.Now()) {
		if err := q.member.leave(ctx); err != nil {
			return run, err
		}
		return r.resume(ctx, run)
	}
	return run, fmt.Errorf("run %s: %w", run.ID, ErrSlotTaken)
}

// finish carries another run of the workflow to its end if that has no carrier. Otherwise it is a *RefusedError.
func (r *Runner) finish(ctx context.Context, id string) (crmstore.Run, error) {
	run, err := r.Store.Run(ctx, id)
	if err != nil {
		return run, fmt.Errorf("run %s: %w", id, err)
	}
	refused := &RefusedError{Reason: RefusedActive}
	switch {
	case abandoned(run, r.Store.Now()):
		run, err = r.resume(ctx, run)
		if err == nil && r.Resumed != nil {
			r.Resumed(run)
		}
		return run, err
	case run.State == crmstore.RunRunning:
		refused.Message = fmt.Sprintf("run %s is under way (carried by %s)", id, run.Owner)
		refused.Help = "wait for its end, or stop it with: workflow cancel " + id
	case run.State == crmstore.RunHeld:
		refused.Message = fmt.Sprintf("run %s is held: %s", id, run.Reason)
		refused.Help = fmt.Sprintf("see who: workflow approve %s --dry-run; let it go on with: workflow approve %s --confirm N, or end it with: workflow cancel %s", id, id, id)
	default: // it ended just now: the workflow is free
		return crmstore.Run{ID: id, State: crmstore.RunDone}, nil
	}
	r.Metrics.refused(run.Workflow, refused.Reason)
	return run, refused
}

// note saves the run as the workflow's last and, for a scheduled one, its slot. Only the process that saves the slot counts
// the slots missed before it.
func (r *Runner) note(ctx context.Context, q RunRequest, run string) error {
	for range 20 {
		w, err := r.system().Workflow(ctx, q.Name)
		if err != nil {
			return err
		}
		newer := q.Scheduled && q.Now.After(w.LastSlot)
		if !newer && (run == "" || w.LastRun == run) {
			return nil
		}
		if newer {
			w.LastSlot = q.Now.UTC()
		}
		if run != "" {
			w.LastRun = run
		}
		_, err = r.system().SaveWorkflow(ctx, w, nil, "", record.Cause{}, r.Store.Now())
		if err == nil && newer && q.missed > 0 {
			r.Metrics.missed(q.Name, q.missed)
			r.log().LogAttrs(ctx, slog.LevelWarn, "slots missed", slog.String(keyWorkflow, q.Name),
				slog.Int(keyMissed, q.missed), slog.Time(keySlot, q.Now))
		}
		if !errors.Is(err, record.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("note run of workflow %s: %w", q.Name, record.ErrConflict)
}

// Resume goes on with a run that failed or lost its carrier, from where it stopped. A run that was approved needs the
// permissions of an approval. Errors as [Runner.Run].
func (r *Runner) Resume(ctx context.Context, id string) (crmstore.Run, error) {
	run, err := r.Store.Run(ctx, id)
	if err != nil {
		return run, fmt.Errorf("resume run %s: %w", id, err)
	}
	if err := r.Store.Check(ctx, run.Object, run.Permissions()...); err != nil {
		return run, err
	}
	if run.ApprovedBy != "" { // else a user without that permission could carry an approved run on
		if err := r.Store.Check(ctx, run.Object, run.ApprovalPermissions()...); err != nil {
			return run, err
		}
	}
	refused := &RefusedError{Reason: RefusedState, Message: fmt.Sprintf("run %s is %s and cannot be resumed", id, run.State)}
	switch {
	case run.State == crmstore.RunFailed && run.Undone > 0:
		refused.Message = fmt.Sprintf("run %s was undone and cannot be resumed", id)
		return run, refused
	case run.State == crmstore.RunFailed, abandoned(run, r.Store.Now()):
		return r.resume(ctx, run)
	case run.State == crmstore.RunRunning:
		refused.Message = fmt.Sprintf("run %s is under way (carried by %s)", id, run.Owner)
	case run.State == crmstore.RunHeld:
		refused.Help = "see who: workflow approve " + id + " --dry-run; let it go on with: workflow approve " + id + " --confirm N"
	}
	return run, refused
}

// resume takes the run over and carries it on. An interrupted run that may not go on becomes held: switching the workflow
// on again, perhaps weeks later, must not continue it. A failed run of an earlier revision becomes held too, and goes on
// when it is approved.
func (r *Runner) resume(ctx context.Context, run crmstore.Run) (crmstore.Run, error) {
	_, err := mayAct(ctx, r.system(), run)
	var refused *RefusedError
	if err != nil && (!errors.As(err, &refused) || run.State != crmstore.RunRunning && refused.Reason != RefusedRevision) {
		return run, err
	}
	taken, err := r.take(ctx, run, func(run *crmstore.Run) {
		if run.Kind == crmstore.RunDelete && run.Stage == stageAct && !r.Store.IsSystem() {
			run.ApprovedBy = r.Store.User() // resuming it is confirming it
		}
	})
	if errors.Is(err, record.ErrConflict) {
		return run, r.tooLate(ctx, run.ID)
	}
	if err != nil {
		return run, err
	}
	p := r.newPass(taken)
	if run.Owner != "" {
		p.metrics().tookOver(run.Workflow, takeoverRun)
	}
	if refused != nil {
		return (&closing{pass: p}).end(ctx, refused)
	}
	r.event(ctx, taken, slog.LevelInfo, "run resumed", slog.String(keyStage, taken.Stage))
	return p.carry(ctx)
}

// take makes this process the run's owner, with a higher fencing number. crmstore.ErrConflict when another process took or
// changed the run since it was read.
func (r *Runner) take(ctx context.Context, run crmstore.Run, change func(*crmstore.Run), notes ...record.Event) (crmstore.Run, error) {
	run.State, run.Reason = crmstore.RunRunning, ""
	run.Owner, run.Beat, run.FinishedAt = r.owner(), r.Store.Now(), time.Time{}
	change(&run)
	taken, err := r.Store.TakeRun(ctx, run, notes...)
	var active *record.ActiveRunError
	switch {
	case errors.As(err, &active):
		return run, &RefusedError{
			Reason:  RefusedActive,
			Message: fmt.Sprintf("run %s cannot go on: run %s of the same workflow is not over", run.ID, active.Run),
			Help:    "wait for its end, or stop it with: workflow cancel " + active.Run,
		}
	case err != nil:
		return run, fmt.Errorf("take run %s over: %w", run.ID, err)
	}
	return taken, nil
}

// tooLate is the refusal for a user who was not the first to continue a run. It says what the run is now.
func (r *Runner) tooLate(ctx context.Context, id string) error {
	now, err := r.Store.Run(ctx, id)
	if err != nil {
		return fmt.Errorf("read run %s: %w", id, err)
	}
	refused := &RefusedError{Reason: RefusedActive, Help: "see how far it is: workflow runs " + id}
	switch now.State {
	case crmstore.RunRunning:
		refused.Message = fmt.Sprintf("run %s goes on already: another user or daemon was faster%s, and %s carries it", id, approvers(now), now.Owner)
	case crmstore.RunHeld:
		refused.Message = fmt.Sprintf("run %s was changed at the same time by another user or daemon; it is held: %s", id, now.Reason)
		refused.Help = "look again: workflow runs " + id
	case crmstore.RunDone, crmstore.RunFailed, crmstore.RunCancelled:
		refused.Message = fmt.Sprintf("run %s is %s already: another user or daemon was faster%s", id, now.State, approvers(now))
		refused.Help = "see what it did: workflow runs " + id
	}
	return refused
}

// approvers names the user that approved a run, for a sentence; "" when it was not approved.
func approvers(run crmstore.Run) string {
	if run.ApprovedBy == "" {
		return ""
	}
	return " (approved by " + run.ApprovedBy + ")"
}

// DryRun evaluates a definition at the instant now and writes nothing at all. State is [RunDryRun]; Reason
// says which limit a real run would be held by.
func (r *Runner) DryRun(ctx context.Context, d *definition.Definition, now time.Time) (crmstore.Run, error) {
	runs, err := r.DryRuns(ctx, []*definition.Definition{d}, now)
	return runs[0], err
}

// DryRuns is [Runner.DryRun] of several definitions, in their order. One scan reads the records for all definitions of an
// object type. Runner.Progress is called for the first definition alone.
func (r *Runner) DryRuns(ctx context.Context, defs []*definition.Definition, now time.Time) ([]crmstore.Run, error) {
	runs := make([]crmstore.Run, len(defs))
	groups := map[record.ObjectType][]*scan{}
	for i, d := range defs {
		runs[i] = crmstore.Run{Workflow: d.Name, Object: d.Object, Now: now.UTC(), State: RunDryRun, Stage: stageEvaluate}
		l := &scan{def: d, now: now, found: func(_ context.Context, found scanResult) error {
			add(&runs[i].Totals, found.totals)
			return nil
		}}
		if i == 0 {
			l.progress = r.stageProgress(stageEvaluate)
		}
		groups[d.Object] = append(groups[d.Object], l)
	}
	for _, scans := range groups {
		err := scanTogether(ctx, r.Store, scans)
		for _, l := range scans {
			err = cmp.Or(err, l.failure())
		}
		if err != nil {
			return runs, fmt.Errorf("dry run: %w", err)
		}
	}
	for i, d := range defs {
		a, err := readAllowance(ctx, r.Store, d, runs[i].Evaluated, r.Store.Now())
		if err != nil {
			return runs, fmt.Errorf("dry run: %w", err)
		}
		runs[i].Reason = a.over(planOf(runs[i].Totals)).text()
	}
	return runs, nil
}

func (r *Runner) owner() string {
	if r.Owner != "" {
		return r.Owner
	}
	return NewOwner()
}

func (r *Runner) stageProgress(stage string) func(done, total int64) {
	if r.Progress == nil {
		return nil
	}
	return func(done, total int64) { r.Progress(stage, done, total) }
}
