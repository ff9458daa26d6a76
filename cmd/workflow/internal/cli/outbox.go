package cli

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/outbox"
)

func outboxCommand(s *session) *cobra.Command {
	return group("outbox", "mails about permanent deletions: what waits, what was sent, what was given up",
		"  workflow outbox list\n  workflow outbox send", outboxList(s), outboxSend(s))
}

// mailPassword is the environment variable that holds the mail server's password; it stands nowhere else.
const mailPassword = "WORKFLOW_SMTP_PASSWORD"

// mailSender sends what waits in the store's outbox through the server in the account's settings.
func mailSender(store *crmstore.Store, password string, log *slog.Logger, counted func(outcome string)) *outbox.Sender {
	return &outbox.Sender{
		Store: store, Log: log, Count: counted,
		Server: func(ctx context.Context) (outbox.Server, error) {
			m, err := store.MailSettings(ctx)
			return outbox.Server{Host: m.Host, Port: m.Port, TLS: m.TLS, User: m.User, Password: password, From: m.From}, err
		},
	}
}

func mailStates() []string {
	var words []string
	for _, state := range crmstore.MailStates() {
		words = append(words, string(state))
	}
	return words
}

func outboxList(s *session) *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use: "list [--state STATE]", Short: "the mails in the outbox, and why one did not get through",
		Long: "list shows the mails, oldest first. Those that were sent or given up stay for as long as the audit log.\n" +
			"For super admins.",
		Example: "  workflow outbox list\n  workflow outbox list --state given-up --format json", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			known := state == ""
			for _, word := range mailStates() {
				known = known || word == state
			}
			if !known {
				return usagef("one of: "+strings.Join(mailStates(), ", "), "--state %q is not known", state)
			}
			store, err := s.open(cmd.Context())
			if err != nil {
				return err
			}
			mails, err := store.Mails(cmd.Context(), crmstore.MailState(state))
			if err != nil {
				return err
			}
			s.emit(map[string]any{"mails": mails}, func(o *output) { showMails(o, mails) })
			return nil
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "only "+strings.Join(mailStates(), ", "))
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(mailStates(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func showMails(o *output, mails []crmstore.Mail) {
	if len(mails) == 0 {
		o.printf("no mails\n")
		return
	}
	tb := &table{columns: []column{
		{head: "mail"}, {head: "state"}, {head: "to"}, {head: "since"}, {head: "attempts", right: true}, {head: "next"}, {head: "last error", flex: true},
	}}
	for _, m := range mails {
		next := ""
		if !m.State.Over() {
			next = stamp(m.NextAt)
		}
		tb.add(txt(m.ID), ink(bold, string(m.State)), txt(m.To), txt(stamp(m.CreatedAt)), txt(count(m.Attempts)), txt(next), txt(m.LastError))
	}
	o.table(tb, 0)
}

func outboxSend(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "send [MAIL...]", Short: "try mails now, also ones that were given up",
		Long: "send makes one attempt with each mail named, or with all that wait. The mail server is in the account's settings\n" +
			"(smtp_host and the like), its password in " + mailPassword + ". A mail that was sent is not sent again. The daemon\n" +
			"sends by itself what is due. For super admins.",
		Example: "  workflow outbox send\n  workflow outbox send permanent@2026-11-23T03:00:00.000Z/mira/K7RNB2QD",
		Args:    args(0, -1, "ids of mails"),
		RunE: func(cmd *cobra.Command, ids []string) error {
			ctx := cmd.Context()
			store, err := s.open(ctx)
			if err != nil {
				return err
			}
			if len(ids) == 0 {
				waiting, err := store.Mails(ctx, crmstore.MailWaiting)
				if err != nil {
					return err
				}
				for _, m := range waiting {
					ids = append(ids, m.ID)
				}
			}
			return sendMails(ctx, s, store, ids)
		},
	}
}

// sendMails tries each mail once; exit code 1 when one did not get through.
func sendMails(ctx context.Context, s *session, store *crmstore.Store, ids []string) error {
	sender := mailSender(store, s.env(mailPassword), nil, nil)
	mails, unsent := []crmstore.Mail{}, 0
	for _, id := range ids {
		m, err := sender.Send(ctx, id)
		var settings *outbox.SettingsError
		if errors.As(err, &settings) {
			return refusedf("the mail waits until then", "%v", err)
		}
		if err != nil && !errors.Is(err, record.ErrExists) { // sent before is as good
			return err
		}
		if mails = append(mails, m); m.State != crmstore.MailSent {
			unsent++
		}
	}
	s.emit(map[string]any{"mails": mails}, func(o *output) { showMails(o, mails) })
	if unsent > 0 {
		return &problem{code: exitRefused, reason: "not-sent", message: count(unsent) + " of " + count(len(mails)) + " mails did not get through", said: s.json()}
	}
	return nil
}
