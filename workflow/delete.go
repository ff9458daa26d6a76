package workflow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/actions"
	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/triggers"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// DeleteRequest asks for a deletion of many records by hand: those that Selection says or, where it says nothing, IDs.
type DeleteRequest struct {
	Object    record.ObjectType
	Selection crmstore.Selection
	IDs       []record.ID
	Skip      bool      // leave out IDs that are unknown or in the recycle bin already, instead of refusing all
	Now       time.Time // the instant at which the expression is true
	Why       string    // for the record and the audit log; may be empty
}

// deletePrefix begins the id of every deletion by hand.
const deletePrefix = "delete@"

// PrepareDelete finds and saves what a deletion by hand would delete, and deletes nothing. The run comes back held,
// until [Runner.Confirm] has its count; or done, when nothing is to be deleted. Errors: *RefusedError,
// *UndeletableError, or what made it fail.
func (r *Runner) PrepareDelete(ctx context.Context, q DeleteRequest) (crmstore.Run, error) {
	byIDs := q.Selection == crmstore.Selection{}
	if byIDs {
		var err error
		if q.IDs, err = Deletable(ctx, r.Store, q.Object, q.IDs, q.Skip); err != nil {
			return crmstore.Run{}, err
		}
	}
	run, err := r.createDelete(ctx, q)
	if err != nil {
		return run, fmt.Errorf("delete %s: %w", q.Object.Plural(), err)
	}
	r.event(ctx, run, slog.LevelInfo, "deletion by hand is being prepared")
	p := r.newPass(run)
	if byIDs {
		if err := p.saveIDs(ctx, q.IDs); err != nil {
			return (&closing{pass: p}).end(context.WithoutCancel(ctx), err)
		}
	}
	return p.carry(ctx)
}

// createDelete saves the new run under the first free number.
func (r *Runner) createDelete(ctx context.Context, q DeleteRequest) (crmstore.Run, error) {
	started := r.Store.Now()
	run := crmstore.Run{
		Kind: crmstore.RunDelete, Object: q.Object, Selection: &q.Selection, Why: q.Why, Now: q.Now.UTC(),
		State: crmstore.RunRunning, Stage: stageEvaluate, StartedBy: r.Store.User(), StartedAt: started,
		Owner: r.owner(), Beat: started, Fence: 1,
	}
	if q.Selection.List != "" {
		list, err := listOf(ctx, r.Store, run)
		if err != nil {
			return run, err
		}
		run.ListNumber = list.Number
	}
	for n := 1; ; n++ {
		run.ID = deletePrefix + q.Now.UTC().Format(time.RFC3339) + "." + strconv.Itoa(n)
		created, err := r.Store.CreateRun(ctx, run)
		if !errors.Is(err, record.ErrExists) {
			return created, err
		}
	}
}

// saveIDs makes ids the run's matches; from then on the run can be resumed.
func (p *pass) saveIDs(ctx context.Context, ids []record.ID) error {
	partitions, err := p.store.Partitions(ctx)
	if err != nil {
		return err
	}
	groups := make([]crmstore.Matches, partitions)
	for _, id := range ids {
		at := id.Partition(partitions)
		groups[at].Partition = at
		groups[at].IDs = append(groups[at].IDs, id)
	}
	groups = slices.DeleteFunc(groups, func(m crmstore.Matches) bool { return len(m.IDs) == 0 })
	if err := p.store.SaveMatches(ctx, p.runMatches(), groups); err != nil {
		return err
	}
	return p.update(ctx, func(run *crmstore.Run) {
		run.Stage = stageGuard
		run.Evaluated, run.Matched = int64(len(ids)), int64(len(ids))
	})
}

// errIDsLost says that a deletion of ids was stopped before they were saved.
func errIDsLost(run string) error {
	return &RefusedError{
		Reason:  RefusedState,
		Message: fmt.Sprintf("run %s was stopped before all its ids were saved; nothing was deleted", run),
		Help:    "give the delete command again",
	}
}

// guardByHand holds the run until its count is typed. There is nothing to type when nothing is to be deleted.
func (p *pass) guardByHand(ctx context.Context) error {
	if err := checkEverything(p.saved()); err != nil {
		return err
	}
	if n := enrolling(p.saved().Totals); n > 0 {
		return &limitError{reason: fmt.Sprintf("waits until the count of its %s is typed", countedRecords(n, p.def.Object))}
	}
	return p.update(ctx, func(run *crmstore.Run) { run.Stage = stageAct })
}

// Confirm is [Runner.Approve] of a prepared deletion by hand, and of nothing else.
func (r *Runner) Confirm(ctx context.Context, id string, count int64, at time.Time) (crmstore.Run, error) {
	run, err := r.Store.Run(ctx, id)
	if err != nil {
		return run, fmt.Errorf("confirm run %s: %w", id, err)
	}
	if run.Kind != crmstore.RunDelete || run.State != crmstore.RunHeld || run.Stage != stageGuard {
		return run, &RefusedError{Reason: RefusedState, Message: fmt.Sprintf("run %s is %s: there is no count to confirm", id, run.State)}
	}
	return r.Approve(ctx, id, Approval{Count: count, At: at})
}

// checkEverything is [CheckEverything] of a run that has looked.
func checkEverything(run crmstore.Run) error {
	return CheckEverything(*run.Selection, enrolling(run.Totals), run.Evaluated, run.Object)
}

