package main

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/csvfile"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow"
)

// heldRow is a row of the second table of docs/AFFECTED.md: what happens, and what becomes of a record on legal hold.
var heldRow = regexp.MustCompile(`(?m)^\| ([^|]+) \| ([^|]+) \|$`)

// TestHeld holds the table of docs/AFFECTED.md about records on legal hold: every row is tested, and every test has its row.
func TestHeld(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "AFFECTED.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## A record on legal hold\n")
	if !found {
		t.Fatal("docs/AFFECTED.md has no section about legal holds")
	}
	checks, named := heldChecks(), map[string]bool{}
	rows := heldRow.FindAllStringSubmatch(section, -1)
	for _, row := range rows[1:] { // the first one is the head
		named[row[1]] = true
		check := checks[row[1]]
		if check == nil {
			t.Errorf("row %q of docs/AFFECTED.md has no test", row[1])
			continue
		}
		t.Run(row[1], func(t *testing.T) {
			t.Parallel()
			check(newAffected(t, "contact"))
		})
	}
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		if !named[name] {
			t.Errorf("test %q has no row in docs/AFFECTED.md", name)
		}
	}
}

func heldChecks() map[string]func(*affected) {
	return map[string]func(*affected){
		"a hold while a run deletes":                      (*affected).heldDuringRun,
		"the purge after 90 days":                         (*affected).heldPurge,
		"the purge of another record":                     (*affected).heldNeighbourPurge,
		"a permanent deletion of another contact":         (*affected).heldNeighbourErased,
		"a permanent deletion of a contact that it names": (*affected).heldReason,
		"trimming of the audit log":                       (*affected).heldLog,
		"quarantine by doctor":                            (*affected).heldQuarantine,
		"a change by a person":                            (*affected).heldChange,
		"a line of an import":                             (*affected).heldImport,
		"a restore of another contact":                    (*affected).heldAddress,
		"an undo":                                         (*affected).heldUndo,
	}
}

// hold puts a record on legal hold, or ends that.
func (a *affected) hold(r record.Ref, on bool) {
	a.Helper()
	told, err := a.store.SetHold(a.Context(), r.Object, []record.ID{r.ID}, on, record.Cause{Reason: "lawsuit 17"}, a.now)
	a.must(err)
	if told[0] != crmstore.HoldChanged {
		a.Fatalf("hold of %s: outcome %d", r, told[0])
	}
}

// onHold are the records on legal hold.
func (a *affected) onHold(o record.ObjectType) []record.ID {
	a.Helper()
	holds, err := a.store.Holds(a.Context(), o)
	a.must(err)
	ids := []record.ID{}
	for _, h := range holds {
		ids = append(ids, h.ID)
	}
	return ids
}

// stays checks that the record is there, in the bin or not, and on legal hold.
func (a *affected) stays(r record.Ref, binned bool) {
	a.Helper()
	recs, err := a.store.Get(a.Context(), r.Object, []record.ID{r.ID})
	a.must(err)
	if len(recs) != 1 || (recs[0].Deletion != nil) != binned || !slices.Contains(a.onHold(r.Object), r.ID) {
		a.Errorf("%s is not there as it was: %+v, on hold are %v", r, recs, a.onHold(r.Object))
	}
}

// bytes are the record's bytes in the store.
func (a *affected) bytes(r record.Ref) string {
	a.Helper()
	partitions, err := a.store.Partitions(a.Context())
	a.must(err)
	id := r.ID.Bytes()
	text, err := a.store.Client().HGet(a.Context(), a.key(r, partitions, "rec"), string(id[:])).Result()
	a.must(err)
	return text
}

func (a *affected) purge(o record.ObjectType) crmstore.PurgeReport {
	a.Helper()
	report, err := a.store.Purge(a.Context(), crmstore.PurgeOrder{Object: o, At: a.now.Add(crmstore.Retention)})
	a.must(err)
	return report
}

func (a *affected) legalHold() {
	a.hold(a.it, true)
	err := workflow.DeleteRecord(a.Context(), a.store, a.it.Object, a.it.ID, record.Cause{Reason: "delete"}, a.now)
	if refused, ok := errors.AsType[*workflow.UndeletableError](err); !ok || len(refused.Held) != 1 || !strings.Contains(err.Error(), "lawsuit 17") {
		a.Errorf("the deletion says %v", err)
	}
	a.stays(a.it, false)
	a.hold(a.it, false)
	a.delete(a.it)
	a.hold(a.it, true)
	if report := a.purge(a.it.Object); report.Purged != 0 || report.Held != 1 {
		a.Errorf("the purge says %+v", report)
	}
	a.stays(a.it, true)
	a.restore(a.it)
	a.stays(a.it, false)
}

