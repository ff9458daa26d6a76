package workflow

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

var lister = crmstore.Cause{Actor: "test"}

// active makes an active list.
func (w *world) active(name, where string) crmstore.List {
	w.Helper()
	l, err := w.store.AddList(w.Context(), crmstore.ListOrder{Object: crmstore.Contact, Name: name, Where: where, Cause: lister, At: testPublish})
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
		"made again, active":              {func(w *world) { w.active("keep", `contact.email == "x"`) }, `the list "keep" was deleted since`, "WF127"},
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
			_, err = w.runner.Cancel(t.Context(), run.ID, "ann", testNow)
			w.must(err)
			w.wantDeleted(w.run(crmstore.RunDone), stale)
		})
	}
}

// TestRun_ListDeletedWhileItRuns holds that nothing is deleted by the membership of a list that went, whenever it goes.
func TestRun_ListDeletedWhileItRuns(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]bool{"deleted": false, "made again": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			stale := w.leads(300)
			keep := w.list("keep", stale...)
			w.publish(asking(`contact.lifecyclestage == "lead" && daysSince(contact.notes_last_updated) > 365 && !inList("keep")`))
			var once sync.Once
			w.runner.Progress = func(stage string, _, _ int64) {
				if stage == stageEvaluate {
					once.Do(func() {
						w.unlist(keep)
						if again {
							w.list("keep")
						}
					})
				}
			}
			run, err := w.runner.Run(t.Context(), w.request())
			if _, ok := errors.AsType[*FindingsError](err); !ok || !strings.Contains(err.Error(), `the list "keep" was deleted`) {
				t.Errorf("the run ended with %v", err)
			}
			if run.Matched == 0 {
				t.Error("the list was deleted too late for this test to say anything")
			}
			w.wantState(run, crmstore.RunFailed)
			w.wantDeleted(run, nil)
		})
	}
}

func TestDeleteList_NamesWhoAsksIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	keep, other := w.list("keep"), w.list("other")
	w.active("outer", `contact.email == "x" || inList("keep")`)
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
	lists, err := w.store.Lists(t.Context(), crmstore.Contact)
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
