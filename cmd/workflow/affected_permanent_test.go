package main

import (
	"errors"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
	"github.com/crm-workflow/crm-workflow/workflow"
)

// permanentChecks are the tests of the table about permanent deletions, by what it is about.
func permanentChecks() map[string]func(*affected) {
	return map[string]func(*affected){
		"properties":     (*affected).permanentProperties,
		"e-mail address": (*affected).permanentAddress,
		"calls":          (*affected).permanentCalls,
		"associations":   (*affected).permanentAssociations,
		"static lists":   (*affected).permanentStaticLists,
		"active lists":   (*affected).permanentActiveLists,
		"enrollments":    (*affected).permanentEnrollments,
		"reports":        (*affected).permanentReports,
		"audit log":      (*affected).permanentAuditLog,
		"legal hold":     (*affected).permanentLegalHold,
	}
}

// erase deletes a contact permanently.
func (a *affected) erase(r record.Ref) crmstore.EraseResult {
	a.Helper()
	report, err := a.store.Erase(a.Context(), crmstore.EraseOrder{At: a.now.Add(time.Hour)}, []record.ID{r.ID})
	a.must(err)
	if len(report.Results) != 1 || report.Results[0].Outcome != crmstore.Erased {
		a.Fatalf("permanent deletion of %s: %+v", r, report.Results)
	}
	return report.Results[0]
}

func (a *affected) permanentProperties() {
	a.erase(a.it)
	recs, err := a.store.Get(a.Context(), a.it.Object, []record.ID{a.it.ID})
	a.must(err)
	if len(recs) > 0 {
		a.Errorf("the record is still there")
	}
	graves, err := a.store.Tombstones(a.Context(), record.Contact, []record.ID{a.it.ID})
	a.must(err)
	if len(graves) != 1 || graves[0].Actor != storetest.User || !graves[0].At.Equal(a.now.Add(time.Hour)) {
		a.Errorf("tombstones: %+v", graves)
	}
	if got := a.restored(a.it); got.Outcome != crmstore.NotThere {
		a.Errorf("restore: outcome %d", got.Outcome)
	}
}

func (a *affected) permanentAddress() {
	contact := a.create(record.Ref{Object: record.Contact, ID: 800}, map[string]string{"email": "ada@example.com"})
	if !a.erase(contact).Blocked {
		a.Error("the address is not blocked")
	}
	schema, err := a.store.Schema(a.Context(), record.Contact)
	a.must(err)
	again := crmstore.Upsert{ID: 801, Set: []record.Assignment{{Property: schema.Find("email")[0].Number, Value: record.StringValue("ADA@example.com")}}}
	results, err := a.store.Write(a.Context(), record.Contact, crmstore.CreateOnly, []crmstore.Upsert{again}, record.Cause{}, a.now)
	a.must(err)
	if blocked := (*record.BlockedError)(nil); !errors.As(results[0].Err, &blocked) {
		a.Errorf("a new contact with the address: %v", results[0].Err)
	}
}

func (a *affected) permanentCalls() {
	call := a.create(record.Ref{Object: record.Call, ID: 600}, map[string]string{"hs_call_title": "Hello"})
	a.associate(call)
	a.erase(a.it)
	if got := a.neighbours(call); len(got) > 0 {
		a.Errorf("the call shows %v", got)
	}
	if n, err := a.store.Count(a.Context(), record.Call); err != nil || n.Live != 1 {
		a.Errorf("%d calls are live; %v", n.Live, err)
	}
}

func (a *affected) permanentAssociations() {
	company := a.create(record.Ref{Object: record.Company, ID: 500}, nil)
	a.associate(company)
	a.erase(a.it)
	if got := a.neighbours(company); len(got) > 0 {
		a.Errorf("the company shows %v", got)
	}
	a.must(a.store.Doctor(a.Context(), record.Company, false, func(p crmstore.Problem) error {
		a.Errorf("doctor: %+v", p)
		return nil
	}))
}

func (a *affected) permanentStaticLists() {
	list, err := a.store.CreateList(a.Context(), a.it.Object, "keep", record.Cause{}, a.now)
	a.must(err)
	_, _, err = a.store.SetMembers(a.Context(), list, []record.ID{a.it.ID}, true, record.Cause{}, a.now)
	a.must(err)
	a.erase(a.it)
	for id := record.ID(1); id <= 100; id++ { // some take the free place
		a.create(record.Ref{Object: record.Contact, ID: id}, nil)
	}
	if n := a.members(list); n != 0 {
		a.Errorf("%d are on the list", n)
	}
}

func (a *affected) permanentActiveLists() {
	list, err := a.store.AddList(a.Context(), crmstore.ListOrder{Object: a.it.Object, Name: "the ones", Where: `contact.firstname == "The one"`, At: a.now})
	a.must(err)
	a.erase(a.it)
	if n := a.members(list); n != 0 {
		a.Errorf("%d are on the list", n)
	}
}

func (a *affected) permanentEnrollments() {
	a.publishOnes()
	runner := &workflow.Runner{Store: a.store}
	_, err := runner.Run(a.Context(), workflow.RunRequest{Name: "ones", Now: a.now.Add(time.Hour)})
	a.must(err)
	partitions, err := a.store.Partitions(a.Context())
	a.must(err)
	ask := []record.PartitionIDs{{Partition: a.it.ID.Partition(partitions), IDs: []record.ID{a.it.ID}}}
	state := func() record.EnrollmentState {
		found, err := a.store.Enrollments(a.Context(), record.Contact, "ones", ask)
		a.must(err)
		return found[0][0].State
	}
	if got := state(); got != record.Completed {
		a.Fatalf("after the run its enrollment is %q", got)
	}
	a.erase(a.it)
	if got := state(); got != record.NotEnrolled {
		a.Errorf("its enrollment is %q", got)
	}
}

func (a *affected) permanentReports() {
	a.erase(a.it)
	n, err := a.store.Count(a.Context(), a.it.Object)
	a.must(err)
	if d := cmp.Diff(crmstore.Counts{}, n); d != "" {
		a.Errorf("counts (-want +got):\n%s", d)
	}
}

func (a *affected) permanentAuditLog() {
	a.delete(a.it)
	a.erase(a.it)
	var ops []string
	err := a.store.Audit(a.Context(), crmstore.AuditFilter{Object: a.it.Object, Record: a.it.ID}, func(e record.Event) error {
		ops = append(ops, e.Op)
		return nil
	})
	a.must(err)
	if d := cmp.Diff([]string{"permanent-delete"}, ops); d != "" {
		a.Errorf("events (-want +got):\n%s", d)
	}
}