func (a *affected) permanentLegalHold() {
	a.hold(a.it, true)
	_, err := a.store.Erase(a.Context(), crmstore.EraseOrder{At: a.now}, []record.ID{a.it.ID})
	if refused, ok := errors.AsType[*crmstore.HeldError](err); !ok || len(refused.Holds) != 1 {
		a.Errorf("the permanent deletion says %v", err)
	}
	a.stays(a.it, false)
	a.hold(a.it, false)
	a.erase(a.it)
}

func (a *affected) heldDuringRun() {
	other := a.create(record.Ref{Object: record.Contact, ID: 700}, map[string]string{"firstname": "The one"})
	a.publishOnes()
	_, err := a.store.SetSetting(a.Context(), crmstore.SettingPerDay, "1", record.Cause{}, a.now)
	a.must(err)
	runner := &workflow.Runner{Store: a.store}
	run, err := runner.Run(a.Context(), workflow.RunRequest{Name: "ones", Now: a.now.Add(time.Hour)})
	a.must(err)
	if run.State != crmstore.RunHeld {
		a.Fatalf("the run is %s", run.State)
	}
	a.hold(a.it, true)
	run, err = runner.Approve(a.Context(), run.ID, workflow.Approval{Count: 2, At: a.now.Add(2 * time.Hour)})
	a.must(err)
	if run.Deleted != 1 || run.Held != 1 {
		a.Errorf("the run deleted %d, and found %d on hold", run.Deleted, run.Held)
	}
	a.stays(a.it, false)
	if recs, err := a.store.Get(a.Context(), record.Contact, []record.ID{other.ID}); err != nil || recs[0].Deletion == nil {
		a.Errorf("the other one stays, %v", err)
	}
}

func (a *affected) heldPurge() {
	a.delete(a.it)
	a.hold(a.it, true)
	before := a.bytes(a.it)
	if report := a.purge(record.Contact); report.Purged != 0 || report.Held != 1 {
		a.Errorf("the purge says %+v", report)
	}
	if a.bytes(a.it) != before {
		a.Error("its bytes changed")
	}
	a.stays(a.it, true)
}

func (a *affected) heldNeighbourPurge() {
	company := a.create(record.Ref{Object: record.Company, ID: 500}, nil)
	a.associate(company)
	a.hold(company, true)
	a.delete(a.it)
	if report := a.purge(record.Contact); report.Purged != 0 || report.Held != 1 {
		a.Errorf("the purge says %+v", report)
	}
	a.restore(a.it)
	if got := a.neighbours(company); cmp.Diff([]record.Ref{a.it}, got) != "" {
		a.Errorf("the company shows %v", got)
	}
	a.delete(a.it)
	a.hold(company, false)
	if report := a.purge(record.Contact); report.Purged != 1 || report.Held != 0 {
		a.Errorf("after the hold the purge says %+v", report)
	}
}

func (a *affected) heldNeighbourErased() {
	company := a.create(record.Ref{Object: record.Company, ID: 500}, nil)
	a.associate(company)
	a.hold(company, true)
	_, err := a.store.Erase(a.Context(), crmstore.EraseOrder{At: a.now}, []record.ID{a.it.ID})
	if refused, ok := errors.AsType[*crmstore.HeldError](err); !ok || len(refused.Ties) != 1 || !strings.Contains(err.Error(), "contact 4711 is associated with company 500, which is on legal hold") {
		a.Fatalf("the permanent deletion says %v", err)
	}
	if got := a.neighbours(company); cmp.Diff([]record.Ref{a.it}, got) != "" {
		a.Errorf("the company shows %v", got)
	}
	results, err := a.store.Associate(a.Context(), []crmstore.Pair{{A: a.it, B: company}}, false, record.Cause{}, a.now)
	a.must(err)
	if results[0].Outcome != crmstore.PairChanged {
		a.Errorf("taken away by hand: %s", results[0].Reason())
	}
	a.erase(a.it)
	a.stays(company, false)
}

