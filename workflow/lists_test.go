package workflow

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

var lister = record.Cause{Actor: "test"}

// active makes an active list.
func (w *world) active(name, where string) crmstore.List {
	w.Helper()
	l, err := w.store.AddList(w.Context(), crmstore.ListOrder{Object: record.Contact, Name: name, Where: where, Cause: lister, At: testPublish})
	w.must(err)
	return l
}

func (w *world) unlist(l crmstore.List) {
	w.Helper()
	w.must(w.store.DeleteList(w.Context(), l, lister, testNow))
}

// asking is a workflow file whose one trigger is the expression.
func asking(expression string) string {
	return file(fmt.Sprintf("enroll:\n  triggers:\n    - %s", strings.TrimSpace(expression)))
}

func TestRun_ActiveLists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(30)
	w.list("keep", stale[:5]...)
	w.active("old", `daysSince(contact.notes_last_updated) > 365`)
	w.active("old leads", `inList("old") && contact.lifecyclestage == "lead"`)
	w.publish(asking(`inList("old leads") && not inList("keep")`))
	r, err := MakeReview(t.Context(), w.store, w.load(asking(`inList("old leads") && not inList("keep")`)), testNow)
	w.must(err)
	var sizes []string
	for _, l := range r.Lists {
		sizes = append(sizes, fmt.Sprint(l.Name, " ", l.Active(), " ", l.Members))
	}
	if diff := cmp.Diff([]string{"keep false 5", "old true 20", "old leads true 20"}, sizes); diff != "" || !r.Same {
		t.Errorf("the review's lists (same %t) (-want +got):\n%s", r.Same, diff)
	}
	run := w.run(crmstore.RunDone)
	w.wantDeleted(run, stale[5:])
}

// TestRun_ListReplaced holds that a run does not act on a list other than the one it was published with.
func TestRun_ListReplaced(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		again func(w *world) // makes another list of the name
		says  string
		code  string
	}{
		"deleted":                         {nil, `there is no list "keep"`, "WF218"},
		"made again, empty":               {func(w *world) { w.list("keep") }, `the list "keep" was deleted since this was published`, "WF127"},
		"made again, active":              {func(w *world) { w.active("keep", `contact.email == "x@example.com"`) }, `the list "keep" was deleted since`, "WF127"},
		"made again, without a condition": {func(w *world) { w.active("keep", `contact.gone == 1`) }, `contact has no property "gone"`, "WF218"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			stale := w.leads(30)
			keep := w.list("keep", stale[5:]...)
			w.active("doomed", `contact.lifecyclestage == "lead" && daysSince(contact.notes_last_updated) > 365 && !inList("keep")`)
			source := asking(`inList("doomed")`)
			if p := w.publish(source); !p.NewRevision {
				t.Fatal("nothing was published")
			}
			w.unlist(keep)
			if test.again != nil {
				test.again(w)
			}
			run, err := w.runner.Run(t.Context(), w.request())
			findings, ok := errors.AsType[*FindingsError](err)
			if !ok || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("the run ended with %v, want %s", err, test.says)
			}
			if code := findings.List[0].Code.ID; code != test.code {
				t.Errorf("the finding is %s, want %s", code, test.code)
			}
			w.wantState(run, crmstore.RunFailed)
			w.wantDeleted(run, nil)
			if name != "made again, empty" {
				return
			}
			// Who publishes the same file again means the new list.
			if p := w.publish(source); !p.NewRevision || p.Revision != 2 {
				t.Errorf("published again: %+v", p)
			}
			_, err = w.runner.Cancel(t.Context(), run.ID, testNow)
			w.must(err)
			w.wantDeleted(w.run(crmstore.RunDone), stale)
		})
	}
}

// TestRun_ListDeletedWhileItRuns holds that nothing is deleted by the membership of a list that went, whenever it goes.
func TestRun_ListDeletedWhileItRuns(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{stageEvaluate, stageAct} {
		for name, again := range map[string]bool{"deleted": false, "made again": true} {
			t.Run(stage+", "+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				stale := w.leads(crowd)
				keep := w.list("keep", stale[:50]...)
				w.publish(asking(staleLeads + ` && !inList("keep")`))
				w.unlistAt(stage, keep, again)
				run, err := w.runner.Run(t.Context(), w.request())
				if _, ok := errors.AsType[*FindingsError](err); !ok || !strings.Contains(err.Error(), `the list "keep" was deleted`) {
					t.Errorf("the run ended with %v", err)
				}
				w.wantState(run, crmstore.RunFailed)
				deleted := w.deletedBy(run.ID)
				if stage == stageEvaluate && len(deleted) > 0 || len(deleted) >= len(stale)-50 {
					t.Errorf("%d of %d are deleted", len(deleted), len(stale)-50)
				}
				if wrong := slices.DeleteFunc(deleted, func(id record.ID) bool { return !slices.Contains(stale[:50], id) }); len(wrong) > 0 {
					t.Errorf("%d are deleted that were on the list", len(wrong))
				}
			})
		}
	}
}

// unlistAt deletes a list when the stage has begun, and makes another of its name.
func (w *world) unlistAt(stage string, l crmstore.List, again bool) {
	var once sync.Once
	w.runner.Progress = func(now string, done, _ int64) {
		if now == stage && done > 0 {
			once.Do(func() {
				w.unlist(l)
				if again {
					w.list(l.Name)
				}
			})
		}
	}
}

