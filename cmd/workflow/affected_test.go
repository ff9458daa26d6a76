package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
	"github.com/crm-workflow/crm-workflow/workflow"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

// affectedRow is a row of the table of docs/AFFECTED.md: what, of which object types, and three columns of text.
var affectedRow = regexp.MustCompile(`(?m)^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$`)

// affectedObjects are the object types that the table's column "Of" speaks of.
var affectedObjects = map[string][]string{
	"every type":           {"contact", "company", "deal", "ticket", "call", "custom"},
	"every type but calls": {"contact", "company", "deal", "ticket", "custom"},
	"contacts":             {"contact"},
}

// TestAffected holds docs/AFFECTED.md: every row of its table is tested for every object type that it is of, restorably and, for
// contacts, permanently; and every test has its row.
func TestAffected(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "AFFECTED.md"))
	if err != nil {
		t.Fatal(err)
	}
	checks, named := affectedChecks(), map[string]bool{}
	text, _, _ = bytes.Cut(text, []byte("\n## "))
	rows := affectedRow.FindAllStringSubmatch(string(text), -1)
	for _, row := range rows[1:] { // the first one is the head
		objects := affectedObjects[row[2]]
		if objects == nil {
			t.Errorf("row %q of docs/AFFECTED.md is of %q: no such object types", row[1], row[2])
		}
		for _, object := range append([]string{"permanent"}, objects...) {
			name := object + " " + row[1]
			if named[name] {
				t.Errorf("docs/AFFECTED.md has two rows %q", row[1])
			}
			named[name] = true
			check, ok := checks[name]
			if !ok {
				t.Errorf("row %q of docs/AFFECTED.md has no test %q", row[1], name)
				continue
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				check(newAffected(t, object))
			})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		if !named[name] {
			t.Errorf("test %q has no row in docs/AFFECTED.md", name)
		}
	}
	if lines := strings.Count(string(text), "\n| "); lines != len(rows) {
		t.Errorf("docs/AFFECTED.md has %d lines of a table, %d of them have five columns", lines, len(rows))
	}
}

// affectedChecks are the tests, by row.
func affectedChecks() map[string]func(*affected) {
	all := map[string]func(*affected){
		"contact e-mail address": (*affected).address,
		"contact enrollments":    (*affected).enrollments,
	}
	for thing, check := range permanentChecks() {
		all["permanent "+thing] = check
	}
	for _, object := range affectedObjects["every type"] {
		all[object+" properties"] = (*affected).properties
		all[object+" associations"] = (*affected).associations
		all[object+" reports"] = (*affected).reports
		all[object+" audit log"] = (*affected).auditLog
		all[object+" legal hold"] = (*affected).legalHold
		if object != "call" {
			all[object+" calls"] = (*affected).calls
		}
		all[object+" static lists"] = (*affected).staticLists
		all[object+" active lists"] = (*affected).activeLists
	}
	return all
}

// affected is an account with a record that is deleted, and others around it.
type affected struct {
	*testing.T
	store *crmstore.Store
	it    record.Ref
	title string // the property that names it
	now   time.Time
}

// customObject is the object type of the account's own.
const customObject record.ObjectType = "car"

func newAffected(t *testing.T, object string) *affected {
	a := &affected{T: t, store: storetest.Open(t), it: record.Ref{Object: record.ObjectType(object), ID: 4711}, now: storetest.Time.Add(time.Hour)}
	_, err := a.store.AddObject(t.Context(), crmstore.Object{Name: customObject}, []record.Property{{Name: "plate", Type: record.String}}, record.Cause{}, a.now)
	a.must(err)
	switch object {
	case "custom":
		a.it.Object = customObject
	case "permanent":
		a.it.Object = record.Contact
	}
	a.title = map[record.ObjectType]string{
		record.Contact: "firstname", record.Company: "name", record.Deal: "dealname", record.Ticket: "subject",
		record.Call: "hs_call_title", customObject: "plate",
	}[a.it.Object]
	a.create(a.it, map[string]string{a.title: "The one"})
	return a
}

func (a *affected) must(err error) {
	a.Helper()
	if err != nil {
		a.Fatal(err)
	}
}

