package crmstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// desk is a store with its contact schema, and short ways to use it.
type desk struct {
	*crmstore.Store
	t      testing.TB
	schema *record.Schema
}

func newDesk(t testing.TB, o storetest.Options) *desk {
	t.Helper()
	s := storetest.OpenWith(t, o)
	schema, err := s.Schema(t.Context(), record.Contact)
	if err != nil {
		t.Fatal(err)
	}
	return &desk{s, t, schema}
}

// up is an upsert of name, value pairs; values are text, int, bool or time; nil clears.
func (d *desk) up(id record.ID, pairs ...any) crmstore.Upsert {
	d.t.Helper()
	u := crmstore.Upsert{ID: id}
	for i := 0; i < len(pairs); i += 2 {
		u.Set = append(u.Set, d.set(pairs[i].(string), pairs[i+1]))
	}
	return u
}

func (d *desk) set(name string, value any) record.Assignment {
	d.t.Helper()
	found := d.schema.Find(name)
	if len(found) != 1 {
		d.t.Fatalf("the schema has %d properties %q", len(found), name)
	}
	p := found[0]
	a := record.Assignment{Property: p.Number}
	switch v := value.(type) {
	case nil:
	case string:
		if a.Value = record.StringValue(v); p.Type == record.Enumeration {
			a.Value = record.EnumValue(v)
		}
	case int:
		a.Value = record.NumberValue(float64(v))
	case bool:
		a.Value = record.BoolValue(v)
	case time.Time:
		if a.Value = record.DateTimeValue(v); p.Type == record.Date {
			a.Value = record.DateValue(v)
		}
	}
	return a
}

func (d *desk) write(mode crmstore.WriteMode, at time.Time, batch ...crmstore.Upsert) []crmstore.WriteResult {
	d.t.Helper()
	results, err := d.Write(d.t.Context(), record.Contact, mode, batch, someone, at)
	if err != nil {
		d.t.Fatal(err)
	}
	return results
}

func (d *desk) get(id record.ID) *record.Record {
	d.t.Helper()
	recs, err := d.Get(d.t.Context(), record.Contact, []record.ID{id})
	if err != nil {
		d.t.Fatal(err)
	}
	if len(recs) != 1 {
		return nil
	}
	return recs[0]
}

func (d *desk) text(id record.ID, name string) string {
	d.t.Helper()
	r := d.get(id)
	if r == nil {
		return "(no record)"
	}
	return r.Value(d.schema.Find(name)[0].Number).String()
}

// short is results in few words: outcome, id, and the error's text.
func short(results []crmstore.WriteResult) []string {
	words := map[crmstore.WriteOutcome]string{
		crmstore.Created: "created", crmstore.Updated: "updated",
		crmstore.Unchanged: "unchanged", crmstore.Refused: "refused",
	}
	var list []string
	for _, r := range results {
		line := fmt.Sprintf("%s %d", words[r.Outcome], r.ID)
		if r.Err != nil {
			line += ": " + r.Err.Error()
		}
		list = append(list, line)
	}
	return list
}

func (d *desk) wantResults(got []crmstore.WriteResult, want ...string) {
	d.t.Helper()
	if diff := cmp.Diff(want, short(got)); diff != "" {
		d.t.Errorf("results (-want +got):\n%s", diff)
	}
}

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func TestWriteDates(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := newDesk(t, o)
		old := noon.AddDate(-20, 0, 0)
		d.wantResults(d.write(crmstore.UpsertAny, noon,
			d.up(7, "firstname", "Ann", "createdate", old), d.up(0, "firstname", "Bob")),
			"created 7", "created 8")
		if got := d.text(7, "createdate"); got != "2006-03-04T12:00:00Z" {
			t.Errorf("createdate given by hand is %s", got)
		}
		if got := d.text(8, "createdate"); got != "2026-03-04T12:00:00Z" {
			t.Errorf("createdate is %s", got)
		}
		d.wantResults(d.write(crmstore.UpsertAny, noon.Add(time.Hour), d.up(7, "firstname", "Ann"), d.up(8, "firstname", nil)),
			"unchanged 7", "updated 8")
		if got := d.text(7, "lastmodifieddate"); got != "2026-03-04T12:00:00Z" {
			t.Errorf("lastmodifieddate of an unchanged record is %s", got)
		}
		if got := d.text(8, "lastmodifieddate"); got != "2026-03-04T13:00:00Z" || d.text(8, "firstname") != "" {
			t.Errorf("lastmodifieddate of a changed record is %s", got)
		}
		if v := d.get(7).Version; v != 1 {
			t.Errorf("an unchanged record has version %d, want 1", v)
		}
	})
}

