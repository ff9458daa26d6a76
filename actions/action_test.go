package actions

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

func TestCatalogue_EverySpecIsComplete(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range Builtin() {
		if s.Name == "" || seen[s.Name] {
			t.Errorf("name %q is empty or taken twice", s.Name)
		}
		seen[s.Name] = true
		if !strings.HasSuffix(s.Summary, ".") || strings.Count(s.Summary, ".") != 1 {
			t.Errorf("%s: summary %q is not one sentence", s.Name, s.Summary)
		}
		if !strings.Contains(s.Example, "- "+s.Name) {
			t.Errorf("%s: the example does not use the action:\n%s", s.Name, s.Example)
		}
		if len(s.Objects) == 0 || s.New == nil || s.New() == nil {
			t.Errorf("%s: objects %v, New %v: want both", s.Name, s.Objects, s.New != nil)
		}
		if found, ok := Find(s.Name); !ok || found.Name != s.Name {
			t.Errorf("Find(%q) = %q, %v", s.Name, found.Name, ok)
		}
	}
	if _, ok := Find("no_such_action"); ok {
		t.Error("Find found an action that is not there")
	}
}

func TestCatalogue_EveryActionRefusesOtherObjectsAtActTime(t *testing.T) {
	t.Parallel()
	for _, s := range Builtin() {
		for _, o := range append(record.StandardObjects(), "car", "") {
			if s.Allows(o) {
				continue
			}
			r := &answers{}
			_, err := s.New().Do(t.Context(), r, Call{Object: o, Batches: []Batch{{Records: []Tested{{ID: 1}}}}})
			var refused *ObjectError
			if !errors.As(err, &refused) || refused.Object != o || refused.Action != s.Name {
				t.Errorf("%s on %q: error %v, want an *ObjectError that names both", s.Name, o, err)
			}
			if r.calls != 0 {
				t.Errorf("%s on %q touched the store", s.Name, o)
			}
		}
	}
}

// answers is a Records that answers with given outcomes; the store itself is tested where it lives.
type answers struct {
	calls   int
	order   crmstore.ArchiveOrder
	batches []crmstore.Archive
	out     [][]crmstore.ArchiveOutcome
	err     error
}

func (a *answers) Archive(_ context.Context, o crmstore.ArchiveOrder, b []crmstore.Archive) ([][]crmstore.ArchiveOutcome, error) {
	a.calls++
	a.order, a.batches = o, b
	return a.out, a.err
}

func TestDeleteContact_OrderAndOutcomes(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC)
	cause := record.Cause{Actor: "workflow", Workflow: "stale", Revision: 3, Run: "stale@2026-11-24T02:00:00Z"}
	a := &answers{out: [][]crmstore.ArchiveOutcome{
		{crmstore.Archived, crmstore.AlreadyByRun, crmstore.AlreadyArchived},
		{crmstore.VersionChanged, crmstore.Gone},
	}}
	got, err := contactDeleter{}.Do(t.Context(), a, Call{
		Object: record.Contact, Cause: cause, At: at, Fence: 7,
		Batches: []Batch{
			{Partition: 2, Records: []Tested{{ID: 1, Slot: 4, Version: 9, Trigger: 1}, {ID: 2, Trigger: 2}, {ID: 3, Trigger: 1}}},
			{Partition: 5, Records: []Tested{{ID: 4, Trigger: 12}, {ID: 5, Trigger: 1}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([][]Outcome{{Done, Repeated, Left}, {Stale, Left}}, got); d != "" {
		t.Errorf("outcomes (-want +got):\n%s", d)
	}
	want := crmstore.ArchiveOrder{Object: record.Contact, Cause: cause, At: at, Enroll: "stale", Fence: 7}
	if d := cmp.Diff(want, a.order); d != "" {
		t.Errorf("order (-want +got):\n%s", d)
	}
	wantBatches := []crmstore.Archive{
		{Partition: 2, Targets: []crmstore.Target{
			{ID: 1, Slot: 4, Version: 9, Reason: "trigger 1"}, {ID: 2, Reason: "trigger 2"}, {ID: 3, Reason: "trigger 1"},
		}},
		{Partition: 5, Targets: []crmstore.Target{{ID: 4, Reason: "trigger 12"}, {ID: 5, Reason: "trigger 1"}}},
	}
	if d := cmp.Diff(wantBatches, a.batches); d != "" {
		t.Errorf("batches (-want +got):\n%s", d)
	}
}

func TestDeleteContact_ErrorsOfTheStoreComeThrough(t *testing.T) {
	t.Parallel()
	call := Call{Object: record.Contact, Cause: record.Cause{Run: "r"}}
	_, err := contactDeleter{}.Do(t.Context(), &answers{err: record.ErrFenced}, call)
	if !errors.Is(err, record.ErrFenced) {
		t.Errorf("error %v, want ErrFenced inside", err)
	}
	if _, err := (contactDeleter{}).Do(t.Context(), &answers{out: [][]crmstore.ArchiveOutcome{{99}}}, call); err == nil {
		t.Error("an unknown outcome of the store passed for a good one")
	}
}
