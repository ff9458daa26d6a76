package workflow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// longestWait is how long a scheduled run waits for room instead of being held. A daily run whose slot comes a little less
// than 24 hours after the last deletion, as by the time that run took or on the night when clocks go forward, needs no person.
const longestWait = 90 * time.Minute

// mostNamed bounds how many workflows a reason names.
const mostNamed = 5

// allowance is what bounds the deletions of one workflow in 24 hours: its file, its account, and what was deleted already.
type allowance struct {
	workflow string
	object   record.ObjectType
	limits   definition.Limits
	account  crmstore.DeletionLimits
	live     int64 // records that the run evaluated, all of which were live
	lately   crmstore.Lately
	at       time.Time

	approved bool // a person has answered for all but the account's ceiling
	lifted   bool // a super admin has answered for that
}

// readAllowance reads it for a definition whose run found so many live records.
func readAllowance(ctx context.Context, store *crmstore.Store, d *definition.Definition, live int64, at time.Time) (*allowance, error) {
	account, err := store.DeletionLimits(ctx)
	if err != nil {
		return nil, err
	}
	lately, err := store.DeletedLately(ctx, d.Object, at)
	if err != nil {
		return nil, err
	}
	return &allowance{workflow: d.Name, object: d.Object, limits: d.Limits, account: account, live: live, lately: lately, at: at}, nil
}

// plan is what a run is about to delete.
type plan struct {
	count    int64 // records
	restored int64 // of these, restored before
	address  int64 // of the others, those whose address belonged to a contact that was deleted
}

func planOf(t crmstore.Totals) plan {
	return plan{count: enrolling(t), restored: t.RestoredBefore, address: t.DeletedBefore}
}

// excess is what holds a run; without reasons nothing does.
type excess struct {
	reasons []string
	ceiling string    // that of the reasons which is the account's ceiling: only a super admin can approve the run; "" = none is
	metric  string    // the first reason, as the metric of refusals says it
	room    time.Time // when there is room for it, if nothing else is deleted until then; zero when that is not known
}

// text is all reasons in one line; "" when there are none.
func (e *excess) text() string {
	all := e.reasons
	if !e.room.IsZero() {
		all = append(slices.Clone(all), "there is room from "+e.room.UTC().Format(time.RFC3339))
	}
	return strings.Join(all, "; ")
}

// held is the text for a run that is held.
func (e *excess) held() string {
	if e.ceiling != "" {
		return e.text() + "; only a super admin can approve it"
	}
	return e.text()
}

// add takes a reason over, unless it is empty, with the instant from which there is room.
func (e *excess) add(metric, reason string, room time.Time) {
	if reason == "" {
		return
	}
	known := len(e.reasons) == 0 || !e.room.IsZero()
	e.metric = cmp.Or(e.metric, metric)
	e.reasons = append(e.reasons, reason)
	switch {
	case !known || room.IsZero():
		e.room = time.Time{}
	case room.After(e.room):
		e.room = room
	}
}

// over says what of a plan is too much.
func (a *allowance) over(p plan) *excess {
	e := &excess{}
	if p.count == 0 {
		return e
	}
	if !a.approved {
		reason, most := a.overOwn(p.count)
		own := a.lately.Of(a.workflow)
		e.add(RefusedLimit, reason, own.RoomFrom(p.count, most, a.at))
	}
	if !a.lifted {
		reason, most := a.overAccount(p.count)
		e.add(RefusedCeiling, reason, a.lately.All.RoomFrom(p.count, most, a.at))
		e.ceiling = reason
	}
	if !a.approved {
		e.add(RefusedRepeated, a.overRepeated(p), time.Time{})
	}
	return e
}

// overOwn says why count more are over the workflow's own limits, "" when they are not, and how many may be.
func (a *allowance) overOwn(count int64) (reason string, most int64) {
	own := a.lately.Of(a.workflow)
	together := count + own.Sum()
	said := fmt.Sprintf("%s %s match", diag.Thousands(count), a.object.Plural())
	if own.Sum() > 0 {
		said += fmt.Sprintf("; with %s by %s in the last 24 hours they are %s", deletions(own), a.workflow, diag.Thousands(together))
	}
	most = a.limits.Own(a.live)
	if n := int64(a.limits.MaxDeletions); together > n {
		return fmt.Sprintf("%s, more than max_deletions %s", said, diag.Thousands(n)), most
	}
	counts := together
	if a.limits.MaxPercent >= 100 { // all may go, and those that came since
		counts = count
	}
	if counts <= a.limits.Share(a.live) {
		return "", most
	}
	share := "more than all"
	if a.live > 0 {
		share = definition.Percent(float64(counts) * 100 / float64(a.live))
	}
	return fmt.Sprintf("%s, %s of %s live %s, more than max_percent %s",
		said, share, diag.Thousands(a.live), a.object.Plural(), definition.Percent(a.limits.MaxPercent)), most
}

