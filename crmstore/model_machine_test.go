package crmstore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// machine drives a store and its model side by side.
type machine struct {
	store  *crmstore.Store
	model  model
	schema *record.Schema
	list   crmstore.List
	ctx    context.Context
	clock  time.Time
	some   []int // numbers of the properties that it writes
}

const modelPartitions = 3

func (m *machine) id(t *rapid.T) record.ID { return record.ID(rapid.IntRange(1, 9).Draw(t, "id")) }

func (m *machine) tick() time.Time {
	m.clock = m.clock.Add(time.Second)
	return m.clock
}

func (m *machine) assignment(t *rapid.T) record.Assignment {
	p := m.schema.Number(rapid.SampledFrom(m.some).Draw(t, "property"))
	a := record.Assignment{Property: p.Number}
	switch k := rapid.IntRange(0, 4).Draw(t, "value"); {
	case k == 0: // clears
	case p.Number == record.PropertyEmail:
		a.Value = record.StringValue([]string{"a@x.org", "<A@X.org> ", "b@x.org", "c@x.org"}[k-1])
	case p.Type == record.String:
		a.Value = record.StringValue(strings.Repeat("x", k*k*k*4))
	case p.Type == record.Number:
		a.Value = record.NumberValue(float64(2-k) * 1.5)
	case p.Type == record.DateTime:
		a.Value = record.DateTimeValue(noon.AddDate(-30*k, 0, 0))
	case p.Type == record.Bool:
		a.Value = record.BoolValue(k > 2)
	default:
		a.Value = record.EnumValue(p.Options[k].Value)
	}
	return a
}

// write sends a batch of upserts, which hit each other often.
func (m *machine) write(t *rapid.T) {
	mode := rapid.SampledFrom([]crmstore.WriteMode{crmstore.UpsertAny, crmstore.UpsertAny, crmstore.CreateOnly, crmstore.UpdateOnly}).Draw(t, "mode")
	batch := make([]crmstore.Upsert, rapid.IntRange(1, 7).Draw(t, "upserts"))
	for i := range batch {
		if rapid.Bool().Draw(t, "has id") {
			batch[i].ID = m.id(t)
		}
		seen := map[int]bool{}
		for range rapid.IntRange(0, 3).Draw(t, "assignments") {
			if a := m.assignment(t); !seen[a.Property] {
				seen[a.Property] = true
				batch[i].Set = append(batch[i].Set, a)
			}
		}
	}
	at := m.tick()
	results, err := m.store.Write(m.ctx, record.Contact, mode, batch, someone, at)
	if err != nil {
		t.Fatal(err)
	}
	created, updated := map[record.ID]bool{}, map[record.ID]bool{}
	for i, got := range results {
		if got.Outcome == crmstore.Created && batch[i].ID == 0 && m.model.records[got.ID] != nil {
			t.Fatalf("upsert %d: the new id %d is taken", i, got.ID)
		}
		want := m.model.write(mode, batch[i], got.ID, at)
		if got.ID != want.ID || got.Outcome != want.Outcome || fmt.Sprint(got.Err) != fmt.Sprint(want.Err) {
			t.Fatalf("upsert %d (%+v):\n got %+v\nwant %+v", i, batch[i], got, want)
		}
		if created[got.ID] = created[got.ID] || got.Outcome == crmstore.Created; got.Outcome == crmstore.Updated {
			updated[got.ID] = true
		}
	}
	// Versions count the scripts that wrote a record, which may be fewer than the upserts.
	for id, r := range m.model.records {
		if created[id] || updated[id] {
			now := m.read(t, id).Version
			if now <= r.version {
				t.Fatalf("contact %d was written and is still at version %d", id, r.version)
			}
			r.version = now
		}
	}
	for id := range created {
		if created[id] {
			m.model.events[fmt.Sprint("create ", id)]++
		}
	}
}

func (m *machine) read(t *rapid.T, id record.ID) *record.Record {
	recs, err := m.store.Get(m.ctx, record.Contact, []record.ID{id})
	if err != nil || len(recs) != 1 {
		t.Fatalf("read contact %d: %d records, %v", id, len(recs), err)
	}
	return recs[0]
}