func (a *affected) create(r record.Ref, values map[string]string) record.Ref {
	a.Helper()
	schema, err := a.store.Schema(a.Context(), r.Object)
	a.must(err)
	u := crmstore.Upsert{ID: r.ID}
	for name, value := range values {
		u.Set = append(u.Set, record.Assignment{Property: schema.Find(name)[0].Number, Value: record.StringValue(value)})
	}
	results, err := a.store.Write(a.Context(), r.Object, crmstore.CreateOnly, []crmstore.Upsert{u}, record.Cause{}, a.now)
	a.must(err)
	a.must(results[0].Err)
	return r
}

func (a *affected) delete(r record.Ref) {
	a.Helper()
	a.must(workflow.DeleteRecord(a.Context(), a.store, r.Object, r.ID, record.Cause{Reason: "delete"}, a.now))
}

func (a *affected) restore(r record.Ref) {
	a.Helper()
	if got := a.restored(r); got.Outcome != crmstore.Restored {
		a.Fatalf("restore of %s: outcome %d", r, got.Outcome)
	}
}

func (a *affected) restored(r record.Ref) crmstore.RestoreResult {
	a.Helper()
	results, err := a.store.Restore(a.Context(), crmstore.RestoreOrder{Object: r.Object, At: a.now}, []record.ID{r.ID})
	a.must(err)
	return results[0]
}

// want compares what is asked for before the deletion, in the bin, and after the restore.
func want[T any](a *affected, what string, ask func() T, live, deleted T) {
	a.Helper()
	for _, step := range []struct {
		when string
		do   func(record.Ref)
		want T
	}{{"before", func(record.Ref) {}, live}, {"in the bin", a.delete, deleted}, {"restored", a.restore, live}} {
		step.do(a.it)
		if d := cmp.Diff(step.want, ask()); d != "" {
			a.Errorf("%s, %s (-want +got):\n%s", what, step.when, d)
		}
	}
}

func (a *affected) record() (*record.Record, map[string]string) {
	a.Helper()
	recs, err := a.store.Get(a.Context(), a.it.Object, []record.ID{a.it.ID})
	a.must(err)
	if len(recs) != 1 {
		a.Fatalf("%s is not there", a.it)
	}
	values := map[string]string{}
	recs[0].Values(func(p *record.Property, v record.Value) { values[p.Name] = v.String() })
	return recs[0], values
}

func (a *affected) properties() {
	_, before := a.record()
	if before[a.title] != "The one" {
		a.Fatalf("the record has %v", before)
	}
	want(a, "properties", func() map[string]string { _, v := a.record(); return v }, before, before)
	want(a, "in the bin", func() bool { r, _ := a.record(); return r.Deletion != nil }, false, true)
}

func (a *affected) reports() {
	ask := func() crmstore.Counts {
		n, err := a.store.Count(a.Context(), a.it.Object)
		a.must(err)
		return n
	}
	want(a, "counts", ask, crmstore.Counts{Live: 1}, crmstore.Counts{Archived: 1})
}

func (a *affected) auditLog() {
	a.delete(a.it)
	a.restore(a.it)
	var ops []string
	err := a.store.Audit(a.Context(), crmstore.AuditFilter{Object: a.it.Object, Record: a.it.ID}, func(e record.Event) error {
		ops = append(ops, e.Op)
		if e.Actor != storetest.User {
			a.Errorf("event %s names %q", e.Op, e.Actor)
		}
		return nil
	})
	a.must(err)
	slices.Sort(ops)
	if d := cmp.Diff([]string{"create", "delete", "restore"}, ops); d != "" {
		a.Errorf("events (-want +got):\n%s", d)
	}
}

// neighbours are what a record is associated with, as that record shows it.
func (a *affected) neighbours(r record.Ref) []record.Ref {
	a.Helper()
	found, err := a.store.Associations(a.Context(), r.Object, []record.ID{r.ID})
	a.must(err)
	return slices.Clip(append([]record.Ref{}, found[0]...))
}

func (a *affected) associate(r record.Ref) {
	a.Helper()
	results, err := a.store.Associate(a.Context(), []crmstore.Pair{{A: a.it, B: r}}, true, record.Cause{}, a.now)
	a.must(err)
	if results[0].Outcome != crmstore.PairChanged {
		a.Fatalf("%s and %s: %s", a.it, r, results[0].Reason())
	}
}

