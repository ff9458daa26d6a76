package cli

import (
	"context"
	"errors"
	"log/slog"
	"slices"
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
		Annotations: map[string]string{accessNote: reads},
		Use:         "list [--state STATE]", Short: "the mails in the outbox, and why one did not get through",
		Long: "list shows the mails, oldest first. Those that were sent or given up stay for as long as the audit log.\n" +
			"For super admins.",
		Example: "  workflow outbox list\n  workflow outbox list --state given-up --format json", Args: noArgs,
		RunE: s.work(needs{check: func([]string) error {
			if state != "" && !slices.Contains(mailStates(), state) {
				return usagef("one of: "+strings.Join(mailStates(), ", "), "--state %q is not known", state)
			}
			return nil
		}}, func(ctx context.Context, w *work) error {
			mails, err := w.store.Mails(ctx, crmstore.MailState(state))
			if err != nil {
				return err
			}
			w.emit(map[string]any{"mails": mails}, func(o *output) { showMails(o, mails) })
			return nil
		}),
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
		RunE: s.work(needs{}, func(ctx context.Context, w *work) error {
			if len(w.words) == 0 {
				waiting, err := w.store.Mails(ctx, crmstore.MailWaiting)
				if err != nil {
					return err
				}
				for _, m := range waiting {
					w.words = append(w.words, m.ID)
				}
			}
			return sendMails(ctx, w, w.words)
		}),
	}
}

// sendMails tries each mail once; exit code 1 when one did not get through.
func sendMails(ctx context.Context, w *work, ids []string) error {
	sender := mailSender(w.store, w.env(mailPassword), nil, nil)
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
	w.emit(map[string]any{"mails": mails}, func(o *output) { showMails(o, mails) })
	if unsent > 0 {
		return &problem{code: exitRefused, reason: "not-sent", message: count(unsent) + " of " + count(len(mails)) + " mails did not get through", said: w.json()}
	}
	return nil
}