// TestDelete_ListInTheExpressionDeleted holds the same for a deletion by hand: the count that would be typed is that of
// a list that is there.
func TestDelete_ListInTheExpressionDeleted(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]bool{"deleted": false, "made again": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			stale := w.leads(300)
			keep := w.list("keep", stale[:50]...)
			w.unlistAt(stageEvaluate, keep, again)
			run, err := w.runner.PrepareDelete(t.Context(), DeleteRequest{
				Object: record.Contact, Selection: crmstore.Selection{Where: staleLeads + ` && !inList("keep")`}, Now: testNow,
			})
			w.refused(err, RefusedList)
			w.wantState(run, crmstore.RunFailed)
			if deleted := w.deletedBy(run.ID); len(deleted) > 0 {
				t.Errorf("%d are deleted", len(deleted))
			}
		})
	}
}

func TestDeleteList_NamesWhoAsksIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	keep, other := w.list("keep"), w.list("other")
	w.active("outer", `contact.email == "x@example.com" || inList("keep")`)
	w.active("broken", `contact.gone == 1 && inList("keep")`)
	w.publish(asking(`inList("outer")`))
	uses, err := UsesOfList(t.Context(), w.store, keep)
	w.must(err)
	if diff := cmp.Diff(ListUses{Workflows: []string{"stale"}, Lists: []string{"broken", "outer"}}, uses); diff != "" {
		t.Errorf("uses (-want +got):\n%s", diff)
	}
	err = DeleteList(t.Context(), w.store, keep, false, lister, testNow)
	w.refused(err, RefusedList)
	if !strings.Contains(err.Error(), "asked by workflow stale and active lists broken, outer") {
		t.Errorf("refused with %v", err)
	}
	w.must(DeleteList(t.Context(), w.store, other, false, lister, testNow))
	w.must(DeleteList(t.Context(), w.store, keep, true, lister, testNow))
	lists, err := w.store.Lists(t.Context(), record.Contact)
	w.must(err)
	var names []string
	for name := range lists {
		names = append(names, name)
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"broken", "outer"}, names); diff != "" {
		t.Errorf("left are (-want +got):\n%s", diff)
	}
}

// sizes is how many are on each list, as "name size".
func (w *world) sizes(o record.ObjectType) []string {
	w.Helper()
	known, err := definition.AccountVocabulary(w.Context(), w.store)
	w.must(err)
	v := known(o)
	sizes, err := ListSizes(w.Context(), w.store, v, slices.SortedFunc(maps.Values(v.Lists), func(a, b crmstore.List) int { return a.Number - b.Number }), testNow)
	w.must(err)
	var out []string
	for _, l := range sizes {
		out = append(out, fmt.Sprint(l.Name, " ", l.Members))
	}
	return out
}

// TestLists_KeptThroughDeleteAndRestore holds, for each object type, that a deleted record is on no list, static or active,
// and that a restored one is on the same static lists again, and on the active ones whose expression is true for it.
func TestLists_KeptThroughDeleteAndRestore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, o := range record.StandardObjects() {
		var batch []crmstore.Upsert
		for id := record.ID(1); id <= 5; id++ {
			batch = append(batch, crmstore.Upsert{ID: id})
		}
		_, err := w.store.Write(t.Context(), o, crmstore.UpsertAny, batch, lister, testPublish)
		w.must(err)
		keep, err := w.store.CreateList(t.Context(), o, "keep", lister, testPublish)
		w.must(err)
		for name, where := range map[string]string{"all": "true", "others": `!inList("keep")`} {
			_, err := w.store.AddList(t.Context(), crmstore.ListOrder{Object: o, Name: name, Where: where, Cause: lister, At: testPublish})
			w.must(err)
		}
		_, _, err = w.store.SetMembers(t.Context(), keep, []record.ID{1, 2, 3}, true, lister, testPublish)
		w.must(err)
		want := func(when string, keep, all, others int) {
			t.Helper()
			got := w.sizes(o)
			slices.Sort(got)
			if diff := cmp.Diff([]string{fmt.Sprint("all ", all), fmt.Sprint("keep ", keep), fmt.Sprint("others ", others)}, got); diff != "" {
				t.Errorf("%s: on the lists are %s (-want +got):\n%s", o.Plural(), when, diff)
			}
		}
		want("before", 3, 5, 2)
		for _, id := range []record.ID{1, 5} {
			w.must(DeleteRecord(t.Context(), w.store, o, id, lister, testNow))
		}
		want("after the deletion", 2, 3, 1)
		_, err = w.store.Restore(t.Context(), crmstore.RestoreOrder{Object: o, Cause: lister, At: testNow}, []record.ID{1, 5})
		w.must(err)
		want("after the restore", 3, 5, 2)
	}
}

// TestLists_MembershipChangedInTheBin holds that somebody in the recycle bin can be put on a static list and taken off.
func TestLists_MembershipChangedInTheBin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(3)
	keep := w.list("keep", 1)
	for _, id := range []record.ID{1, 2} {
		w.must(DeleteRecord(t.Context(), w.store, record.Contact, id, lister, testNow))
	}
	_, _, err := w.store.SetMembers(t.Context(), keep, []record.ID{1}, false, lister, testNow)
	w.must(err)
	_, _, err = w.store.SetMembers(t.Context(), keep, []record.ID{2}, true, lister, testNow)
	w.must(err)
	if diff := cmp.Diff([]string{"keep 0"}, w.sizes(record.Contact)); diff != "" {
		t.Errorf("in the bin (-want +got):\n%s", diff)
	}
	_, err = w.store.Restore(t.Context(), crmstore.RestoreOrder{Object: record.Contact, Cause: lister, At: testNow}, []record.ID{1, 2})
	w.must(err)
	if diff := cmp.Diff([]string{"keep 1"}, w.sizes(record.Contact)); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
}