// archive deletes a few records, some of them at a version of the past, for one of few runs.
func (m *machine) archive(t *rapid.T) {
	o := byRun(fmt.Sprint("stale@", rapid.IntRange(1, 3).Draw(t, "run")))
	o.At = m.tick()
	for range rapid.IntRange(1, 4).Draw(t, "targets") {
		id := m.id(t)
		old := rapid.IntRange(0, 4).Draw(t, "old") == 0
		target := crmstore.Target{ID: id, Reason: "trigger 1"}
		want, r := crmstore.Gone, m.model.records[id]
		if r != nil {
			target.Version = r.version
			if old {
				target.Version--
			}
			switch e := m.model.enrolled[id]; {
			case e.State == record.Completed && e.Run == o.Cause.Run:
				want = crmstore.AlreadyByRun
			case r.deletion != nil:
				want = crmstore.AlreadyArchived
			case old:
				want = crmstore.VersionChanged
			default:
				want = crmstore.Archived
				r.version++
				r.deletion = &record.Deletion{At: o.At, Cause: o.Cause}
				r.deletion.Reason = target.Reason
				m.model.enrolled[id] = record.Enrollment{State: record.Completed, Revision: 2, Run: o.Cause.Run}
				m.model.events[fmt.Sprint("delete ", id)]++
			}
		}
		outcomes, err := m.store.Archive(m.ctx, o, []crmstore.Archive{{Partition: id.Partition(modelPartitions), Targets: []crmstore.Target{target}}})
		if err != nil || outcomes[0][0] != want {
			t.Fatalf("archive of contact %d: %v, %v; want %d", id, outcomes, err, want)
		}
	}
}

// restore brings a few records back.
func (m *machine) restore(t *rapid.T) {
	o := byHand
	o.At = m.tick()
	if rapid.Bool().Draw(t, "of a run") {
		o.OnlyRun = fmt.Sprint("stale@", rapid.IntRange(1, 3).Draw(t, "run"))
	}
	ids := rapid.SliceOfN(rapid.Custom(m.id), 1, 4).Draw(t, "ids")
	results, err := m.store.Restore(m.ctx, o, ids)
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		want := crmstore.RestoreResult{ID: id, Outcome: crmstore.Restored}
		r := m.model.records[id]
		switch {
		case r == nil:
			want.Outcome = crmstore.NotThere
		case r.deletion == nil:
			want.Outcome = crmstore.NotArchived
		case o.OnlyRun != "" && r.deletion.Run != o.OnlyRun:
			want.Outcome = crmstore.NotByThatRun
		default:
			if holder := m.model.holder(normal(r.values[record.PropertyEmail].Text())); holder != 0 {
				want.Outcome, want.Holder = crmstore.EmailTaken, holder
				break
			}
			r.deletion = nil
			r.version++
			m.model.events[fmt.Sprint("restore ", id)]++
		}
		if results[i] != want {
			t.Fatalf("restore of contact %d: %+v, want %+v", id, results[i], want)
		}
	}
}

// members changes the list.
func (m *machine) members(t *rapid.T) {
	ids := rapid.SliceOfNDistinct(rapid.Custom(m.id), 1, 4, rapid.ID).Draw(t, "ids")
	member := rapid.Bool().Draw(t, "member")
	wantChanged, wantMissing := 0, 0
	for _, id := range ids {
		if r := m.model.records[id]; r == nil {
			wantMissing++
		} else if r.member != member {
			wantChanged++
			r.member = member
			r.version++
		}
	}
	changed, missing, err := m.store.SetMembers(m.ctx, m.list, ids, member, someone, m.tick())
	if err != nil || changed != wantChanged || len(missing) != wantMissing {
		t.Fatalf("%d changed, %v missing, %v; want %d and %d", changed, missing, err, wantChanged, wantMissing)
	}
}

