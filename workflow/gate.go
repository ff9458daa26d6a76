package workflow

import (
	"context"
	"errors"
	"fmt"

	"github.com/crm-workflow/crm-workflow/actions"
	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// The reasons of a refusal, as the metric label has them.
const (
	RefusedTier       = "tier"       // the account's subscription does not include workflows
	RefusedObject     = "object"     // an action does not work on the object type
	RefusedPermission = "permission" // the user may not do it
	RefusedLimit      = "limit"      // more than the file allows in 24 hours
	RefusedCeiling    = "ceiling"    // more than the account allows in 24 hours
	RefusedRepeated   = "repeated"   // too many that were restored or deleted before
	RefusedOff        = "off"        // the workflow is switched off
	RefusedActive     = "active"     // another run of the workflow is not over
	RefusedRevision   = "revision"   // another revision was published since
	RefusedState      = "state"      // the run is in a state that does not allow it
	RefusedList       = "list"       // the list that a deletion by hand was asked for is gone
	RefusedEverything = "everything" // a deletion by hand would take all live records, and that was not said
	RefusedApprover   = "approver"   // another user must approve
	RefusedCount      = "count"      // another count than that of the records to delete was typed
)

// RefusedError says that something is not allowed. Nothing was changed, and nothing is broken.
type RefusedError struct {
	Reason  string // one of the Refused constants
	Message string // what is refused and why, one line
	Help    string // what to do about it; may be empty
}

// Error is the message, with the help behind it.
func (e *RefusedError) Error() string {
	if e.Help == "" {
		return e.Message
	}
	return e.Message + "; " + e.Help
}

// CheckGate is nil when the account may use workflows, else a *RefusedError. It is asked at publish, at the
// start of a run and before each round of batches.
func CheckGate(a crmstore.Account) error {
	switch a.Tier {
	case crmstore.Professional, crmstore.Enterprise:
		return nil
	default:
		return &RefusedError{
			Reason:  RefusedTier,
			Message: fmt.Sprintf("account %s has tier %s, and workflows need professional or enterprise", a.Name, a.Tier),
			Help:    "change it with: workflow account set-tier professional",
		}
	}
}

// checkActions is nil when every action of the definition works on its object, else a *RefusedError.
func checkActions(d *definition.Definition) error {
	for _, step := range d.Actions {
		if err := step.Spec.Refuse(d.Object); err != nil {
			return &RefusedError{Reason: RefusedObject, Message: fmt.Sprintf("workflow %s: %v", d.Name, err)}
		}
	}
	return nil
}

// mayAct asks whether the run may act now: checkRuns answers for a workflow's run, checkByHand for a deletion by hand. It
// returns the store as the run's acting user sees it.
func mayAct(ctx context.Context, system *crmstore.Store, run crmstore.Run) (*crmstore.Store, error) {
	if run.Kind == crmstore.RunDelete {
		return checkByHand(ctx, system, run)
	}
	acting, w, err := checkRuns(ctx, system, run.Workflow, run.Revision)
	if err == nil {
		err = checkRevision(w, run)
	}
	return acting, err
}

// checkRevision is a *RefusedError when the workflow has another revision than the run, and the run's approver did not see
// that one. So a run that is under way when another revision is published stops before its next batch.
func checkRevision(w crmstore.Workflow, run crmstore.Run) error {
	if run.Revision == w.Revision || run.SeenRevision == w.Revision {
		return nil
	}
	return refusedRevision(w, run)
}

func refusedRevision(w crmstore.Workflow, run crmstore.Run) *RefusedError {
	return &RefusedError{
		Reason:  RefusedRevision,
		Message: fmt.Sprintf("revision %s of %s was published while this run of revision %s was not over", diag.Thousands(int64(w.Revision)), w.Name, diag.Thousands(int64(run.Revision))),
		Help:    "see whom it would still delete: workflow approve " + run.ID + " --dry-run",
	}
}

// checkRuns asks whether a run of the workflow's revision may act now: the account's tier allows it, the workflow is on,
// and its publisher still may do what it does. It returns the store as the publisher sees it, and the workflow.
func checkRuns(ctx context.Context, system *crmstore.Store, name string, revision int) (*crmstore.Store, crmstore.Workflow, error) {
	account, err := system.Account(ctx)
	if err != nil {
		return nil, crmstore.Workflow{}, fmt.Errorf("ask the gate of workflow %s: %w", name, err)
	}
	if err := CheckGate(account); err != nil {
		return nil, crmstore.Workflow{}, err
	}
	w, err := system.Workflow(ctx, name)
	if err != nil {
		return nil, w, fmt.Errorf("ask the gate of workflow %s: %w", name, err)
	}
	if err := checkOn(w); err != nil {
		return nil, w, err
	}
	acting, err := publisherOf(ctx, system, w, revision)
	if err != nil {
		return nil, w, fmt.Errorf("ask the gate of workflow %s: %w", name, err)
	}
	return acting, w, asRefusal(name, checkPublisher(ctx, acting, w.Object))
}

// checkPublisher is nil when the acting user may publish a workflow on the object, and may do what it does.
func checkPublisher(ctx context.Context, acting *crmstore.Store, o record.ObjectType) error {
	return acting.Check(ctx, o, crmstore.CanManageWorkflows, crmstore.CanView, crmstore.CanDelete)
}

// actingFor is the store as the run's acting user sees it: the publisher of its workflow, or the user that confirmed a
// deletion by hand.
func actingFor(ctx context.Context, system *crmstore.Store, run crmstore.Run) (*crmstore.Store, error) {
	if run.Kind == crmstore.RunDelete {
		if run.ApprovedBy != "" {
			return system.As(run.ApprovedBy), nil
		}
		return system.As(run.StartedBy), nil
	}
	w, err := system.Workflow(ctx, run.Workflow)
	if err != nil {
		return nil, err
	}
	return publisherOf(ctx, system, w, run.Revision)
}

// publisherOf is the store as the publisher of the revision sees it. The current revision's publisher is the user that
// published it last.
func publisherOf(ctx context.Context, system *crmstore.Store, w crmstore.Workflow, revision int) (*crmstore.Store, error) {
	if revision == w.Revision {
		return system.As(w.PublishedBy), nil
	}
	r, err := system.Revision(ctx, w.Name, revision)
	if err != nil {
		return nil, err
	}
	return system.As(r.By), nil
}

func checkOn(w crmstore.Workflow) error {
	if w.On {
		return nil
	}
	return refusedOff(w)
}

func refusedOff(w crmstore.Workflow) *RefusedError {
	return &RefusedError{
		Reason:  RefusedOff,
		Message: fmt.Sprintf("workflow %s is switched off", w.Name),
		Help:    "switch it on with: workflow publish " + w.Name,
	}
}

// asRefusal turns an action's refusal, or the store's refusal of the acting user, into a *RefusedError. Other errors stay
// as they are. name is the workflow's, "" for a deletion by hand.
func asRefusal(name string, err error) error {
	if denied, ok := errors.AsType[*crmstore.PermissionError](err); ok {
		if name == "" {
			return &RefusedError{Reason: RefusedPermission, Message: denied.Message(), Help: denied.Help()}
		}
		return &RefusedError{
			Reason:  RefusedPermission,
			Message: fmt.Sprintf("workflow %s acts as %s, who published it: %s", name, denied.User, denied.Message()),
			Help:    denied.Help() + ", or have a permitted user publish the workflow again",
		}
	}
	if object, ok := errors.AsType[*actions.ObjectError](err); ok {
		return &RefusedError{Reason: RefusedObject, Message: object.Error()}
	}
	return err
}
