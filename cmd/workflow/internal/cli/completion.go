package cli

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

func completionCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "completion bash|zsh|fish|powershell", Short: "shell completion: verbs, flags, workflow names, runs",
		Long: "completion prints a script for your shell. With it, Tab completes verbs, flags, the names of workflows and the\n" +
			"ids of runs.",
		Example: "  source <(workflow completion bash)\n  workflow completion zsh > ~/.zsh/completions/_workflow",
		Args:    args(1, 1, "a shell: bash, zsh, fish or powershell"),
		ValidArgsFunction: cobra.FixedCompletions([]string{"bash", "zsh", "fish", "powershell"},
			cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(s.out, true)
			case "zsh":
				return root.GenZshCompletion(s.out)
			case "fish":
				return root.GenFishCompletion(s.out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(s.out)
			}
			return usagef("one of: bash, zsh, fish, powershell", "shell %q is not known", args[0])
		},
	}
}

// completionTime bounds how long a Tab may wait for the store.
const completionTime = 2 * time.Second

type completer = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// completeWorkflows offers the names of published workflows, and files too where files are welcome.
func completeWorkflows(s *session, files bool) completer {
	return func(cmd *cobra.Command, done []string, _ string) ([]string, cobra.ShellCompDirective) {
		directive := cobra.ShellCompDirectiveNoFileComp
		if files {
			directive = cobra.ShellCompDirectiveDefault
		}
		if len(done) > 0 {
			return nil, directive
		}
		var names []string
		completeFrom(s, cmd, func(ctx context.Context, store *crmstore.Store) error {
			all, err := store.Workflows(ctx)
			for _, one := range all {
				state := "off"
				if one.On {
					state = "on"
				}
				names = append(names, one.Name+"\t"+state+", revision "+count(one.Revision))
			}
			return err
		})
		return names, directive
	}
}

// completeRuns offers the newest runs, in the given states or in any.
func completeRuns(s *session, states ...crmstore.RunState) completer {
	return func(cmd *cobra.Command, done []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(done) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var ids []string
		completeFrom(s, cmd, func(ctx context.Context, store *crmstore.Store) error {
			if len(states) == 0 {
				states = []crmstore.RunState{""}
			}
			for _, state := range states {
				runs, err := store.Runs(ctx, crmstore.RunFilter{State: state, Limit: 50})
				if err != nil {
					return err
				}
				for _, r := range runs {
					ids = append(ids, r.ID+"\t"+string(r.State)+", "+count(r.Deleted)+" deleted")
				}
			}
			return nil
		})
		return ids, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// completeLists offers the lists of the object type that the call names.
func completeLists(s *session, object func(context.Context) (record.ObjectType, error)) completer {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		var names []string
		completeFrom(s, cmd, func(ctx context.Context, store *crmstore.Store) error {
			o, err := object(ctx)
			if err != nil {
				return err
			}
			lists, err := store.Lists(ctx, o)
			names = slices.Sorted(maps.Keys(lists))
			return err
		})
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFrom asks the store; a store that does not answer simply offers nothing.
func completeFrom(s *session, cmd *cobra.Command, ask func(context.Context, *crmstore.Store) error) {
	if !s.storeExists() {
		return // Tab must not make a store
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	store, err := s.open(ctx)
	if err != nil {
		return
	}
	if err := ask(ctx, store); err != nil {
		cobra.CompDebugln(err.Error(), false)
	}
}
