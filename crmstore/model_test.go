package crmstore_test

import (
	"maps"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// model is a store in plain Go: what records, lists, enrollments and events there must be.
type model struct {
	records  map[record.ID]*modelRecord
	enrolled map[record.ID]record.Enrollment
	events   map[string]int // how often a record occurs in the audit log: "op id"
}

type modelRecord struct {
	values   map[int]record.Value
	version  uint64
	deletion *record.Deletion
	member   bool // of the list
}

func (m *model) holder(email string) record.ID {
	for id, r := range m.records {
		if email != "" && r.deletion == nil && normal(r.values[record.PropertyEmail].Text()) == email {
			return id
		}
	}
	return 0
}

// normal is the normal form of the few addresses that the models write.
func normal(email string) string { return strings.Trim(strings.ToLower(email), " <>") }

// write says what one upsert must give, and carries it out. id is the one that the store gave to a new record.
func (m *model) write(mode crmstore.WriteMode, u crmstore.Upsert, id record.ID, at time.Time) crmstore.WriteResult {
	email, sets := "", false
	for _, a := range u.Set {
		if a.Property == record.PropertyEmail {
			email, sets = normal(a.Value.Text()), true
		}
	}
	target := u.ID
	if target == 0 {
		target = m.holder(email)
	}
	r, holder := m.records[target], m.holder(email)
	taken := &record.EmailTakenError{Email: email, Holder: holder}
	switch {
	case r != nil && r.deletion != nil:
		return refused(target, crmstore.ErrArchived)
	case r != nil && mode == crmstore.CreateOnly && u.ID == 0:
		return refused(0, taken)
	case r != nil && mode == crmstore.CreateOnly:
		return refused(target, record.ErrExists)
	case r == nil && mode == crmstore.UpdateOnly:
		return refused(target, record.ErrNotFound)
	case sets && holder != 0 && holder != target:
		return refused(u.ID, taken)
	}
	outcome := crmstore.Updated
	if r == nil {
		if target == 0 {
			target = id
		}
		outcome, r = crmstore.Created, &modelRecord{values: map[int]record.Value{record.PropertyCreated: record.DateTimeValue(at)}}
		m.records[target] = r
	}
	before := maps.Clone(r.values)
	for _, a := range u.Set {
		if a.Property == record.PropertyEmail {
			a.Value = record.StringValue(normal(a.Value.Text()))
		}
		if a.Value.Known() {
			r.values[a.Property] = a.Value
		} else {
			delete(r.values, a.Property)
		}
	}
	if outcome == crmstore.Updated && maps.Equal(before, r.values) {
		return crmstore.WriteResult{ID: target, Outcome: crmstore.Unchanged}
	}
	r.values[record.PropertyModified] = record.DateTimeValue(at)
	return crmstore.WriteResult{ID: target, Outcome: outcome}
}

func refused(id record.ID, err error) crmstore.WriteResult {
	return crmstore.WriteResult{ID: id, Outcome: crmstore.Refused, Err: err}
}
