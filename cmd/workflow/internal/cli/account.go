package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/spelling"
)

func accountCommand(s *session) *cobra.Command {
	return group("account", "the account, its tier, its partitions and its settings",
		"  workflow account create --tier professional\n  workflow account show",
		accountCreate(s), accountShow(s), accountSetTier(s), accountSet(s), accountAcceptLoss(s), accountClock(s))
}

func accountCreate(s *session) *cobra.Command {
	var tier string
	var level crmstore.Tier
	var partitions int
	cmd := &cobra.Command{
		Use: "create [--tier TIER] [--partitions N]", Short: "make the account",
		Long: "create makes the account with the usual properties of contacts, companies, deals, tickets and calls.\n" +
			"The number of partitions is fixed from then on; the default is right up to tens of millions of contacts.",
		Example: "  workflow account create\n  workflow account create --tier enterprise --partitions 4096",
		Args:    noArgs,
		RunE: s.work(needs{check: func([]string) (err error) {
			if level, err = parseTier(tier); err != nil {
				return err
			}
			if partitions < 0 {
				return usagef("", "--partitions %d: want a positive number", partitions)
			}
			return nil
		}}, func(ctx context.Context, w *work) error {
			a, err := w.store.CreateAccount(ctx, level, partitions, w.cause("account create"), w.now())
			if errors.Is(err, record.ErrExists) {
				return refusedf("see it: workflow account show"+w.repeatFlags(), "%v", err)
			}
			if err != nil {
				return err
			}
			w.emit(a, func(o *output) {
				o.printf("account %s is ready in %s: tier %s, %s partitions\n", a.Name, w.store.Describe(), a.Tier, count(a.Partitions))
				o.printf("next: workflow records import FILE.csv\n")
			})
			return nil
		}),
	}
	cmd.Flags().StringVar(&tier, "tier", string(crmstore.Professional), "free, starter, professional or enterprise")
	cmd.Flags().IntVar(&partitions, "partitions", 0, "partitions of each object type (0 = 1024)")
	_ = cmd.RegisterFlagCompletionFunc("tier", cobra.FixedCompletions(tierNames(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func accountShow(s *session) *cobra.Command {
	return &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "show", Short: "tier, partitions, how many records there are, and the settings",
		Example: "  workflow account show --format json", Args: noArgs,
		RunE: s.work(needs{}, showAccount),
	}
}

// accountDocument is the account with its counts.
type accountDocument struct {
	crmstore.Account
	Store     string                                `json:"store"`
	Workflows bool                                  `json:"workflows_allowed"`
	Records   map[record.ObjectType]crmstore.Counts `json:"records"`
	Settings  []crmstore.Setting                    `json:"settings"`
}

func showAccount(ctx context.Context, w *work) error {
	a, err := w.store.Account(ctx)
	if err != nil {
		return err
	}
	doc := accountDocument{
		Account: a, Store: w.store.Describe(), Workflows: runsWorkflows(a.Tier),
		Records: map[record.ObjectType]crmstore.Counts{},
	}
	objects, err := w.store.Objects(ctx)
	if err != nil {
		return err
	}
	for i := range objects {
		o := objects[i].Name
		if doc.Records[o], err = w.store.Count(ctx, o); err != nil {
			return err
		}
	}
	if doc.Settings, err = w.store.Settings(ctx); err != nil {
		return err
	}
	w.emit(doc, func(o *output) {
		tier := string(a.Tier)
		if !doc.Workflows {
			tier += " (workflows need professional or enterprise)"
		}
		o.facts([2]string{"account", a.Name}, [2]string{"store", doc.Store}, [2]string{"tier", tier},
			[2]string{"partitions", count(a.Partitions)}, [2]string{"created", stamp(a.CreatedAt)})
		o.printf("\n")
		tb := &table{columns: []column{{head: "object"}, {head: "live", right: true}, {head: "in the bin", right: true}}}
		for _, object := range objects {
			n := doc.Records[object.Name]
			tb.add(txt(object.Name.Plural()), txt(count(n.Live)), txt(count(n.Archived)))
		}
		o.table(tb, 0)
		o.printf("\n")
		showSettings(o, doc.Settings)
	})
	return nil
}

func accountSetTier(s *session) *cobra.Command {
	var tier crmstore.Tier
	return &cobra.Command{
		Use: "set-tier TIER", Short: "change the tier; workflows run on professional and enterprise",
		Example:           "  workflow account set-tier enterprise",
		Args:              args(1, 1, "a tier: "+strings.Join(tierNames(), ", ")),
		ValidArgsFunction: cobra.FixedCompletions(tierNames(), cobra.ShellCompDirectiveNoFileComp),
		RunE: s.work(needs{check: func(words []string) (err error) {
			tier, err = parseTier(words[0])
			return err
		}}, func(ctx context.Context, w *work) error {
			a, err := w.store.SetTier(ctx, tier, w.cause("account set-tier"), w.now())
			if err != nil {
				return err
			}
			w.emit(a, func(o *output) { o.printf("account %s has tier %s\n", a.Name, a.Tier) })
			if !runsWorkflows(a.Tier) {
				w.err.printf("note: on this tier no workflow runs; published ones wait until the account is professional or enterprise\n")
			}
			return nil
		}),
	}
}

func runsWorkflows(t crmstore.Tier) bool {
	return t == crmstore.Professional || t == crmstore.Enterprise
}

func tierNames() []string {
	var names []string
	for _, t := range crmstore.Tiers() {
		names = append(names, string(t))
	}
	return names
}

func parseTier(word string) (crmstore.Tier, error) {
	tier, err := crmstore.ParseTier(word)
	if err == nil {
		return tier, nil
	}
	help := "one of: " + strings.Join(tierNames(), ", ")
	if near := spelling.Nearest(word, tierNames()); near != "" {
		help = "did you mean " + near + "?"
	}
	return "", usagef(help, "tier %q is not known", word)
}