// purge removes what has been in the bin for long enough at some instant.
func (m *machine) purge(t *rapid.T) {
	last := noon.Add(time.Duration(rapid.Int64Range(0, int64(m.clock.Sub(noon)/time.Second)).Draw(t, "seconds")) * time.Second)
	var want int64
	for id, r := range m.model.records {
		if r.deletion != nil && !r.deletion.At.After(last) {
			want++
			delete(m.model.records, id)
			delete(m.model.enrolled, id)
			m.model.events[fmt.Sprint("purge ", id)]++
		}
	}
	o := crmstore.PurgeOrder{Object: record.Contact, Cause: someone, At: last.Add(crmstore.Retention)}
	if got, err := m.store.Purge(m.ctx, o); err != nil || got.Purged != want || got.More {
		t.Fatalf("purge of what was deleted at %v or before: %+v, %v; want %d", last, got, err, want)
	}
	if err := crmstore.AgeClaims(m.ctx, m.store, modelPartitions); err != nil {
		t.Fatal(err)
	}
}

// markExisting enrolls records that are there.
func (m *machine) markExisting(t *rapid.T) {
	id := m.id(t)
	if m.model.records[id] == nil {
		t.Skip("no such contact")
	}
	err := m.store.MarkExisting(m.ctx, record.Contact, "stale", 7, []record.PartitionIDs{{Partition: id.Partition(modelPartitions), IDs: []record.ID{id}}})
	if err != nil {
		t.Fatal(err)
	}
	if m.model.enrolled[id].State == record.NotEnrolled {
		m.model.enrolled[id] = record.Enrollment{State: record.Existing, Revision: 7}
	}
}

// check compares everything: records, cells, list bits, counts, enrollments, events, and what doctor says.
func (m *machine) check(t *rapid.T) {
	var want crmstore.Counts
	for id, r := range m.model.records {
		got := m.read(t, id)
		if got.Version != r.version || fmt.Sprint(got.Deletion) != fmt.Sprint(r.deletion) {
			t.Fatalf("contact %d: version %d, deletion %v; want %d, %v", id, got.Version, got.Deletion, r.version, r.deletion)
		}
		values := map[int]record.Value{}
		got.Values(func(p *record.Property, v record.Value) { values[p.Number] = v })
		if !maps.Equal(values, r.values) {
			t.Fatalf("contact %d has\n%v, want\n%v", id, values, r.values)
		}
		if want.Live++; r.deletion != nil {
			want.Live--
			want.Archived++
		}
		p := id.Partition(modelPartitions)
		enrolled, err := m.store.Enrollments(m.ctx, record.Contact, "stale", []record.PartitionIDs{{Partition: p, IDs: []record.ID{id}}})
		if err != nil || enrolled[0][0] != m.model.enrolled[id] {
			t.Fatalf("contact %d is enrolled as %v (%v), want %v", id, enrolled, err, m.model.enrolled[id])
		}
	}
	if got, err := m.store.Count(m.ctx, record.Contact); got != want || err != nil {
		t.Fatalf("Count = %+v, %v; want %+v", got, err, want)
	}
	m.checkColumns(t)
	m.checkAll(t)
	events := map[string]int{}
	err := m.store.Audit(m.ctx, crmstore.AuditFilter{Object: record.Contact}, func(e record.Event) error {
		for _, id := range e.IDs {
			if e.Op == "create" || e.Op == "delete" || e.Op == "restore" || e.Op == "purge" {
				events[fmt.Sprint(e.Op, " ", id)]++
			}
		}
		return nil
	})
	if err != nil || !maps.Equal(events, m.model.events) {
		t.Fatalf("events (%v):\n got %v\nwant %v", err, events, m.model.events)
	}
	err = m.store.Doctor(m.ctx, record.Contact, false, func(p crmstore.Problem) error { return fmt.Errorf("doctor finds %+v", p) })
	if err != nil {
		t.Fatal(err)
	}
}

