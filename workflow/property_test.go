package workflow

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/crm-workflow/crm-workflow/actions"
	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

// conditions is what random triggers and suppressions are put together from: columns, records, lists, unknown values.
func conditions() []string {
	return []string{
		`contact.lifecyclestage in ["lead", "subscriber"]`,
		`contact.lifecyclestage != "customer"`,
		`daysSince(contact.notes_last_updated) > 365`,
		`!(daysSince(contact.notes_last_updated) < 100)`,
		`unknown(contact.email)`,
		`contact.email endsWith "@example.com"`,
		`!(contact.email contains "7")`,
		`contact.createdate < daysAgo(1)`,
		`inList("keep")`,
		`!inList("keep")`,
		`known(contact.firstname) && contact.firstname startsWith "A"`,
	}
}

func expression() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(rapid.SampledFrom(conditions()), 1, 3).Draw(t, "conditions")
		operator := rapid.SampledFrom([]string{" && ", " || "}).Draw(t, "operator")
		if exclude(parts) {
			operator = " || "
		}
		return strings.Join(parts, operator)
	})
}

// exclude reports whether two of the conditions are never true together, which a file may not ask with &&.
func exclude(parts []string) bool {
	has := func(condition string) bool { return slices.Contains(parts, condition) }
	return has(`inList("keep")`) && has(`!inList("keep")`) ||
		has(`unknown(contact.email)`) && (has(`contact.email endsWith "@example.com"`) || has(`!(contact.email contains "7")`))
}

// entries is a YAML list of quoted expressions; none is no entry at all.
func entries(key string, list []string) string {
	if len(list) == 0 {
		return ""
	}
	slices.Sort(list)
	var b strings.Builder
	b.WriteString("  " + key + ":\n")
	for _, e := range slices.Compact(list) {
		fmt.Fprintf(&b, "    - '%s'\n", e)
	}
	return b.String()
}

func (w *world) randomContacts(t *rapid.T) {
	stages := []string{"", "lead", "subscriber", "customer"}
	var batch []crmstore.Upsert
	for id := record.ID(1); id <= record.ID(rapid.IntRange(0, 60).Draw(t, "contacts")); id++ {
		u := crmstore.Upsert{ID: id}
		if stage := rapid.SampledFrom(stages).Draw(t, "stage"); stage != "" {
			u.Set = append(u.Set, w.set("lifecyclestage", stage))
		}
		if days := rapid.IntRange(-100, 900).Draw(t, "days"); days >= 0 {
			u.Set = append(u.Set, w.set("notes_last_updated", testNow.AddDate(0, 0, -days).Format(time.RFC3339)))
		}
		if rapid.Bool().Draw(t, "mail") {
			u.Set = append(u.Set, w.set("email", fmt.Sprintf("c%d@example.com", id)))
		}
		if name := rapid.SampledFrom([]string{"", "Ann", "Bob"}).Draw(t, "name"); name != "" {
			u.Set = append(u.Set, w.set("firstname", name))
		}
		batch = append(batch, u)
	}
	w.write(batch...)
	keep, err := w.store.CreateList(context.Background(), record.Contact, "keep", record.Cause{Actor: "test"}, testPublish)
	w.must(err)
	var members []record.ID
	for _, u := range batch {
		if rapid.IntRange(0, 3).Draw(t, "keep") == 0 {
			members = append(members, u.ID)
		}
	}
	_, _, err = w.store.SetMembers(context.Background(), keep, members, true, record.Cause{Actor: "test"}, testPublish)
	w.must(err)
}

// Whatever the contacts and the file: the review at an instant lists whom the run at that instant deletes; a second run
// deletes nobody; undo brings back each of them as it was; and the next run leaves them alone unless reenroll says otherwise.
func TestProperty_ReviewRunUndo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		w.setting(crmstore.SettingRepeated, "1000") // with reenroll, whoever was restored goes again
		w.randomContacts(rt)
		reenroll := rapid.Bool().Draw(rt, "reenroll")
		enroll := fmt.Sprintf("enroll:\n  reenroll: %v\n", reenroll) +
			entries("triggers", rapid.SliceOfN(expression(), 1, 3).Draw(rt, "triggers")) +
			entries("suppress", rapid.SliceOfN(expression(), 0, 2).Draw(rt, "suppress"))
		w.publish(file(enroll))
		d, _, err := LoadPublished(t.Context(), w.store, "stale")
		w.must(err)
		before := w.dump()

		review, err := MakeReview(t.Context(), w.store, d, testNow)
		w.must(err)
		run := w.run(crmstore.RunDone)
		if diff := cmp.Diff(review.Contacts, w.deletedBy(run.ID), cmpopts.EquateEmpty()); diff != "" {
			rt.Fatalf("review and run differ for\n%s\n(-review +run):\n%s", enroll, diff)
		}
		w.wantDeleted(run, review.Contacts)
		if run.Deleted != review.WouldDelete || run.Matched != review.Matched || run.Suppressed != review.Suppressed || run.Evaluated != review.Live {
			rt.Fatalf("run %+v, review %+v", run.Totals, review)
		}
		if again := w.run(crmstore.RunDone); again.Deleted != 0 {
			rt.Fatalf("a second run deleted %d", again.Deleted)
		}
		report, err := w.runner.Undo(t.Context(), run.ID, testNow)
		w.must(err)
		if diff := cmp.Diff(before, w.dump()); diff != "" || report.Restored != run.Deleted {
			rt.Fatalf("undo restored %d of %d (-before +after):\n%s", report.Restored, run.Deleted, diff)
		}
		want := int64(0)
		if reenroll {
			want = run.Deleted
		}
		if next := w.run(crmstore.RunDone); next.Deleted != want {
			rt.Fatalf("after undo with reenroll %v a run deleted %d, want %d", reenroll, next.Deleted, want)
		}
		w.wantClean()
	})
}

// The examples of the catalogue load on a new account, without a finding.
func TestCatalogue_ExamplesLoad(t *testing.T) {
	t.Parallel()
	store := storetest.Open(t)
	vocabulary, err := definition.AccountVocabulary(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range actions.Builtin() {
		d, list := definition.Load(spec.Name+".yaml", []byte(spec.Example), vocabulary)
		if d == nil || len(list) > 0 {
			t.Errorf("%s: its example has findings: %v", spec.Name, list)
			continue
		}
		if d.Actions[0].Spec.Name != spec.Name {
			t.Errorf("%s: its example uses %s", spec.Name, d.Actions[0].Spec.Name)
		}
	}
}
