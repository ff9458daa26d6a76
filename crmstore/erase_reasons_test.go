package crmstore_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// fillBin deletes company 9 for a reason that names the person of the scene.
func (s *scene) fillBin() error {
	ctx := s.t.Context()
	if _, err := s.Write(ctx, record.Company, crmstore.UpsertAny, []crmstore.Upsert{{ID: 9}}, someone, noon); err != nil {
		return err
	}
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return err
	}
	id := record.ID(9)
	order := crmstore.ArchiveOrder{Object: record.Company, Cause: record.Cause{Reason: "firm of Zebedee QUILLFEATHER, see zq@example.com"}, At: noon}
	_, err = s.Archive(ctx, order, []crmstore.Archive{{Partition: id.Partition(partitions), Targets: []crmstore.Target{{ID: id, Version: 1}}}})
	return err
}

// A person who is named in the reason for which another record was deleted is overwritten there, and that record can
// be restored as before.
func TestEraseReasons(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.erase(1)
	s.wantErased()
	recs, err := s.Get(t.Context(), record.Company, []record.ID{9})
	if err != nil || len(recs) != 1 || recs[0].Deletion == nil || recs[0].Version != 2 {
		t.Fatalf("company 9: %+v, %v; want it in the bin at version 2", recs, err)
	}
	want := "firm of " + strings.Repeat("*", len("Zebedee QUILLFEATHER")) + ", see " + strings.Repeat("*", len("zq@example.com"))
	if d := recs[0].Deletion; d.Reason != want || d.Actor != storetest.User || !d.At.Equal(noon) {
		t.Errorf("its deletion is %+v, want the reason %q", d, want)
	}
	results, err := s.Restore(t.Context(), crmstore.RestoreOrder{Object: record.Company, Cause: someone, At: noon}, []record.ID{9})
	if err != nil || results[0].Outcome != crmstore.Restored {
		t.Errorf("restore: %+v, %v", results, err)
	}
}

// A tombstone has no reason: it could name somebody who is deleted permanently later.
func TestEraseTombstoneNamesNobody(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	order := crmstore.EraseOrder{Cause: record.Cause{Run: "erase@0", Reason: "friend of Zebedee"}, At: noon}
	if _, err := s.Erase(t.Context(), order, []record.ID{3}); err != nil {
		t.Fatal(err)
	}
	s.erase(1)
	if where := s.found(personTexts()); len(where) > 0 {
		t.Errorf("the person is still found: %v", where)
	}
}

// A permanent deletion that was interrupted is finished before contacts are purged: what it has to look for stands in
// the contact.
func TestPurgeFinishesErasures(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	ctx := t.Context()
	s.archive(crmstore.ArchiveOrder{Object: record.Contact, Cause: someone, At: noon}, s.targets("", 1))
	for left := 0; ; left++ {
		victim, err := crmstore.Open(ctx, crmstore.Config{URL: s.url, User: storetest.User})
		if err != nil {
			t.Fatal(err)
		}
		crmstore.Raw(victim).AddHook(breakAfter(left))
		_, err = victim.Erase(ctx, crmstore.EraseOrder{Cause: record.Cause{Run: "erase@1"}, At: noon.AddDate(0, 0, 1)}, []record.ID{1})
		_ = victim.Close()
		if err == nil {
			t.Fatal("it was never interrupted after its beginning")
		}
		if n := crmstore.Raw(s.Store).HLen(ctx, crmstore.KeyErasing(s.Store)).Val(); n == 1 {
			break
		}
	}
	report := s.purge(crmstore.PurgeOrder{At: noon.Add(crmstore.Retention)})
	if report.Purged != 0 {
		t.Errorf("purged: %+v, want nothing, since the only contact in the bin was deleted permanently", report)
	}
	s.wantErased()
}

