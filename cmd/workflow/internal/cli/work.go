package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// needs says what a verb wants before its first step. It stands beside the verb; what the verb does with the store
// stands there too (accessNote).
type needs struct {
	check  func(words []string) error                       // refuses a wrong call before the store is opened; nil: nothing to check
	object func(context.Context) (record.ObjectType, error) // reads --object; nil: the verb has no such flag
	now    *string                                          // the text of --now; nil: the verb has no such flag
}

// work is what a verb works with, and nothing else opens a store for a verb. [Command.Run] closes the store when the
// verb has ended.
type work struct {
	*session
	store  *crmstore.Store
	object record.ObjectType // "": the verb has no --object, or its --object has no default and was not given
	at     time.Time         // the instant that --now says; without it, the moment at which the store was opened
	words  []string          // the verb's arguments
}

// work makes a verb's steps its RunE: it gets ready what the verb needs, and hands it to the steps.
func (s *session) work(n needs, steps func(context.Context, *work) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, words []string) error {
		w, err := newWork(cmd.Context(), s, n, words)
		if err != nil {
			return err
		}
		return steps(cmd.Context(), w)
	}
}

// newWork reads what may be wrong in the call first, so that a wrong call opens no store.
func newWork(ctx context.Context, s *session, n needs, words []string) (*work, error) {
	w := &work{session: s, words: words}
	if n.check != nil {
		if err := n.check(words); err != nil {
			return nil, err
		}
	}
	var err error
	if n.object != nil {
		if w.object, err = n.object(ctx); err != nil {
			return nil, err
		}
	}
	if n.now != nil && *n.now != "" {
		if w.at, err = parseTime("--now", *n.now); err != nil {
			return nil, err
		}
	}
	if w.store, err = s.open(ctx); err != nil {
		return nil, err
	}
	if w.at.IsZero() {
		w.at = s.now()
	}
	return w, nil
}
