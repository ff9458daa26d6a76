package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// How long the one attempt may take that is made right after a permanent deletion: for a step of the conversation, and
// in all. What takes longer is the daemon's.
const (
	confirmSilence = 5 * time.Second
	confirmWithin  = 10 * time.Second
)

// confirmation is what became of the mail that tells the user of a permanent deletion.
type confirmation struct {
	Mail  string             `json:"mail,omitempty"`
	State crmstore.MailState `json:"state,omitempty"` // "" = there is no mail
	To    string             `json:"to,omitempty"`
	Note  string             `json:"note,omitempty"` // why there is none, or why it did not get through
}

// confirmByMail tries the mail once. Whatever becomes of it, the deletion is done: nothing here is an error. The mail is
// the program's own: the user who deletes permanently need not be a super admin.
func confirmByMail(ctx context.Context, w *work, c crmstore.Confirmation) *confirmation {
	switch {
	case c.Why == crmstore.NoMailServer:
		return &confirmation{Note: "the account has no mail server (workflow account set smtp_host HOST)"}
	case c.Why == crmstore.NoMailAddress:
		return &confirmation{Note: fmt.Sprintf("%s has no e-mail address (workflow users email %s ADDRESS)", clean(c.User), clean(c.User))}
	case c.Mail == "":
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, confirmWithin)
	defer cancel()
	sender := mailSender(w.store.AsSystem(), w.env(mailPassword), nil, nil)
	sender.Silence = confirmSilence
	told := &confirmation{Mail: c.Mail, State: crmstore.MailWaiting}
	m, err := sender.Send(ctx, c.Mail)
	if err != nil {
		told.Note = err.Error()
		return told
	}
	told.State, told.To, told.Note = m.State, m.To, m.LastError
	return told
}

func (c *confirmation) show(o *output) {
	switch {
	case c == nil:
	case c.State == crmstore.MailSent:
		o.printf("confirmation sent to %s\n", clean(c.To))
	case c.State == "":
		o.printf("%s no confirmation by e-mail: %s\n", o.paint(yellow, "note:"), c.Note)
	case c.State == crmstore.MailGivenUp:
		o.printf("%s the mail server refused the confirmation: %s\n  it is not tried again by itself: workflow outbox send %s\n",
			o.paint(yellow, "note:"), clean(c.Note), clean(c.Mail))
	default:
		o.printf("%s the confirmation waits in the outbox: %s\n  the daemon tries it again; to try it now: workflow outbox send %s\n",
			o.paint(yellow, "note:"), clean(c.Note), clean(c.Mail))
	}
}
