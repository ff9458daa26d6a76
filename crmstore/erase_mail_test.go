package crmstore_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// tellable gives the account a mail server and the acting user an address.
func tellable(t *testing.T, s *crmstore.Store) {
	t.Helper()
	for key, value := range map[string]string{crmstore.SettingMailHost: "127.0.0.1", crmstore.SettingMailFrom: "CRM <crm@example.com>"} {
		if _, err := s.SetSetting(t.Context(), key, value, someone, noon); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.SetUserEmail(t.Context(), storetest.User, "anna@corp.example", someone, noon); err != nil {
		t.Fatal(err)
	}
}

func mailsOf(t *testing.T, s *crmstore.Store) []crmstore.Mail {
	t.Helper()
	mails, err := s.Mails(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return mails
}

// One mail tells of an order, also when it has several chunks; a second order of the same run has a mail of its own.
func TestErase_OneMailPerOrder(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{})
	tellable(t, d.Store)
	var ids []record.ID
	var people []crmstore.Upsert
	for id := range record.ID(600) {
		ids = append(ids, id+1)
		people = append(people, d.up(id+1, "city", "Breda"))
	}
	d.write(crmstore.UpsertAny, noon, people...)
	order := crmstore.EraseOrder{Cause: record.Cause{Run: "erase@1"}, At: noon}
	for _, part := range [][]record.ID{append(slices.Clone(ids[:599]), 9000), ids[598:]} {
		report, err := d.Erase(t.Context(), order, part)
		if err != nil {
			t.Fatal(err)
		}
		m, err := d.Mail(t.Context(), report.Confirmation.Mail)
		if err != nil || m.To != "anna@corp.example" || !strings.HasSuffix(m.MessageID, "@example.com") {
			t.Errorf("the mail is %+v, %v", m, err)
		}
	}
	if again, err := d.Erase(t.Context(), order, ids); err != nil || again.Confirmation != (crmstore.Confirmation{}) {
		t.Errorf("an order that finds nothing: %+v, %v", again.Confirmation, err)
	}
	var subjects []string
	for _, m := range mailsOf(t, d.Store) {
		subjects = append(subjects, m.Subject)
	}
	slices.Sort(subjects)
	if diff := cmp.Diff([]string{"599 contacts were permanently deleted", "Contact 600 was permanently deleted"}, subjects); diff != "" {
		t.Errorf("mails (-want +got):\n%s", diff)
	}
}

// Without a server or an address no mail waits, and the report says which is missing.
func TestErase_NobodyToTell(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{})
	d.write(crmstore.UpsertAny, noon, d.up(1), d.up(2), d.up(3))
	erase := func(id record.ID) crmstore.Unconfirmed {
		report, err := d.Erase(t.Context(), crmstore.EraseOrder{At: noon}, []record.ID{id})
		if err != nil {
			t.Fatal(err)
		}
		return report.Confirmation.Why
	}
	if why := erase(1); why != crmstore.NoMailServer {
		t.Errorf("without a server: %q", why)
	}
	tellable(t, d.Store)
	if _, err := d.SetUserEmail(t.Context(), storetest.User, "", someone, noon); err != nil {
		t.Fatal(err)
	}
	if why := erase(2); why != crmstore.NoMailAddress {
		t.Errorf("without an address: %q", why)
	}
	if mails := mailsOf(t, d.Store); len(mails) > 0 {
		t.Errorf("queued: %+v", mails)
	}
}

// An order of several chunks that dies anywhere after its beginning is finished as a whole by somebody else, and told
// once, to the one who ordered it.
func TestErase_InterruptedIsToldOnce(t *testing.T) {
	t.Parallel()
	const people = 300
	died := 0
	for after := 10; ; after += 7 {
		url := "redis://" + storetest.StartServer(t)
		s, err := crmstore.Open(t.Context(), crmstore.Config{URL: url, User: storetest.User})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		if _, err := s.CreateAccount(t.Context(), crmstore.Professional, 3, someone, noon); err != nil {
			t.Fatal(err)
		}
		schema, err := s.Schema(t.Context(), record.Contact)
		if err != nil {
			t.Fatal(err)
		}
		d := &desk{s, t, schema}
		tellable(t, s)
		var ids []record.ID
		var upserts []crmstore.Upsert
		for id := range record.ID(people) {
			ids = append(ids, id+1)
			upserts = append(upserts, d.up(id+1, "city", "Breda"))
		}
		d.write(crmstore.UpsertAny, noon, upserts...)
		victim, err := crmstore.Open(t.Context(), crmstore.Config{URL: url, User: storetest.User})
		if err != nil {
			t.Fatal(err)
		}
		crmstore.Raw(victim).AddHook(breakAfter(after))
		_, err = victim.Erase(t.Context(), crmstore.EraseOrder{Cause: record.Cause{Run: "erase@1"}, At: noon}, ids)
		_ = victim.Close()
		if err != nil && !errors.Is(err, errBroken) {
			t.Fatal(err)
		}
		begun, readErr := crmstore.Raw(s).HLen(t.Context(), crmstore.KeyErasing(s)).Result()
		if readErr != nil || begun != 0 && begun != people {
			t.Fatalf("after %d commands %d intents are saved, want all or none; %v", after, begun, readErr)
		}
		if begun > 0 {
			died++
		}
		if _, finishErr := s.AsSystem().FinishErasures(t.Context()); finishErr != nil {
			t.Fatal(finishErr)
		}
		want := 0
		if begun > 0 || err == nil {
			want = 1
		}
		mails := mailsOf(t, s)
		if len(mails) != want || want == 1 && (mails[0].To != "anna@corp.example" || !strings.HasPrefix(mails[0].Subject, "300 contacts")) {
			t.Errorf("after %d commands: mails %+v, want %d about 300 contacts", after, mails, want)
		}
		if err == nil {
			break
		}
	}
	if died < 3 {
		t.Errorf("only %d orders died after their beginning", died)
	}
}

// A mail that is over and holds the address of somebody who was a user once goes when that person is erased.
func TestErase_TakesOldMails(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{})
	d.write(crmstore.UpsertAny, noon, d.up(1, "email", "zoe@example.com"))
	for _, m := range []crmstore.Mail{{ID: "over", To: "Zoe@example.com"}, {ID: "open", To: "zoe@example.com"}, {ID: "other", To: "anna@corp.example"}} {
		if _, err := d.QueueMail(t.Context(), m, "example.com", noon); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.MailAccepted(t.Context(), "over", noon); err != nil {
		t.Fatal(err)
	}
	report, err := d.Erase(t.Context(), crmstore.EraseOrder{At: noon}, []record.ID{1})
	if diff := cmp.Diff([]crmstore.Mention{{Kind: "mail", Name: "open"}}, report.Mentions); diff != "" || err != nil {
		t.Errorf("%v, mentions (-want +got):\n%s", err, diff)
	}
	if mails := mailsOf(t, d.Store); len(mails) != 2 {
		t.Errorf("mails: %+v, want the one that is open and the other's", mails)
	}
}