func TestWriteModesAndRefusals(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := newDesk(t, o)
		d.write(crmstore.CreateOnly, noon, d.up(1, "email", "a@x.org"), d.up(2))
		d.wantResults(d.write(crmstore.CreateOnly, noon, d.up(1, "firstname", "x"), d.up(0, "email", "A@x.org "), d.up(3, "email", "a@x.org")),
			"refused 1: exists already", "refused 0: e-mail a@x.org belongs to contact 1", "refused 3: e-mail a@x.org belongs to contact 1")
		d.wantResults(d.write(crmstore.UpdateOnly, noon, d.up(3, "firstname", "x"), d.up(0, "email", "n@x.org"), d.up(0, "email", "A@X.org", "firstname", "Ann")),
			"refused 3: not found", "refused 0: not found", "updated 1")
		bad := d.up(2, "lifecyclestage", "secret")
		readOnly := crmstore.Upsert{ID: 2, Set: []record.Assignment{d.set("lastmodifieddate", noon)}}
		got := d.write(crmstore.UpsertAny, noon, bad, readOnly, crmstore.Upsert{ID: 2, Set: []record.Assignment{{Property: 9999}}},
			d.up(record.MaxID+1), d.up(2, "firstname", "Zoë"))
		d.wantResults(got, "refused 2: property lifecyclestage: the value is not one of its options",
			"refused 2: property lastmodifieddate is set by the store alone", "refused 2: contact has no property number 9999",
			"refused 0: record id 9223372036854775808: want at most 9223372036854775807", "updated 2")
		if d.get(3) != nil {
			t.Error("a refused record is there")
		}
	})
}

// A batch gives what its upserts would give one after the other.
func TestWriteInOrder(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := newDesk(t, o)
		d.wantResults(d.write(crmstore.UpsertAny, noon,
			d.up(5, "firstname", "one"), d.up(5, "firstname", "two"), d.up(5, "firstname", "two"),
			d.up(0, "email", "new@x.org"), d.up(0, "email", "NEW@x.org", "firstname", "Eve"), d.up(9, "email", "new@x.org")),
			"created 5", "updated 5", "unchanged 5",
			"created 6", "updated 6", "refused 9: e-mail new@x.org belongs to contact 6")
		if d.text(5, "firstname") != "two" || d.text(6, "firstname") != "Eve" || d.text(6, "email") != "new@x.org" {
			t.Error("the last of several changes did not win")
		}
		// 6 gives its address up, 5 takes it; then the address stands for 5; 6 wants it back in vain.
		d.wantResults(d.write(crmstore.UpsertAny, noon,
			d.up(6, "email", "other@x.org"), d.up(5, "email", "new@x.org"), d.up(0, "email", "new@x.org", "lastname", "Five"),
			d.up(6, "email", "new@x.org"), d.up(5, "email", nil), d.up(0, "email", "new@x.org", "firstname", "fresh"), d.up(6, "email", "other@x.org")),
			"updated 6", "updated 5", "updated 5", "refused 6: e-mail new@x.org belongs to contact 5", "updated 5", "created 7", "unchanged 6")
		if d.text(5, "lastname") != "Five" || d.text(5, "email") != "" {
			t.Error("contact 5 is not what the changes in order give")
		}
		for email, want := range map[string]record.ID{"New@x.org": 7, "other@x.org": 6} {
			if id, err := d.FindByEmail(t.Context(), email); id != want || err != nil {
				t.Errorf("FindByEmail(%s) = %d, %v, want %d", email, id, err, want)
			}
		}
		if _, err := d.FindByEmail(t.Context(), "nobody@x.org"); !errors.Is(err, record.ErrNotFound) {
			t.Errorf("FindByEmail of nobody: %v, want ErrNotFound", err)
		}
	})
}