// Whoever may name a contact as somebody else's words, towns, numbers or old address, and deletes it, changes nothing that is
// told of others but the whole name and the address in reasons, and hears how many events that were.
func TestEraseLeavesFactsAboutOthers(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{Partitions: 2})
	ctx := t.Context()
	d.write(crmstore.UpsertAny, noon, d.up(1, "email", "old@example.com", "firstname", "Ann", "city", "New York", "company", "Acme Corp", "phone", "1000000"))
	d.write(crmstore.UpsertAny, noon, d.up(1, "email", "new@example.com", "city", "Delete", "company", "Lead", "phone", "2000000"))
	if _, err := d.SetSetting(ctx, crmstore.SettingAuditDays, "1000", record.Cause{Reason: "asked by the deal desk, 1000000 times"}, noon); err != nil {
		t.Fatal(err)
	}
	if _, err := d.CreateList(ctx, record.Contact, "New York", someone, noon); err != nil {
		t.Fatal(err)
	}
	before := d.audit(crmstore.AuditFilter{})
	for i, name := range [][]string{
		{"New", "York", "old@example.com", "1000000"},
		{"Acme", "Corp", "", "2000000"},
		{"delete", "lead", "", ""},
		{"Ann", "", "", ""},
		{"asked", "by", "", ""},
		{"city", "1000", "", ""},
		{"1000000", "times", "", ""},
		{"update", "create", "", ""},
		{"Delete", "", "", ""},
	} {
		id := record.ID(100 + i)
		d.write(crmstore.UpsertAny, noon, d.up(id, "firstname", name[0], "lastname", name[1], "email", name[2], "phone", name[3]))
		report, err := d.Erase(ctx, crmstore.EraseOrder{At: noon}, []record.ID{id})
		if err != nil || report.Changed != 0 {
			t.Errorf("%q: %+v, %v; want no event changed", name, report, err)
		}
	}
	var after []record.Event
	for _, e := range d.audit(crmstore.AuditFilter{}) {
		if e.Op != "permanent-delete" {
			after = append(after, e)
		}
	}
	if diff := cmp.Diff(before, after[:min(len(after), len(before))]); diff != "" {
		t.Errorf("events about others (-before +after):\n%s", diff)
	}

	d.write(crmstore.UpsertAny, noon, d.up(200, "firstname", "Zebedee", "lastname", "Quillfeather", "email", "zq@example.com"))
	d.write(crmstore.UpsertAny, noon, d.up(1, "city", "at zq@example.com", "jobtitle", "zq@example.com"))
	for _, reason := range []string{"for Zebedee QUILLFEATHER", "see ZQ@example.com", "for Quillfeather"} {
		if _, err := d.SetSetting(ctx, crmstore.SettingAuditDays, "1"+strconv.Itoa(len(reason)), record.Cause{Reason: reason}, noon); err != nil {
			t.Fatal(err)
		}
	}
	report, err := d.Erase(ctx, crmstore.EraseOrder{At: noon}, []record.ID{200})
	if err != nil || report.Changed != 3 {
		t.Errorf("%+v, %v; want 3 events changed: two reasons, one text", report, err)
	}
	var reasons, values []string
	for _, e := range d.audit(crmstore.AuditFilter{}) {
		if e.Op == "set-setting" {
			reasons = append(reasons, e.Reason)
		}
		for _, c := range e.Changes {
			values = append(values, c.After)
		}
	}
	want := []string{"asked by the deal desk, 1000000 times", "for ********************", "see **************", "for Quillfeather"}
	if diff := cmp.Diff(want, reasons); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
	if !slices.Contains(values, "at **************") || !slices.Contains(values, "zq@example.com") {
		t.Errorf("values %q: want the address gone within a text, and kept where it is contact 1's own value", values)
	}
}

// Who did what from where is a fact about the actor: a contact whose address and name look like the operating system's user
// and host takes nothing from it, and an event of before it was noted stays as it is.
func TestEraseLeavesFrom(t *testing.T) {
	t.Parallel()
	const from = "zq@example.com"
	d := newDesk(t, storetest.Options{Partitions: 2})
	ctx := t.Context()
	other, err := crmstore.Open(ctx, crmstore.Config{URL: storetest.URL(t), Account: d.AccountName(), User: storetest.User, From: from})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() }) // it only did what the test saw
	elsewhere := &desk{other, t, d.schema}
	elsewhere.write(crmstore.UpsertAny, noon, elsewhere.up(1, "city", "Gent"))
	elsewhere.write(crmstore.UpsertAny, noon, elsewhere.up(1, "city", "Breda"))
	elsewhere.archive(byRun("stale@1"), elsewhere.targets("by zq@example.com", 1))
	d.write(crmstore.UpsertAny, noon, d.up(2, "email", from, "firstname", "Zq", "lastname", "Example"))
	report, err := d.Erase(ctx, crmstore.EraseOrder{At: noon}, []record.ID{2})
	if err != nil || report.Changed != 1 { // the reason
		t.Fatalf("%+v, %v; want one event changed", report, err)
	}
	events := d.audit(crmstore.AuditFilter{Record: 1})
	if diff := cmp.Diff([]string{"create [1]", "update [1]", "delete [1]"}, ops(events)); diff != "" {
		t.Fatalf("events (-want +got):\n%s", diff)
	}
	for _, e := range events {
		if e.From != from || e.Actor != storetest.User {
			t.Errorf("%s is by %s from %q, want from %s", e.Op, e.Actor, e.From, from)
		}
	}
	if got := events[2].Reason; got != "by "+strings.Repeat("*", len(from)) {
		t.Errorf("the reason is %q, want the address overwritten", got)
	}
	if rec := d.get(1); rec.Deletion == nil || rec.Deletion.From != "" {
		t.Errorf("the record in the bin has %+v, want a deletion without the process", rec.Deletion)
	}
	if last := d.audit(crmstore.AuditFilter{Ops: []string{"permanent-delete"}}); len(last) != 1 || last[0].From != storetest.From {
		t.Errorf("the permanent deletion: %+v, want from %s", last, storetest.From)
	}
}
