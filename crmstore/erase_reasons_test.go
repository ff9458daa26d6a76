package crmstore_test

import (
	"strings"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// fillBin deletes company 9 for a reason that names the person of the scene.
func (s *scene) fillBin() error {
	ctx := s.t.Context()
	if _, err := s.Write(ctx, crmstore.Company, crmstore.UpsertAny, []crmstore.Upsert{{ID: 9}}, someone, noon); err != nil {
		return err
	}
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return err
	}
	id := crmstore.ID(9)
	order := crmstore.ArchiveOrder{Object: crmstore.Company, Cause: crmstore.Cause{Reason: "firm of Zebedee QUILLFEATHER, see zq@example.com"}, At: noon}
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
	recs, err := s.Get(t.Context(), crmstore.Company, []crmstore.ID{9})
	if err != nil || len(recs) != 1 || recs[0].Deletion == nil || recs[0].Version != 2 {
		t.Fatalf("company 9: %+v, %v; want it in the bin at version 2", recs, err)
	}
	want := "firm of " + strings.Repeat("*", len("Zebedee QUILLFEATHER")) + ", see " + strings.Repeat("*", len("zq@example.com"))
	if d := recs[0].Deletion; d.Reason != want || d.Actor != storetest.User || !d.At.Equal(noon) {
		t.Errorf("its deletion is %+v, want the reason %q", d, want)
	}
	results, err := s.Restore(t.Context(), crmstore.RestoreOrder{Object: crmstore.Company, Cause: someone, At: noon}, []crmstore.ID{9})
	if err != nil || results[0].Outcome != crmstore.Restored {
		t.Errorf("restore: %+v, %v", results, err)
	}
}

// A tombstone has no reason: it could name somebody who is deleted permanently later.
func TestEraseTombstoneNamesNobody(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	order := crmstore.EraseOrder{Cause: crmstore.Cause{Run: "erase@0", Reason: "friend of Zebedee"}, At: noon}
	if _, err := s.Erase(t.Context(), order, []crmstore.ID{3}); err != nil {
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
	s.archive(crmstore.ArchiveOrder{Object: crmstore.Contact, Cause: someone, At: noon}, s.targets("", 1))
	for left := 0; ; left++ {
		victim, err := crmstore.Open(ctx, crmstore.Config{URL: s.url, User: storetest.User})
		if err != nil {
			t.Fatal(err)
		}
		crmstore.Raw(victim).AddHook(breakAfter(left))
		_, err = victim.Erase(ctx, crmstore.EraseOrder{Cause: crmstore.Cause{Run: "erase@1"}, At: noon.AddDate(0, 0, 1)}, []crmstore.ID{1})
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