// Ids that the store gives out lie above every id given by hand, also beyond what a Lua number can hold exactly.
func TestWriteIDs(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := newDesk(t, o)
		const big = record.MaxGivenID
		d.wantResults(d.write(crmstore.UpsertAny, noon, d.up(0), d.up(999), d.up(0)), "created 1000", "created 999", "created 1001")
		d.wantResults(d.write(crmstore.UpsertAny, noon, d.up(500), d.up(0)), "created 500", "created 1002")
		d.wantResults(d.write(crmstore.UpsertAny, noon, d.up(big+1), d.up(record.MaxID)),
			"refused 9007199254740992: record id 9007199254740992: a new record brings along at most 9007199254740991",
			"refused 9223372036854775807: record id 9223372036854775807: a new record brings along at most 9007199254740991")
		d.wantResults(d.write(crmstore.UpsertAny, noon, d.up(big)), "created 9007199254740991")
		d.wantResults(d.write(crmstore.UpsertAny, noon, d.up(0), d.up(0)), "created 9007199254740992", "created 9007199254740993")
		d.wantResults(d.write(crmstore.UpsertAny, noon, d.up(big+2, "firstname", "Ada")), "updated 9007199254740993")
		if c, err := d.Count(t.Context(), record.Contact); c.Live != 8 || err != nil {
			t.Errorf("Count = %+v, %v; want 8 live", c, err)
		}
	})
}

