package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/crm-workflow/crm-workflow/crmstore/spelling"
)

// The values of --format.
const (
	formatText = "text"
	formatJSON = "json"
	formatCSV  = "csv" // of verbs that have it among their annotations
)

// The groups of verbs in the help text.
const (
	groupStart    = "start"
	groupRecords  = "records"
	groupWorkflow = "workflow"
	groupRuns     = "runs"
	groupOperate  = "operate"
)

const rootLong = `workflow deletes stale CRM contacts on a schedule, safely.

A workflow is a YAML file that says which contacts enroll, when to look, and what to do. Review it to see
exactly who it would delete, publish it, and let the daemon run it. Deleted contacts stay in the recycle bin
for 90 days, and a whole run can be undone.

Where the contacts are (--store, or WORKFLOW_STORE):
  dir:PATH      a store of its own in a directory; dir:.workflow when nothing is said
  redis://...   a Redis or Valkey server (also rediss://, redis+sentinel://, redis+cluster://)
  memory        nothing is kept; for trying things out

Exit codes: 0 good, 1 findings or refused, 2 the call was wrong, 3 could not run.`

// usageTemplate is what --help shows of every verb.
const usageTemplate = `Usage:
  {{if .HasAvailableSubCommands}}{{.CommandPath}} VERB [flags]{{else}}{{.UseLine}}{{end}}
{{if .HasExample}}
Example:
{{.Example}}
{{end}}{{$all := .Commands}}{{range $group := .Groups}}
{{.Title}}{{range $all}}{{if and (eq .GroupID $group.ID) .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{end}}{{if and .HasAvailableSubCommands (not .Groups)}}
Verbs:{{range $all}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{end}}{{if .HasAvailableLocalFlags}}
Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}{{if .HasAvailableInheritedFlags}}
Flags of every verb:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}{{if .HasAvailableSubCommands}}
More about a verb: {{.CommandPath}} VERB --help
{{end}}`

// newRoot is the tree of verbs.
func newRoot(s *session) *cobra.Command {
	root := &cobra.Command{
		Use: "workflow VERB", Short: "delete stale CRM contacts on a schedule, safely", Long: rootLong,
		Example:       "  workflow demo\n  workflow review stale.yaml\n  workflow publish stale.yaml",
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownVerb(cmd, args[0])
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return s.checkFlags(cmd) },
	}
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetIn(s.in)
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(flagProblem)
	root.SetUsageTemplate(usageTemplate)
	root.SetHelpCommand(helpCommand(root))
	f := root.PersistentFlags()
	f.StringVar(&s.flags.store, "store", "", "where the contacts are (WORKFLOW_STORE; default dir:.workflow)")
	f.StringVar(&s.flags.account, "account", "", `which account (WORKFLOW_ACCOUNT; default "default")`)
	f.StringVar(&s.flags.as, "as", "", "who acts (WORKFLOW_USER; default your login name)")
	f.StringVar(&s.flags.format, "format", formatText, "text for people, json for programs; for some verbs csv")
	_ = root.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{formatText, formatJSON}, cobra.ShellCompDirectiveNoFileComp))

	groups := []struct {
		id, title string
		verbs     []*cobra.Command
	}{
		{groupStart, "Start here:", startVerbs(s)},
		{groupRecords, "Contacts and other records:", recordVerbs(s)},
		{groupWorkflow, "Workflows:", workflowVerbs(s)},
		{groupRuns, "Runs:", runVerbs(s)},
		{groupOperate, "Operating:", operateVerbs(s)},
	}
	for _, g := range groups {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, v := range g.verbs {
			v.GroupID = g.id
			root.AddCommand(v)
		}
	}
	root.SetHelpCommandGroupID(groupOperate)
	for _, c := range withSubverbs(root) {
		c.DisableFlagsInUseLine = true
		c.Flags().SortFlags = false
	}
	return root
}

func withSubverbs(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		all = append(all, withSubverbs(sub)...)
	}
	return all
}

