package actions

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Spec declares one action: what a file calls it, what it may be used on and how to make one.
type Spec struct {
	Name        string              // as written under actions:
	Summary     string              // one sentence, for people and for completion in editors
	Example     string              // a whole workflow file that loads
	Objects     []record.ObjectType // what it may be used on
	Destructive bool                // takes records out of use: limits and a dry run matter
	New         func() Action
}

// Allows reports whether the action may be used on an object type.
func (s Spec) Allows(o record.ObjectType) bool { return slices.Contains(s.Objects, o) }

// Refuse is nil when the action may be used on the object type, else an *ObjectError.
func (s Spec) Refuse(o record.ObjectType) error {
	if s.Allows(o) {
		return nil
	}
	return &ObjectError{Action: s.Name, Object: o, Allowed: s.Objects}
}

// Find is the built-in action with that name.
func Find(name string) (Spec, bool) {
	for _, s := range Builtin() {
		if s.Name == name {
			return s, true
		}
	}
	return Spec{}, false
}

// Names lists the built-in actions' names in the order of the catalogue.
func Names() []string {
	all := Builtin()
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = s.Name
	}
	return names
}

// Action performs one step on batches of tested records.
type Action interface {
	// Do acts and returns one outcome per record, in the order of batches and records. It returns an
	// *ObjectError, having done nothing, for an object type it does not work on. After another error
	// some batches may have been done; repeating the call finds out which.
	Do(ctx context.Context, records Records, call Call) ([][]Outcome, error)
}

// Records is all of the store that actions may touch; *crmstore.Store is one.
type Records interface {
	Archive(ctx context.Context, o crmstore.ArchiveOrder, batches []crmstore.Archive) ([][]crmstore.ArchiveOutcome, error)
}

// Call is one request to act.
type Call struct {
	Object  record.ObjectType
	Cause   record.Cause // actor, workflow, revision and run; Reason is filled in per record
	At      time.Time    // the instant of the change, for the record and the audit log
	Fence   uint64       // the run's fencing number: a process that lost the run is refused by the store
	Batches []Batch
}

// Batch is tested records of one partition.
type Batch struct {
	Partition int
	Records   []Tested
}

// Tested is a record as it was when it was found to enroll.
type Tested struct {
	ID      record.ID
	Slot    uint32
	Version uint64
	Trigger int // number, from 1, of the trigger that was true
}

// Outcome says what became of one record.
type Outcome uint8

// The outcomes of an action.
const (
	Done     Outcome = iota + 1 // done now
	Repeated                    // this run had done it before; counts as done
	Left                        // nothing to act on any more: it was deleted or purged meanwhile
	Held                        // on legal hold: no action may touch it
	Stale                       // changed since it was tested: read it, test it and call again
)

// String is the outcome as the metric label has it.
func (o Outcome) String() string {
	switch o {
	case Done:
		return "done"
	case Repeated:
		return "repeated"
	case Left:
		return "left"
	case Held:
		return "held"
	case Stale:
		return "stale"
	default:
		return "unknown"
	}
}

// ObjectError refuses an action on an object type that it does not work on.
type ObjectError struct {
	Action  string
	Object  record.ObjectType
	Allowed []record.ObjectType
}

// Error names the action, the object type and what the action works on.
func (e *ObjectError) Error() string {
	allowed := make([]string, len(e.Allowed))
	for i, o := range e.Allowed {
		allowed[i] = string(o)
	}
	return fmt.Sprintf("action %s works on %s only, not on %s", e.Action, strings.Join(allowed, ", "), e.Object)
}
