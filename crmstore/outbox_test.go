package crmstore_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

const lease = time.Minute

func (d *desk) queue(id string) {
	d.t.Helper()
	m := crmstore.Mail{ID: id, To: "ann@example.com", Subject: "s", Text: "t"}
	if queued, err := d.QueueMail(d.t.Context(), m, "example.com", noon); !queued || err != nil {
		d.t.Fatalf("QueueMail gives %v, %v", queued, err)
	}
}

func (d *desk) take(now time.Time) crmstore.Mail {
	d.t.Helper()
	m, err := d.TakeMail(d.t.Context(), now, lease)
	if err != nil {
		d.t.Fatal(err)
	}
	return m
}

func (d *desk) nothingDue(now time.Time) {
	d.t.Helper()
	if m, err := d.TakeMail(d.t.Context(), now, lease); !errors.Is(err, record.ErrNotFound) {
		d.t.Errorf("TakeMail gives %+v, %v; want ErrNotFound", m, err)
	}
}

func TestOutbox(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d, ctx := newDesk(t, o), t.Context()
		d.queue("a")
		if queued, err := d.QueueMail(ctx, crmstore.Mail{ID: "a", To: "else@example.com"}, "example.com", noon); queued || err != nil {
			t.Errorf("the same mail again: %v, %v", queued, err)
		}
		if _, err := d.QueueMail(ctx, crmstore.Mail{ID: "b"}, "example.com", noon); err == nil {
			t.Error("a mail to nobody was queued")
		}
		d.nothingDue(noon.Add(-time.Millisecond))
		first := d.take(noon)
		want := crmstore.Mail{
			ID: "a", To: "ann@example.com", Subject: "s", Text: "t", MessageID: first.MessageID, State: crmstore.MailSending,
			Attempts: 1, CreatedAt: noon, NextAt: noon.Add(lease), Version: 2,
		}
		if diff := cmp.Diff(want, first); diff != "" {
			t.Errorf("the mail as it was taken (-want +got):\n%s", diff)
		}
		if len(first.MessageID) != 32+len("@example.com") {
			t.Errorf("Message-ID %q", first.MessageID)
		}
		d.nothingDue(noon.Add(lease - time.Millisecond)) // its sender may live
		second := d.take(noon.Add(lease))                // it does not
		if second.Attempts != 2 || second.MessageID != first.MessageID {
			t.Errorf("after the lease: %+v", second)
		}
		later := noon.Add(time.Hour)
		if _, err := d.MailRefused(ctx, first, "too late", later, later); !errors.Is(err, record.ErrConflict) {
			t.Errorf("the first sender reports a refusal: %v, want ErrConflict", err)
		}
		if m, err := d.MailRefused(ctx, second, "busy", later, later.Add(time.Hour)); err != nil || m.LastError != "busy" || m.State != crmstore.MailWaiting {
			t.Errorf("MailRefused gives %+v, %v", m, err)
		}
		d.nothingDue(later)
		if n, err := d.MailsWaiting(ctx); n != 1 || err != nil {
			t.Errorf("%d wait, %v", n, err)
		}
		// Acceptance counts whoever reports it and however late.
		if m, err := d.MailAccepted(ctx, "a", later); err != nil || m.State != crmstore.MailSent || !m.EndedAt.Equal(later) || m.LastError != "" {
			t.Errorf("MailAccepted gives %+v, %v", m, err)
		}
		d.nothingDue(later.AddDate(1, 0, 0))
		if _, err := d.TakeMailNow(ctx, "a", later, lease); !errors.Is(err, record.ErrExists) {
			t.Errorf("a sent mail is taken by hand: %v", err)
		}
		if n, err := d.MailsWaiting(ctx); n != 0 || err != nil {
			t.Errorf("%d wait, %v", n, err)
		}
	})
}

func TestOutbox_GivenUpMailGoesOutByHandOnly(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t, storetest.Options{}), t.Context()
	d.queue("a")
	m := d.take(noon)
	if _, err := d.TakeMailNow(ctx, "a", noon, lease); !errors.Is(err, record.ErrConflict) {
		t.Errorf("a mail in somebody's hands is taken: %v", err)
	}
	if _, err := d.MailRefused(ctx, m, "no such mailbox", noon, time.Time{}); err != nil {
		t.Fatal(err)
	}
	d.nothingDue(noon.AddDate(1, 0, 0))
	givenUp, err := d.Mails(ctx, crmstore.MailGivenUp)
	if err != nil || len(givenUp) != 1 || givenUp[0].LastError != "no such mailbox" || !givenUp[0].EndedAt.Equal(noon) {
		t.Errorf("given up: %+v, %v", givenUp, err)
	}
	if m, err := d.TakeMailNow(ctx, "a", noon, lease); err != nil || m.State != crmstore.MailSending || m.Attempts != 2 {
		t.Errorf("TakeMailNow gives %+v, %v", m, err)
	}
	if _, err := d.TakeMailNow(ctx, "z", noon, lease); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("an unknown mail: %v", err)
	}
}

// Of many senders that ask at once, one gets the mail.
func TestOutbox_OneSenderTakesAMail(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{})
	d.queue("a")
	const senders = 8
	outcomes := make(chan error, senders)
	for range senders {
		go func() {
			_, err := d.TakeMail(t.Context(), noon, lease)
			outcomes <- err
		}()
	}
	took := 0
	for range senders {
		if err := <-outcomes; err == nil {
			took++
		} else if !errors.Is(err, record.ErrNotFound) {
			t.Error(err)
		}
	}
	if took != 1 {
		t.Errorf("%d senders took the mail", took)
	}
}

func TestErasure_Mail(t *testing.T) {
	t.Parallel()
	e := crmstore.Erasure{Account: "acme", Run: "erase@1", User: "ann", To: "ann@example.com", IDs: []record.ID{7}, Order: "K7", At: noon}
	want := crmstore.Mail{
		ID: "erase@1/ann/K7", To: "ann@example.com", Subject: "Contact 7 was permanently deleted",
		Text: "Contact 7 was permanently deleted on " + noon.Format("2 January 2006 at 15:04:05 UTC") + `.

account:     acme
deleted by:  ann
run:         erase@1
contact ids: 7

It cannot be restored. Its e-mail address, unless another contact has it,
cannot be imported or entered again until somebody takes the block away
(workflow blocklist remove ADDRESS).

You get this mail because it was done under your name. If it was not you, tell whoever keeps the account.
What happened is in the audit log: workflow audit --run erase@1
`,
	}
	if diff := cmp.Diff(want, e.Mail()); diff != "" {
		t.Errorf("the mail about one contact (-want +got):\n%s", diff)
	}
	for i := range record.ID(300) {
		e.IDs = append(e.IDs, 1000+i)
	}
	m := e.Mail()
	if m.Subject != "301 contacts were permanently deleted" || !strings.Contains(m.Text, "7, 1000, 1001") || !strings.Contains(m.Text, " and 101 more\n") {
		t.Errorf("the mail about many contacts: %s\n%s", m.Subject, m.Text)
	}
}