func (s *session) checkFlags(cmd *cobra.Command) error {
	s.verb = cmd
	_, csvToo := cmd.Annotations[formatCSV]
	if f := s.flags.format; f != formatText && f != formatJSON && !(csvToo && f == formatCSV) {
		s.flags.format = formatText
		help := "write --format text or --format json"
		if csvToo {
			help += " or --format csv"
		}
		return usagef(help, "--format %q is not known", f)
	}
	if name := s.accountName(); strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || len(name) > 63 {
		return usagef("", "account name %q: want 1 to 63 of a-z, 0-9 and -", name)
	}
	return nil
}

// group is a verb that only has verbs below it, such as `records`.
func group(use, short, example string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use + " VERB", Short: short, Example: example, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownVerb(cmd, args[0])
			}
			return usagef("one of: "+strings.Join(verbNames(cmd), ", "), "%s needs a verb", cmd.CommandPath())
		},
	}
	cmd.AddCommand(subs...)
	return cmd
}

func verbNames(cmd *cobra.Command) []string {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return names
}

func unknownVerb(cmd *cobra.Command, word string) error {
	help := fmt.Sprintf("see: %s --help", cmd.CommandPath())
	if near := spelling.Nearest(word, verbNames(cmd)); near != "" {
		help = fmt.Sprintf("did you mean: %s %s", cmd.CommandPath(), near)
	}
	if meant := otherNames[word]; meant != "" && !cmd.HasParent() {
		help = "did you mean: workflow " + meant
	}
	return usagef(help, "%s has no verb %q", cmd.CommandPath(), word)
}

// otherNames are what other programs call a verb, with what it is called here.
var otherNames = map[string]string{
	"import": "records import FILE.csv", "export": "records export", "contacts": "records list", "get": "records get", "count": "records count",
	"init": "account create", "setup": "account create", "add": "records create",
	"deploy": "publish FILE", "apply": "publish FILE", "enable": "publish NAME", "disable": "publish --off NAME", "on": "publish NAME", "off": "publish --off NAME",
	"plan": "review FILE", "preview": "review FILE", "dry-run": "review FILE", "check": "validate FILE", "lint": "validate FILE",
	"history": "runs", "log": "audit", "logs": "audit", "trash": "bin", "serve": "daemon", "start": "daemon", "stop": "cancel RUN", "status": "list", "template": "new", "examples": "new",
}

// args wants between low and high arguments; high < 0 means any number. what says which, such as "a workflow's name".
func args(low, high int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, got []string) error {
		help := "usage: " + cmd.UseLine()
		switch {
		case len(got) < low:
			return usagef(help, "%s needs %s", cmd.CommandPath(), what)
		case high == 0 && len(got) > 0:
			return usagef(help, "%s takes no argument, but got %q", cmd.CommandPath(), got[0])
		case high >= 0 && len(got) > high:
			return usagef(help, "%s takes %s and nothing more, but got %q too", cmd.CommandPath(), what, got[high])
		}
		return nil
	}
}

// noArgs is for verbs without arguments.
func noArgs(cmd *cobra.Command, got []string) error { return args(0, 0, "")(cmd, got) }

// flagProblem says what is wrong with a flag, and which one may have been meant.
func flagProblem(cmd *cobra.Command, err error) error {
	help := fmt.Sprintf("see: %s --help", cmd.CommandPath())
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		var known []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		if near := spelling.Nearest(unknown.GetSpecifiedName(), known); near != "" {
			help = "did you mean --" + near + "?"
		}
		return usagef(help, "%s has no flag --%s", cmd.CommandPath(), unknown.GetSpecifiedName())
	case errors.As(err, &invalid):
		f := invalid.GetFlag()
		return usagef(help, "--%s %q is not %s", f.Name, invalid.GetValue(), valueWords(f.Value.Type()))
	}
	return usagef(help, "%s", err)
}

func valueWords(kind string) string {
	switch {
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
		return "a whole number"
	case kind == "bool":
		return "true or false"
	case kind == "duration":
		return "a duration such as 30s"
	}
	return "a " + kind
}

func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "help [VERB]", Short: "help about a verb", Example: "  workflow help records import",
		ValidArgsFunction: func(_ *cobra.Command, words []string, _ string) ([]string, cobra.ShellCompDirective) {
			at, _, err := root.Find(words)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return verbNames(at), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, words []string) error {
			cmd, rest, err := root.Find(words)
			if err != nil || len(rest) > 0 {
				return unknownVerb(cmd, slices.Concat(rest, words)[0])
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	}
}