// overAccount says why count more are over the account's ceiling, "" when they are not, and how many may be.
func (a *allowance) overAccount(count int64) (reason string, most int64) {
	most = a.account.Ceiling(a.live)
	all := a.lately.All
	together := count + all.Sum()
	if together <= most {
		return "", most
	}
	said := diag.Thousands(count) + " are"
	if all.Sum() > 0 {
		said = fmt.Sprintf("%s with %s in the last 24 hours (%s) are %s,",
			diag.Thousands(count), deletions(all), a.byWhat(), diag.Thousands(together))
	}
	return fmt.Sprintf("%s more than the account's %s", said, a.ceiling()), most
}

// ceiling names the account's ceiling and where it comes from.
func (a *allowance) ceiling() string {
	text := fmt.Sprintf("%s %s", crmstore.SettingPerDay, diag.Thousands(a.account.Ceiling(a.live)))
	switch {
	case a.account.PerDay > 0:
		return text
	case a.account.Ceiling(a.live) > a.live/5:
		return text + " (the default)"
	}
	return fmt.Sprintf("%s (20 %% of %s live %s)", text, diag.Thousands(a.live), a.object.Plural())
}

// byWhat names what deleted lately, the most first.
func (a *allowance) byWhat() string {
	names := make([]string, 0, len(a.lately.By))
	for name := range a.lately.By {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int {
		return cmp.Or(cmp.Compare(a.lately.By[y].Sum(), a.lately.By[x].Sum()), cmp.Compare(x, y))
	})
	var parts []string
	for i, name := range names {
		if i == mostNamed {
			parts = append(parts, fmt.Sprintf("and %d more", len(names)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%s %s", cmp.Or(name, "by hand"), diag.Thousands(a.lately.By[name].Sum())))
	}
	return strings.Join(parts, ", ")
}

// deletions says how many were deleted, and how many are about to be.
func deletions(c crmstore.Counted) string {
	deleted := diag.Thousands(c.Deleted + c.Forgotten)
	if c.Forgotten > 0 {
		deleted += fmt.Sprintf(" (the count of %s was lost: see workflow doctor)", diag.Thousands(c.Forgotten))
	}
	switch {
	case c.Aside == 0:
		return deleted + " deleted"
	case c.Deleted+c.Forgotten == 0:
		return diag.Thousands(c.Aside) + " about to be deleted"
	}
	return fmt.Sprintf("%s deleted and %s about to be", deleted, diag.Thousands(c.Aside))
}

// overRepeated says why too many of a plan were restored or deleted before; "" when they are not too many.
func (a *allowance) overRepeated(p plan) string {
	if p.restored+p.address <= a.account.Repeated {
		return ""
	}
	return fmt.Sprintf("%s restored before and %s deleted before under the same address are more than %s %s",
		diag.Thousands(p.restored), diag.Thousands(p.address), crmstore.SettingRepeated, diag.Thousands(a.account.Repeated))
}

// roomError lets a scheduled run go until there is room for what it would delete.
type roomError struct{ run, reason string }

func (e *roomError) Error() string { return fmt.Sprintf("run %s waits: %s", e.run, e.reason) }

// reserve sets aside what the run deletes. Without room it holds the run, or lets it go for a while. An approval has
// answered for the workflow's limits, a super admin's also for the account's ceiling. A deletion by hand has no limits but
// the ceiling.
func (p *pass) reserve(ctx context.Context, approved bool) error {
	run := p.saved()
	plan := planOf(run.Totals)
	if plan.count == 0 {
		return nil
	}
	account, err := p.store.DeletionLimits(ctx)
	if err != nil {
		return err
	}
	r := crmstore.Reservation{Object: run.Object, Run: run.ID, Workflow: run.Workflow, Records: plan.count, Most: -1, MostAll: -1}
	if !p.byHand && !approved {
		r.Most = p.def.Limits.Own(run.Evaluated)
	}
	live, err := liveOf(ctx, p.store, run)
	if err != nil {
		return err
	}
	if !run.Lifted {
		r.MostAll = account.Ceiling(live)
	}
	repeated := !p.byHand && !approved && plan.restored+plan.address > account.Repeated
	for range maxTroubles {
		at := p.store.Now()
		if !repeated {
			room, err := p.store.Reserve(ctx, r, at)
			if err != nil || room.Granted {
				return err
			}
		}
		a, err := readAllowance(ctx, p.store, p.def, live, at)
		if err != nil {
			return err
		}
		if settled, err := p.r.settleEnded(ctx, run.Object, a.lately.Open, at); err != nil {
			return err
		} else if settled {
			continue
		}
		a.approved, a.lifted = approved || p.byHand, run.Lifted
		e := a.over(plan)
		switch {
		case len(e.reasons) == 0: // there is room by now
		case run.Scheduled && !approved && !e.room.IsZero() && e.room.Sub(at) <= longestWait:
			return &roomError{run: p.id, reason: e.text()}
		default:
			return &limitError{reason: e.held(), metric: e.metric}
		}
	}
	return fmt.Errorf("set the deletions of run %s aside: %w", p.id, record.ErrConflict)
}

// liftsCeiling reports whether an approval by the runner's user passes the account's ceiling: a super admin's does.
func (r *Runner) liftsCeiling(ctx context.Context) bool {
	may, err := r.Store.May(ctx, "", crmstore.IsSuperAdmin) // it is no refusal when not
	return may && err == nil
}

// checkCeiling is a *RefusedError when an approval of the held run by the runner's user could not pass the account's ceiling.
// Should another run take the room in between, the run is held again.
func (r *Runner) checkCeiling(ctx context.Context, run crmstore.Run) error {
	if run.Stage == stageEvaluate || r.liftsCeiling(ctx) { // what is not counted yet is held when it is
		return nil
	}
	live, err := liveOf(ctx, r.system(), run)
	if err != nil {
		return fmt.Errorf("approve run %s: %w", run.ID, err)
	}
	a, err := readAllowance(ctx, r.system(), &definition.Definition{Name: run.Workflow, Object: run.Object}, live, r.Store.Now())
	if err != nil {
		return fmt.Errorf("approve run %s: %w", run.ID, err)
	}
	p := planOf(run.Totals)
	p.count -= run.Deleted // is counted already
	a.approved = true
	e := a.over(p)
	if len(e.reasons) == 0 {
		return nil
	}
	r.Metrics.refused(run.Workflow, RefusedCeiling)
	return &RefusedError{
		Reason:  RefusedCeiling,
		Message: fmt.Sprintf("run %s stays held: %s", run.ID, e.text()),
		Help:    "a super admin can approve it, or raise the ceiling with: workflow account set " + crmstore.SettingPerDay + " N",
	}
}

// liveOf is how many live records the share of a run is taken of: those that a workflow's run evaluated. A deletion by hand
// may have been given ids, and then evaluated no others.
func liveOf(ctx context.Context, store *crmstore.Store, run crmstore.Run) (int64, error) {
	if run.Kind != crmstore.RunDelete {
		return run.Evaluated, nil
	}
	counts, err := store.Count(ctx, run.Object)
	return counts.Live, err
}

// settle counts what a run did that stopped, if it stands as it was read or saved.
func settle(ctx context.Context, store *crmstore.Store, run crmstore.Run, final bool, at time.Time) error {
	return store.Settle(ctx, crmstore.Settlement{
		Object: run.Object, Run: run.ID, Workflow: run.Workflow, Deleted: run.Deleted, Final: final, Version: run.Version,
	}, at)
}

// settleStopped is settle of a run that is held, failed or cancelled.
func settleStopped(ctx context.Context, store *crmstore.Store, run crmstore.Run, at time.Time) error {
	return settle(ctx, store, run, run.State == crmstore.RunCancelled || run.State == crmstore.RunDone, at)
}

// settleFenced is settleStopped of a fenced run: until it was fenced, helpers may have worked on its ranges.
func settleFenced(ctx context.Context, store *crmstore.Store, run crmstore.Run) (crmstore.Run, error) {
	run, err := recount(ctx, store, run)
	if err != nil {
		return run, err
	}
	return run, settleStopped(ctx, store, run, store.Now())
}

// settleEnded counts what runs did that have something set aside and stopped: their carrier died before it could do that. It
// reports whether there were any.
func (r *Runner) settleEnded(ctx context.Context, o record.ObjectType, open []crmstore.Aside, at time.Time) (bool, error) {
	settled := false
	for _, aside := range open {
		run, err := r.system().Run(ctx, aside.Run)
		switch {
		case errors.Is(err, record.ErrNotFound): // the store lost the run: it counts as if it had deleted all of them
			run = crmstore.Run{ID: aside.Run, Object: o, Workflow: aside.Workflow, State: crmstore.RunCancelled}
			run.Deleted = aside.Records
		case err != nil:
			return settled, err
		case run.State == crmstore.RunRunning:
			continue
		default:
			if run.Totals, err = tally(ctx, r.system(), run); err != nil {
				return settled, err
			}
		}
		if err := settleStopped(ctx, r.system(), run, at); err != nil {
			return settled, err
		}
		settled = true
	}
	return settled, nil
}
