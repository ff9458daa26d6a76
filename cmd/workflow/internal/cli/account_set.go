package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/spelling"
)

func accountSet(s *session) *cobra.Command {
	var unset bool
	cmd := &cobra.Command{
		Use: "set KEY [VALUE]", Short: "change a setting: how long history is kept, the mail server, how fast records are deleted",
		Long: "set gives a setting a value; --unset, or an empty value, brings its default back. For super admins; the audit log has\n" +
			"what was before and after. The settings, and what they are now: workflow account show. The mail server's password is\n" +
			"not among them: it is in " + mailPassword + " where mail is sent from.",
		Example: "  workflow account set smtp_host mail.example.com\n  workflow account set smtp_from \"CRM <crm@example.com>\"\n" +
			"  workflow account set audit_retention_days --unset",
		Args:              args(1, 2, "a setting and its value: "+strings.Join(settingNames(), ", ")),
		ValidArgsFunction: cobra.FixedCompletions(settingNames(), cobra.ShellCompDirectiveNoFileComp),
		RunE: s.work(needs{check: func(words []string) error {
			switch given := len(words) == 2; {
			case given && unset:
				return usagef("", "--unset goes without a value")
			case !given && !unset:
				return usagef("to bring the default back: --unset", "%s needs a value", words[0])
			}
			return nil
		}}, func(ctx context.Context, w *work) error {
			key, value := w.words[0], strings.Join(w.words[1:], "") // no value brings the default back
			set, err := w.store.SetSetting(ctx, key, value, w.cause("account set"), w.now())
			var refused *crmstore.SettingError
			if errors.As(err, &refused) {
				return settingUsage(refused)
			}
			if err != nil {
				return err
			}
			w.emit(set, func(o *output) { o.printf("%s is %s\n", set.Key, settingText(set)) })
			return nil
		}),
	}
	cmd.Flags().BoolVar(&unset, "unset", false, "the default again")
	return cmd
}

func settingUsage(e *crmstore.SettingError) error {
	help := ""
	if e.Values == "" {
		help = "one of: " + strings.Join(settingNames(), ", ")
		if near := spelling.Nearest(e.Key, settingNames()); near != "" {
			help = "did you mean " + near + "?"
		}
	}
	return usagef(help, "%v", e)
}

func settingNames() []string {
	var names []string
	for _, one := range crmstore.SettingDefaults() {
		names = append(names, one.Key)
	}
	return names
}

func settingText(one crmstore.Setting) string {
	text := clean(one.Value)
	switch {
	case text == "":
		return "not set"
	case one.Default:
		return text + " (default)"
	}
	return text
}

func showSettings(o *output, all []crmstore.Setting) {
	tb := &table{columns: []column{{head: "setting"}, {head: "value"}, {head: "what it is", flex: true}}}
	for _, one := range all {
		tb.add(txt(one.Key), txt(settingText(one)), txt(one.Means))
	}
	o.table(tb, 0)
}
