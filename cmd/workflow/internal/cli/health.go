package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/workflow"
)

// accessNote is the annotation of a verb that says what it does with the store. It stands beside the verb; a verb without
// it writes.
const accessNote = "access"

// What a verb does with the store.
const (
	writes = ""      // it gets no store that is in trouble
	reads  = "reads" // it changes nothing; it works with a store in trouble too, and says that the store is
	mends  = "mends" // it stops things, or finds out and mends; it is wanted just when the store is in trouble, and tells of that itself
)

// accessOf says what a call of the verb does with the store. A dry run reads, and switching a workflow off stops things.
func accessOf(cmd *cobra.Command) string {
	noted := cmd.Annotations[accessNote]
	switch {
	case noted != writes:
		return noted
	case isOn(cmd, "dry-run"):
		return reads
	case verbPath(cmd) == "publish" && isOn(cmd, "off"):
		return mends
	}
	return writes
}

func isOn(cmd *cobra.Command, flag string) bool {
	f := cmd.Flags().Lookup(flag)
	return f != nil && f.Value.String() == "true"
}

// verbPath is the verb without the program's name, such as "records import".
func verbPath(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return ""
	}
	if parent := verbPath(cmd.Parent()); parent != "" {
		return parent + " " + cmd.Name()
	}
	return cmd.Name()
}

// checkHealth asks the store that was opened whether the verb may go on with it. One that only reads is told what it should
// know: that something is missing, not that a replica takes no writes.
func (s *session) checkHealth(ctx context.Context, store *crmstore.Store) error {
	if s.verb == nil || accessOf(s.verb) == mends {
		return s.checkClock(ctx, store)
	}
	troubles, err := store.Health(ctx)
	if err != nil || len(troubles) == 0 {
		return err
	}
	if accessOf(s.verb) == writes {
		return &workflow.TroubleError{Troubles: troubles}
	}
	for _, t := range troubles {
		if !t.Passing {
			s.err.printf("note: %s\n", clean(t.Message))
		}
	}
	return nil
}

// checkClock keeps a repair from being made by a wrong clock. What stops things, or tells of clocks, goes on.
func (s *session) checkClock(ctx context.Context, store *crmstore.Store) error {
	if s.verb == nil || !isOn(s.verb, "repair") && verbPath(s.verb) != "account accept-loss" {
		return nil
	}
	c, err := store.KeepClock(ctx)
	if err != nil {
		return err
	}
	return c.May()
}

// troubleProblem explains a store in trouble; nil when err is something else.
func troubleProblem(err error) *problem {
	var trouble *workflow.TroubleError
	if !errors.As(err, &trouble) || len(trouble.Troubles) == 0 {
		return nil
	}
	first := trouble.Troubles[0]
	p := &problem{code: exitFailed, reason: first.Code, message: first.Message, help: first.Help}
	for _, t := range trouble.Troubles[1:] {
		p.message += "; " + t.Message
	}
	if err != error(trouble) { //nolint:errorlint // what was under way says what became of it
		p.message, p.help = err.Error(), ""
	}
	return p
}

// countAfterImport has the store remember how many records there are when an import is over, so that a loss is noticed also where
// no daemon counts. When it cannot, the next count is made by whatever runs next.
func (s *session) countAfterImport(ctx context.Context) {
	if s.verb == nil || s.opened == nil || verbPath(s.verb) != "records import" {
		return
	}
	system := s.opened.AsSystem()
	objects, err := system.ObjectTypes(ctx)
	for i := 0; err == nil && i < len(objects); i++ {
		_, err = system.LookForLossOf(ctx, objects[i])
	}
}