func (a *affected) associations() {
	company := a.create(record.Ref{Object: record.Company, ID: 500}, nil)
	contact := a.create(record.Ref{Object: record.Contact, ID: 700}, nil)
	a.associate(company)
	a.associate(contact)
	one, none := []record.Ref{a.it}, []record.Ref{}
	want(a, "seen from the company", func() []record.Ref { return a.neighbours(company) }, one, none)
	want(a, "seen from the contact", func() []record.Ref { return a.neighbours(contact) }, one, none)
	want(a, "seen from the record", func() []record.Ref { return a.neighbours(a.it) }, []record.Ref{company, contact}, none)
	a.delete(company)
	want(a, "with a company in the bin", func() []record.Ref { return a.neighbours(a.it) }, []record.Ref{contact}, none)
	a.restore(company)
	if d := cmp.Diff([]record.Ref{company, contact}, a.neighbours(a.it)); d != "" {
		a.Errorf("after the company came back (-want +got):\n%s", d)
	}
}

func (a *affected) calls() {
	call := a.create(record.Ref{Object: record.Call, ID: 600}, map[string]string{"hs_call_title": "Hello"})
	a.associate(call)
	want(a, "seen from the call", func() []record.Ref { return a.neighbours(call) }, []record.Ref{a.it}, []record.Ref{})
	live := func() int64 {
		n, err := a.store.Count(a.Context(), record.Call)
		a.must(err)
		return n.Live
	}
	want(a, "live calls", live, 1, 1)
}

// members is how many live records are on a list.
func (a *affected) members(l crmstore.List) int64 {
	a.Helper()
	known, err := definition.AccountVocabulary(a.Context(), a.store)
	a.must(err)
	sizes, err := workflow.ListSizes(a.Context(), a.store, known(l.Object), []crmstore.List{l}, a.now)
	a.must(err)
	if len(sizes[0].Trouble) > 0 {
		a.Fatal(sizes[0].Trouble)
	}
	return sizes[0].Members
}

func (a *affected) staticLists() {
	list, err := a.store.CreateList(a.Context(), a.it.Object, "keep", record.Cause{}, a.now)
	a.must(err)
	_, _, err = a.store.SetMembers(a.Context(), list, []record.ID{a.it.ID}, true, record.Cause{}, a.now)
	a.must(err)
	want(a, "members", func() int64 { return a.members(list) }, 1, 0)
}

func (a *affected) activeLists() {
	where := string(a.it.Object) + "." + a.title + ` == "The one"`
	list, err := a.store.AddList(a.Context(), crmstore.ListOrder{Object: a.it.Object, Name: "the ones", Where: where, At: a.now})
	a.must(err)
	want(a, "members", func() int64 { return a.members(list) }, 1, 0)
}

func (a *affected) address() {
	const email = "ada@example.com"
	contact := a.create(record.Ref{Object: record.Contact, ID: 800}, map[string]string{"email": email})
	a.delete(contact)
	other := a.create(record.Ref{Object: record.Contact, ID: 801}, map[string]string{"email": email})
	if got := a.restored(contact); got.Outcome != crmstore.EmailTaken || got.Holder != other.ID {
		a.Errorf("restore beside the new holder: %+v", got)
	}
	a.delete(other)
	a.restore(contact)
	if id, err := a.store.FindByEmail(a.Context(), email); err != nil || id != contact.ID {
		a.Errorf("the address belongs to contact %s; %v", id, err)
	}
}

// publishOnes publishes a workflow that deletes the record.
func (a *affected) publishOnes() {
	a.Helper()
	known, err := definition.AccountVocabulary(a.Context(), a.store)
	a.must(err)
	source := "workflow: ones\nobject: contact\nenroll: {triggers: ['contact.firstname == \"The one\"']}\nlimits: {max_deletions: 9, max_percent: 100}\nactions: [delete_contact]\n"
	def, findings := definition.Load("ones.yaml", []byte(source), known)
	if def == nil {
		a.Fatal(findings)
	}
	_, err = workflow.Publish(a.Context(), a.store, def, a.now)
	a.must(err)
}

func (a *affected) enrollments() {
	a.publishOnes()
	runner := &workflow.Runner{Store: a.store}
	run := func() crmstore.Run {
		r, err := runner.Run(a.Context(), workflow.RunRequest{Name: "ones", Now: a.now.Add(time.Hour)})
		a.must(err)
		return r
	}
	if r := run(); r.Deleted != 1 {
		a.Fatalf("the first run deleted %d", r.Deleted)
	}
	a.restore(a.it)
	if r := run(); r.Deleted != 0 || r.AlreadyEnrolled != 1 {
		a.Errorf("the run after the restore deleted %d, and found %d enrolled before", r.Deleted, r.AlreadyEnrolled)
	}
}
