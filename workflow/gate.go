package workflow

import (
	"context"
	"errors"
	"fmt"

	"github.com/crm-workflow/crm-workflow/actions"
	"github.com/crm-workflow/crm-workflow/crmstore"
)

// The reasons of a refusal, as the metric label has them.
const (
	RefusedTier       = "tier"       // the account's subscription does not include workflows
	RefusedObject     = "object"     // an action does not work on the object type
	RefusedPermission = "permission" // the user may not do it
	RefusedLimit      = "limit"      // more matches than the file allows
	RefusedOff        = "off"        // the workflow is switched off
	RefusedActive     = "active"     // another run of the workflow is not over
	RefusedState      = "state"      // the run is in a state that does not allow it
	RefusedList       = "list"       // the list that a deletion by hand was asked for is gone
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
func checkActions(d *Definition) error {
	for _, step := range d.Actions {
		if err := step.Spec.Refuse(d.Object); err != nil {
			return &RefusedError{Reason: RefusedObject, Message: fmt.Sprintf("workflow %s: %v", d.Name, err)}
		}
	}
	return nil
}

// mayAct is nil when the run may act now: a workflow's as checkRuns says, a deletion by hand as checkByHand does.
func mayAct(ctx context.Context, store *crmstore.Store, run crmstore.Run) error {
	if run.Kind == crmstore.RunDelete {
		return checkByHand(ctx, store, run)
	}
	return checkRuns(ctx, store, run.Workflow)
}

// checkRuns is nil when a run of the workflow may act now: the account's tier allows it and the workflow is on.
func checkRuns(ctx context.Context, store *crmstore.Store, name string) error {
	account, err := store.Account(ctx)
	if err != nil {
		return fmt.Errorf("ask the gate of workflow %s: %w", name, err)
	}
	if err := CheckGate(account); err != nil {
		return err
	}
	w, err := store.Workflow(ctx, name)
	if err != nil {
		return fmt.Errorf("ask the gate of workflow %s: %w", name, err)
	}
	return checkOn(w)
}

func checkOn(w crmstore.Workflow) error {
	if w.On {
		return nil
	}
	return &RefusedError{
		Reason:  RefusedOff,
		Message: fmt.Sprintf("workflow %s is switched off", w.Name),
		Help:    "switch it on with: workflow publish " + w.Name,
	}
}

// asRefusal gives an action's refusal the form that all refusals have.
func asRefusal(err error) error {
	if object, ok := errors.AsType[*actions.ObjectError](err); ok {
		return &RefusedError{Reason: RefusedObject, Message: object.Error()}
	}
	return err
}