// checkColumns compares each slot with its record. A free slot is empty: nothing of an old record is left in it.
func (m *machine) checkColumns(t *rapid.T) {
	seen := 0
	want := crmstore.Want{IDs: true, Properties: m.some, Lists: []int{m.list.Number}}
	err := m.store.ReadColumns(m.ctx, record.Contact, 0, modelPartitions, want, func(c *crmstore.Columns) error {
		for slot := range c.Slots {
			id := record.ID(cellOf(c.IDs, slot))
			r := m.model.records[id]
			if id == 0 && cellOf(c.Archived, slot) == record.FreeCell {
				r = &modelRecord{}
			} else if seen++; r == nil || (r.deletion == nil) != (cellOf(c.Archived, slot) == 0) {
				return fmt.Errorf("slot %d of partition %d has id %d, archived-at %x; record %v", slot, c.Partition, id, cellOf(c.Archived, slot), r)
			}
			for i, number := range m.some {
				if got, want := cellOf(c.Properties[i], slot), m.schema.Number(number).Cell(r.values[number]); got != want {
					return fmt.Errorf("contact %d has cell %x for property %d, want %x", id, got, number, want)
				}
			}
			bit := slot/8 < len(c.Lists[0]) && c.Lists[0][slot/8]>>(7-slot%8)&1 == 1
			if bit != r.member {
				return fmt.Errorf("contact %d on the list: %v, want %v", id, bit, r.member)
			}
		}
		return nil
	})
	if err != nil || seen != len(m.model.records) {
		t.Fatalf("%d slots of records (%v), want %d", seen, err, len(m.model.records))
	}
}

// checkAll compares what comes by partition, where records are told from each other by their slots alone.
func (m *machine) checkAll(t *rapid.T) {
	versions := map[record.ID]uint64{}
	err := m.store.ReadAll(m.ctx, record.Contact, 0, modelPartitions, func(p int, recs []*record.Record) error {
		for _, r := range recs {
			versions[r.ID] = r.Version
		}
		return nil
	})
	want := map[record.ID]uint64{}
	for id, r := range m.model.records {
		want[id] = r.version
	}
	if err != nil || !maps.Equal(versions, want) {
		t.Fatalf("versions of all contacts (%v):\n got %v\nwant %v", err, versions, want)
	}
}

func cellOf(column []byte, slot int) uint64 {
	if len(column) < 8*slot+8 {
		return 0
	}
	return uint64(record.IDFromBytes(column[8*slot:]))
}

// Under any sequence of operations the store agrees with a plain model, and doctor finds nothing.
func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		url := storetest.URL(t)
		if rapid.IntRange(0, 9).Draw(rt, "in memory") == 0 {
			url = "memory"
		}
		m := newMachine(t, rt, url)
		defer m.store.Close()
		rt.Repeat(map[string]func(*rapid.T){
			"write": m.write, "archive": m.archive, "restore": m.restore, "members": m.members, "mark existing": m.markExisting,
			"purge": m.purge,
		})
		m.check(rt)
	})
}

func newMachine(t *testing.T, rt *rapid.T, url string) *machine {
	ctx := t.Context()
	s, err := crmstore.Open(ctx, crmstore.Config{URL: url, Account: storetest.NewAccountName(t), User: storetest.User})
	if err != nil {
		rt.Fatal(err)
	}
	m := &machine{store: s, ctx: ctx, clock: noon, model: model{
		records: map[record.ID]*modelRecord{}, enrolled: map[record.ID]record.Enrollment{}, events: map[string]int{},
	}}
	_, err = s.CreateAccount(ctx, crmstore.Professional, modelPartitions, someone, noon)
	if err == nil {
		m.schema, err = s.Schema(ctx, record.Contact)
	}
	if err == nil {
		m.list, err = s.CreateList(ctx, record.Contact, "keep", someone, noon)
	}
	if err == nil {
		_, err = s.SaveWorkflow(ctx, crmstore.Workflow{Name: "stale", Object: record.Contact}, nil, "publish", someone, noon)
	}
	if err != nil {
		rt.Fatal(errors.Join(err, s.Close()))
	}
	for _, name := range []string{"email", "firstname", "num_associated_deals", "notes_last_updated", "hs_email_optout", "lifecyclestage", "city"} {
		m.some = append(m.some, m.schema.Find(name)[0].Number)
	}
	m.some = append(m.some, record.PropertyEmail) // twice: it is drawn more often
	return m
}
