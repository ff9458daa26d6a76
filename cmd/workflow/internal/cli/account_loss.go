package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

func (s *session) accountAcceptLoss() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "accept-loss [--yes]", Short: "go on without records and keys that the store has lost",
		Long: "accept-loss says how many records are missing that no run, no purge and no person removed, and how many keys the server\n" +
			"dropped by itself. Both stop daemons, runs and verbs that write. Once a person has accepted it, they go on with what\n" +
			"is there. Bring a backup back instead where there is one. For super admins; the audit log has it.",
		Example: "  workflow doctor\n  workflow account accept-loss",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			store, err := s.open(ctx)
			if err != nil {
				return err
			}
			lost, err := store.Lost(ctx)
			if err != nil {
				return err
			}
			if !lost.Nothing() {
				if err := s.confirmLoss(lost, yes); err != nil {
					return err
				}
				if lost, err = store.AcceptLoss(ctx, s.cause("account accept-loss"), s.now()); err != nil {
					return err
				}
			}
			s.emit(lost, func(o *output) {
				if lost.Nothing() {
					o.printf("nothing is missing\n")
					return
				}
				o.printf("accepted: %s; work goes on with what is there\n", lossWords(lost))
				o.printf("mend what is left of it: workflow doctor --repair\n")
			})
			return nil
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// confirmLoss asks a person, who may bring a backup back instead.
func (s *session) confirmLoss(lost crmstore.Accepted, yes bool) error {
	switch {
	case yes:
		return nil
	case !s.command.StdinTerminal:
		return refusedf("to go on without them: --yes", "%s: nothing was accepted", lossWords(lost))
	}
	s.err.printf("%s\n", lossWords(lost))
	return s.askYes("go on without them?")
}

// lossWords is what was lost, on one line.
func lossWords(lost crmstore.Accepted) string {
	var words []string
	for _, o := range slices.Sorted(maps.Keys(lost.Missing)) {
		words = append(words, records(lost.Missing[o], o)+" missing")
	}
	if lost.Dropped > 0 {
		words = append(words, counted(int(lost.Dropped), "key", "keys")+" dropped by the server")
	}
	return strings.Join(words, ", ")
}

// examineLoss has doctor say what was lost: it can mend nothing of that.
func examineLoss(ctx context.Context, store *crmstore.Store, only crmstore.ObjectType, report func(crmstore.Problem)) error {
	lost, err := store.Lost(ctx)
	if err != nil {
		return err
	}
	const help = "bring a backup back, or go on without: workflow account accept-loss"
	for _, o := range slices.Sorted(maps.Keys(lost.Missing)) {
		if only == "" || only == o {
			report(crmstore.Problem{Code: crmstore.TroubleMissing, Object: o, Detail: fmt.Sprintf(
				"%s missing, which no run, no purge and no person removed; %s", records(lost.Missing[o], o), help)})
		}
	}
	if lost.Dropped > 0 {
		report(crmstore.Problem{Code: crmstore.TroubleEvicted, Detail: fmt.Sprintf(
			"the server dropped %s by itself since it started; %s", counted(int(lost.Dropped), "key", "keys"), help)})
	}
	return nil
}