func (a *affected) heldReason() {
	person := a.create(record.Ref{Object: record.Contact, ID: 800}, map[string]string{"email": "zoe@example.com", "firstname": "Zoe"})
	for id, held := range map[record.ID]bool{600: true, 601: false} {
		company := a.create(record.Ref{Object: record.Company, ID: id}, nil)
		a.must(workflow.DeleteRecord(a.Context(), a.store, record.Company, id, record.Cause{Reason: "asked for by zoe@example.com"}, a.now))
		if held {
			a.hold(company, true)
		}
	}
	firm, other := record.Ref{Object: record.Company, ID: 600}, record.Ref{Object: record.Company, ID: 601}
	before := a.bytes(firm)
	report, err := a.store.Erase(a.Context(), crmstore.EraseOrder{At: a.now}, []record.ID{person.ID})
	a.must(err)
	if a.bytes(firm) != before || strings.Contains(a.bytes(other), "zoe@") {
		a.Errorf("the reasons are %q and %q", a.bytes(firm), a.bytes(other))
	}
	if want := []crmstore.Mention{{Kind: crmstore.MentionHeld, Name: "company 600"}}; cmp.Diff(want, report.Mentions) != "" {
		a.Errorf("the answer mentions %v", report.Mentions)
	}
}

func (a *affected) heldLog() {
	events := func() (n int) {
		a.Helper()
		a.must(a.store.Audit(a.Context(), crmstore.AuditFilter{Object: record.Contact, Record: a.it.ID}, func(record.Event) error { n++; return nil }))
		return n
	}
	a.hold(a.it, true)
	later := time.Now().AddDate(crmstore.AuditDays/365+1, 0, 0)
	if _, err := a.store.TrimHistory(a.Context(), later, 1000); err != nil || events() != 2 {
		a.Errorf("%d events stay, %v; want that it was made and put on hold", events(), err)
	}
	a.hold(a.it, false)
	if _, err := a.store.TrimHistory(a.Context(), later, 1000); err != nil || events() != 0 {
		a.Errorf("after the hold %d events stay, %v", events(), err)
	}
}

func (a *affected) heldQuarantine() {
	a.hold(a.it, true)
	partitions, err := a.store.Partitions(a.Context())
	a.must(err)
	id, damaged := a.it.ID.Bytes(), a.bytes(a.it)+"\xff"
	a.must(a.store.Client().HSet(a.Context(), a.key(a.it, partitions, "rec"), string(id[:]), damaged).Err())
	examine := func(o crmstore.DoctorOrder) (says string) {
		a.Helper()
		o.At = a.now
		a.must(a.store.Examine(a.Context(), record.Contact, o, func(p crmstore.Problem) error { says += p.Code + ": " + p.Detail + "\n"; return nil }))
		return says
	}
	for _, o := range []crmstore.DoctorOrder{{Quarantine: true}, {}, {Repair: true}} {
		if says := examine(o); strings.Count(says, "\n") != 1 || !strings.Contains(says, "stays on legal hold") {
			a.Errorf("doctor says %s", says)
		}
	}
	if got := a.onHold(record.Contact); cmp.Diff([]record.ID{a.it.ID}, got) != "" {
		a.Errorf("on hold are %v", got)
	}
	a.must(a.store.PutBack(a.Context(), record.Contact, a.it.ID, record.Cause{}, a.now))
	if a.bytes(a.it) != damaged {
		a.Error("put back it has other bytes")
	}
	a.must(a.store.Client().HSet(a.Context(), a.key(a.it, partitions, "rec"), string(id[:]), strings.TrimSuffix(damaged, "\xff")).Err())
	a.stays(a.it, false)
	if says := examine(crmstore.DoctorOrder{}); says != "" {
		a.Errorf("in the end doctor says %s", says)
	}
}

func (a *affected) heldChange() {
	contact := a.create(record.Ref{Object: record.Contact, ID: 800}, map[string]string{"email": "ada@example.com"})
	a.hold(contact, true)
	a.write(crmstore.Upsert{ID: contact.ID}, "email", "countess@example.com")
	id, err := a.store.FindByEmail(a.Context(), "countess@example.com")
	a.must(err)
	holds, err := a.store.HoldsOf(a.Context(), record.Contact, []record.ID{id})
	a.must(err)
	if id != contact.ID || len(holds) != 1 {
		a.Errorf("contact %s with the new address has the holds %v", id, holds)
	}
	changed := ""
	a.must(a.store.Audit(a.Context(), crmstore.AuditFilter{Object: record.Contact, Record: id, Ops: []string{"update"}}, func(e record.Event) error {
		for _, c := range e.Changes {
			changed += c.Before + " "
		}
		return nil
	}))
	if !strings.Contains(changed, "ada@example.com") {
		a.Errorf("the audit log keeps %q", changed)
	}
}

