package workflow

import (
	"fmt"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// One million contacts, of whom one in a thousand matches. A record of these is some 120 bytes and more; what an
// evaluation may move of each is eight bytes per column: archived-at, id, and the two that the trigger asks.
const (
	wireContacts = 1_000_000
	wireEvery    = 1000
	wireColumns  = 4
)

func TestEvaluation_MovesColumnsAlone(t *testing.T) {
	t.Parallel()
	url := "redis://" + storetest.StartServer(t)
	store, err := crmstore.Open(t.Context(), crmstore.Config{URL: url, Account: "wire", User: storetest.User})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	const partitions = 128
	if _, err := store.CreateAccount(t.Context(), crmstore.Professional, partitions, record.Cause{Actor: "test"}, testPublish); err != nil {
		t.Fatal(err)
	}
	w := worldOn(t, store)
	w.fillWire()

	d := w.load(`workflow: stale
title: Stale leads
object: contact
enroll:
  triggers:
    - contact.lifecyclestage in ["subscriber", "lead"] && daysSince(contact.notes_last_updated) > 365
schedule:
  cron: "0 3 * * *"
actions:
  - delete_contact
`)
	before := storetest.BytesOut(t, url)
	got, err := w.runner.DryRun(t.Context(), d, testNow)
	if err != nil {
		t.Fatal(err)
	}
	sent := storetest.BytesOut(t, url) - before
	if got.Evaluated != wireContacts || got.Matched != wireContacts/wireEvery {
		t.Fatalf("evaluated %d and matched %d, want %d and %d", got.Evaluated, got.Matched, wireContacts, wireContacts/wireEvery)
	}
	const (
		columns   = wireContacts * wireColumns * 8
		survivors = wireContacts / wireEvery * 512 // the records that are tested in full, generously
		framing   = partitions*wireColumns*32 + 1<<20
	)
	t.Logf("%d bytes for %d contacts: %.1f each; the columns are %d", sent, wireContacts, float64(sent)/wireContacts, columns)
	if limit := int64(columns + survivors + framing); sent > limit {
		t.Errorf("the evaluation moved %d bytes, want at most %d: it reads more than columns and survivors", sent, limit)
	}
	// Ids are read of survivors alone.
	if least := int64(columns / wireColumns * (wireColumns - 1)); sent < least {
		t.Errorf("the evaluation moved %d bytes, less than the columns it needs (%d): the test does not see the traffic", sent, least)
	}
}

// fillWire makes the contacts; every thousandth is a lead that was last seen long ago.
func (w *world) fillWire() {
	w.Helper()
	stale, fresh := w.set("notes_last_updated", "2020-01-01T00:00:00Z"), w.set("notes_last_updated", "2026-11-01T00:00:00Z")
	lead := w.set("lifecyclestage", "lead")
	address := w.set("address", "Some street with a longer name 12345, second floor, at the back of the yard").Property
	const batch = 20_000
	for from := 1; from <= wireContacts; from += batch {
		contacts := make([]crmstore.Upsert, batch)
		for i := range contacts {
			seen := fresh
			if (from+i)%wireEvery == 0 {
				seen = stale
			}
			street := fmt.Sprintf("Some street with a longer name %d, second floor, at the back of the yard", from+i)
			contacts[i] = crmstore.Upsert{ID: record.ID(from + i), Set: []record.Assignment{
				lead, seen, {Property: address, Value: record.StringValue(street)},
			}}
		}
		w.write(contacts...)
	}
}