// CheckEverything is a *RefusedError when a selection finds all live records of the type, whatever its expression looks like,
// and it does not say that all are meant. Ids name each record, and are what they are.
func CheckEverything(s crmstore.Selection, found, live int64, o record.ObjectType) error {
	if s.Everything || s == (crmstore.Selection{}) || found == 0 || found < live {
		return nil
	}
	return &RefusedError{
		Reason:  RefusedEverything,
		Message: fmt.Sprintf("this would delete all %s that there are; nothing was changed", countedRecords(found, o)),
		Help:    fmt.Sprintf("if that is what you want, add: --everything --confirm %d", found),
	}
}

// forgetShown removes the matches of a deletion that was cancelled before it deleted anything.
func (r *Runner) forgetShown(ctx context.Context, run crmstore.Run) error {
	if run.Kind != crmstore.RunDelete || run.Stage == stageAct || run.Stage == stageClose {
		return nil
	}
	partitions, err := r.system().Partitions(ctx)
	if err != nil {
		return err
	}
	none := make([]crmstore.Matches, partitions)
	for p := range none {
		none[p].Partition = p
	}
	return r.system().SaveMatches(ctx, crmstore.RunMatches{Object: run.Object, Run: run.ID}, none)
}

// loadByHand is a deletion by hand as a definition: what it was asked for as its one trigger, which for ids is true of
// every record, and the deletion as its one action.
func loadByHand(ctx context.Context, store *crmstore.Store, run crmstore.Run) (*definition.Definition, error) {
	known, err := definition.AccountVocabulary(ctx, store)
	if err != nil {
		return nil, fmt.Errorf("load run %s: %w", run.ID, err)
	}
	if _, err := checkByHand(ctx, store, run); err != nil {
		return nil, err
	}
	vocabulary := known(run.Object)
	expr, findings := triggers.Compile(diag.NewText("--where", SelectionExpression(*run.Selection), nil), vocabulary)
	if expr == nil {
		first := &FindingsError{List: findings}
		return nil, &RefusedError{
			Reason:  RefusedState,
			Message: fmt.Sprintf("run %s cannot go on: its expression is no longer good: %s", run.ID, first.first()),
			Help:    "see what it was asked for: workflow runs " + run.ID,
		}
	}
	return &definition.Definition{
		Name: run.ID, Object: run.Object,
		Trigger: triggers.Trigger{Object: run.Object, Any: []*triggers.Expr{expr}, Vocabulary: vocabulary},
		Actions: []definition.Step{{Spec: actions.DeleteByHand(run.Object)}},
	}, nil
}

// SelectionExpression is a selection as one expression; "true" for a selection of ids.
func SelectionExpression(s crmstore.Selection) string {
	var parts []string
	if s.List != "" {
		parts = append(parts, "inList("+strconv.Quote(s.List)+")")
	}
	if s.Where != "" && s.List != "" {
		parts = append(parts, "("+s.Where+")")
	} else if s.Where != "" {
		parts = append(parts, s.Where)
	}
	if len(parts) == 0 {
		return "true"
	}
	return strings.Join(parts, " && ")
}

// checkByHand asks whether a deletion by hand may act now: its acting user still may delete many records, and its list is
// still the same one. It returns the store as that user sees it.
func checkByHand(ctx context.Context, system *crmstore.Store, run crmstore.Run) (*crmstore.Store, error) {
	acting, err := actingFor(ctx, system, run)
	if err != nil {
		return nil, err
	}
	if err := acting.Check(ctx, run.Object, crmstore.CanView, crmstore.CanDelete, crmstore.CanBulkDelete); err != nil {
		return nil, asRefusal("", err)
	}
	if run.Selection.List == "" {
		return acting, nil
	}
	list, err := listOf(ctx, system, run)
	if err != nil {
		return nil, err
	}
	if list.Number != run.ListNumber {
		return nil, &RefusedError{
			Reason:  RefusedList,
			Message: fmt.Sprintf("list %s was deleted and made again since run %s began; nothing more is deleted", run.Selection.List, run.ID),
			Help:    "look again: workflow delete --list " + run.Selection.List,
		}
	}
	return acting, nil
}

// listOf is the list that a deletion by hand was asked for; a *RefusedError when it is gone.
func listOf(ctx context.Context, store *crmstore.Store, run crmstore.Run) (crmstore.List, error) {
	lists, err := store.Lists(ctx, run.Object)
	if err != nil {
		return crmstore.List{}, fmt.Errorf("read the lists of %s: %w", run.Object.Plural(), err)
	}
	list, ok := lists[run.Selection.List]
	if !ok {
		return list, &RefusedError{
			Reason:  RefusedList,
			Message: fmt.Sprintf("there is no list %s of %s; nothing more is deleted", run.Selection.List, run.Object.Plural()),
			Help:    "see: workflow lists list --object " + string(run.Object),
		}
	}
	return list, nil
}

// reasonByHand is why a deletion by hand deletes, for the records and the audit log. The expression is not in it,
// because it may hold what identifies a person; the run has it.
func reasonByHand(run crmstore.Run) string {
	switch {
	case run.Why != "":
		return run.Why
	case run.Selection.List != "":
		return "delete --list " + run.Selection.List
	case run.Selection.Where != "":
		return "delete --where"
	}
	return "delete"
}

// countedRecords is a number of records of a type: "1 contact", "11,908 contacts".
func countedRecords(n int64, o record.ObjectType) string {
	return diag.Counted(n, string(o), o.Plural())
}