// write changes one text of a contact, and says what became of it.
func (a *affected) write(u crmstore.Upsert, name, value string) {
	a.Helper()
	schema, err := a.store.Schema(a.Context(), record.Contact)
	a.must(err)
	u.Set = []record.Assignment{{Property: schema.Find(name)[0].Number, Value: record.StringValue(value)}}
	results, err := a.store.Write(a.Context(), record.Contact, crmstore.UpdateOnly, []crmstore.Upsert{u}, record.Cause{}, a.now)
	a.must(err)
	a.must(results[0].Err)
}

func (a *affected) heldImport() {
	contact := a.create(record.Ref{Object: record.Contact, ID: 800}, map[string]string{"email": "ada@example.com", "firstname": "Ada"})
	a.create(record.Ref{Object: record.Contact, ID: 801}, map[string]string{"email": "ben@example.com"})
	a.hold(contact, true)
	before := a.bytes(contact)
	load := func(file string, o csvfile.Options) *csvfile.Report {
		a.Helper()
		o.Object, o.At = record.Contact, a.now.Add(time.Hour)
		report, err := csvfile.Import(a.Context(), a.store, strings.NewReader(file), o)
		a.must(err)
		return report
	}
	const file = "Record ID,Email,First Name\n800,ada@example.com,Eve\n801,ben@example.com,Ben\n"
	for _, o := range []csvfile.Options{{DryRun: true}, {}, {IDColumn: "email", IgnoreUnknown: true}} {
		report := load(file, o)
		if report.Refused != 1 || len(report.Findings) != 1 || report.Findings[0].Code != csvfile.OnHold || report.Findings[0].Line != 2 || !strings.Contains(report.Findings[0].String(), "lawsuit 17") {
			a.Errorf("with %+v the import says %v", o, report.Findings)
		}
	}
	report := load("Record ID,Email\n800,countess@example.com\n", csvfile.Options{TrustIDs: true})
	if a.bytes(contact) != before || report.Refused != 1 {
		a.Errorf("its bytes changed, or the import says %+v", report)
	}
	if report := load("Email,First Name\nADA@example.com,Ada\n", csvfile.Options{}); report.Unchanged != 1 {
		a.Errorf("of a line that changes nothing the import says %+v", report)
	}
	if report := load(file, csvfile.Options{ChangeHeld: true}); report.Updated != 1 || report.Unchanged != 1 {
		a.Errorf("told to change it, the import says %+v", report)
	}
	a.stays(contact, false)
}

func (a *affected) heldAddress() {
	other := a.create(record.Ref{Object: record.Contact, ID: 800}, map[string]string{"email": "ada@example.com"})
	a.delete(other)
	contact := a.create(record.Ref{Object: record.Contact, ID: 801}, map[string]string{"email": "ada@example.com"})
	a.hold(contact, true)
	before := a.bytes(contact)
	if got := a.restored(other); got.Outcome != crmstore.EmailTaken || got.Holder != contact.ID || a.bytes(contact) != before {
		a.Errorf("restore beside it: %+v", got)
	}
}

func (a *affected) heldUndo() {
	a.publishOnes()
	runner := &workflow.Runner{Store: a.store}
	run, err := runner.Run(a.Context(), workflow.RunRequest{Name: "ones", Now: a.now.Add(time.Hour)})
	a.must(err)
	a.hold(a.it, true)
	report, err := runner.Undo(a.Context(), run.ID, a.now.Add(2*time.Hour))
	a.must(err)
	if report.Restored != 1 {
		a.Errorf("the undo says %+v", report)
	}
	a.stays(a.it, false)
}

// key is one of the keys of the record's partition.
func (a *affected) key(r record.Ref, partitions int, name string) string {
	return "crm:{" + a.store.AccountName() + "/" + string(r.Object) + "/" + strconv.Itoa(r.ID.Partition(partitions)) + "}:" + name
}