// Many writers want the same few addresses at once: each address ends with one contact, and every other upsert
// is a change of it.
func TestWriteSameEmailsAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{})
	const writers, emails = 6, 40
	var wg sync.WaitGroup
	created := make([]int, writers)
	for n := range writers {
		s := storetest.Again(t, d.Store)
		wg.Go(func() {
			var batch []crmstore.Upsert
			for i := range emails {
				batch = append(batch, d.up(0, "email", fmt.Sprintf("c%d@x.org", (i*(n+1))%emails), "firstname", fmt.Sprint("writer ", n)))
			}
			results, err := s.Write(context.WithoutCancel(t.Context()), record.Contact, crmstore.UpsertAny, batch, someone, noon)
			if err != nil {
				t.Error(err)
			}
			for _, r := range results {
				if r.Outcome == crmstore.Created {
					created[n]++
				} else if r.Err != nil {
					t.Error(r.Err)
				}
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range created {
		sum += n
	}
	if c, err := d.Count(t.Context(), record.Contact); c.Live != emails || sum != emails || err != nil {
		t.Errorf("%d live contacts and %d created (%v), want %d", c.Live, sum, err, emails)
	}
}

// Many writers change one record at once: no change is lost.
func TestWriteSameRecordAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{})
	names := []string{"firstname", "lastname", "phone", "company", "city", "state"}
	d.write(crmstore.UpsertAny, noon, d.up(1))
	var wg sync.WaitGroup
	for _, name := range names {
		s := storetest.Again(t, d.Store)
		wg.Go(func() {
			for i := range 10 {
				results, err := s.Write(t.Context(), record.Contact, crmstore.UpsertAny, []crmstore.Upsert{d.up(1, name, fmt.Sprint(i))}, someone, noon)
				if err != nil || results[0].Outcome != crmstore.Updated {
					t.Errorf("%v %v", results, err)
				}
			}
		})
	}
	wg.Wait()
	for _, name := range names {
		if got := d.text(1, name); got != "9" {
			t.Errorf("%s is %q, want 9", name, got)
		}
	}
	if v := d.get(1).Version; v != 61 {
		t.Errorf("version %d, want 61", v)
	}
}

// A big batch goes in several rounds and scripts; everything in it can be read back, by column, by id and whole.
func TestWriteMany(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{Partitions: 8})
	const n = 5000
	var batch []crmstore.Upsert
	for i := range n {
		batch = append(batch, d.up(0, "email", fmt.Sprintf("c%d@x.org", i), "num_associated_deals", i, "lifecyclestage", "lead"))
	}
	for i, r := range d.write(crmstore.UpsertAny, noon, batch...) {
		if r.Outcome != crmstore.Created || r.ID != record.ID(i+1) {
			t.Fatalf("result %d is %+v", i, r)
		}
	}
	deals := d.schema.Find("num_associated_deals")[0]
	seen := 0
	want := crmstore.Want{IDs: true, Properties: []int{deals.Number}, Lists: []int{1}}
	err := d.ReadColumns(t.Context(), record.Contact, 0, 8, want, func(c *crmstore.Columns) error {
		if len(c.IDs) != 8*c.Slots || len(c.Properties[0]) != 8*c.Slots || len(c.Lists[0]) != 0 {
			t.Errorf("partition %d: %d slots, %d bytes of ids, %d of cells", c.Partition, c.Slots, len(c.IDs), len(c.Properties[0]))
		}
		for at := 0; at < 8*c.Slots; at += 8 {
			id := record.IDFromBytes(c.IDs[at:])
			if got := uint64(record.IDFromBytes(c.Properties[0][at:])); got != record.NumberCell(float64(id-1)) {
				t.Fatalf("contact %d has cell %x", id, got)
			}
			seen++
		}
		return nil
	})
	if err != nil || seen != n {
		t.Errorf("columns show %d contacts (%v), want %d", seen, err, n)
	}
	seen = 0
	err = d.ReadAll(t.Context(), record.Contact, 0, 8, func(p int, recs []*record.Record) error {
		for i, r := range recs {
			if int(r.Slot) != i || r.ID.Partition(8) != p || r.Value(deals.Number).Float() != float64(r.ID-1) {
				t.Fatalf("partition %d, place %d: %+v", p, i, r)
			}
		}
		seen += len(recs)
		return nil
	})
	if err != nil || seen != n {
		t.Errorf("ReadAll shows %d contacts (%v), want %d", seen, err, n)
	}
}

func TestReadersStopAtTheCallersError(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{Partitions: 200})
	var batch []crmstore.Upsert
	for range 1000 {
		batch = append(batch, d.up(0))
	}
	d.write(crmstore.UpsertAny, noon, batch...)
	stop := errors.New("stop")
	calls := 0
	for name, err := range map[string]error{
		"columns": d.ReadColumns(t.Context(), record.Contact, 0, 200, crmstore.Want{}, func(*crmstore.Columns) error { calls++; return stop }),
		"all":     d.ReadAll(t.Context(), record.Contact, 0, 200, func(int, []*record.Record) error { calls++; return stop }),
	} {
		if err != stop { //nolint:errorlint // it must come back as it was
			t.Errorf("%s: %v", name, err)
		}
	}
	if calls != 2 {
		t.Errorf("the functions were called %d times after an error", calls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.ReadAll(ctx, record.Contact, 0, 200, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("ReadAll after the end of its context: %v", err)
	}
	var found []string
	recs, err := d.Get(t.Context(), record.Contact, []record.ID{7, 5000, 3, 7})
	for _, r := range recs {
		found = append(found, r.ID.String())
	}
	if got := strings.Join(found, " "); got != "7 3 7" || err != nil {
		t.Errorf("Get gives %s, %v", got, err)
	}
}
