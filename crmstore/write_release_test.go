package crmstore_test

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// A write that the server refuses half-way leaves no claims to addresses behind but those of records that it wrote, so that
// the same write again does not wait until they are dead.
func TestWrite_RefusedReleasesClaims(t *testing.T) {
	t.Parallel()
	at := storetest.StartServer(t)
	s, err := openAt(t, "redis://"+at)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if _, err := s.CreateAccount(ctx, crmstore.Enterprise, 8, someone, storetest.Time); err != nil {
		t.Fatal(err)
	}
	schema, err := s.Schema(ctx, record.Contact)
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: at})
	defer rdb.Close()
	// Of one partition the log is no stream: its script is refused, and those of the others are carried out.
	if err := rdb.Set(ctx, "crm:{default/contact/3}:log", "damaged", 0).Err(); err != nil {
		t.Fatal(err)
	}
	d := &desk{s, t, schema}
	batch := make([]crmstore.Upsert, 0, 400)
	for i := range 400 {
		batch = append(batch, d.up(0, "email", fmt.Sprintf("p%d@example.com", i)))
	}
	if _, err := s.Write(ctx, record.Contact, crmstore.UpsertAny, batch, someone, storetest.Time); err == nil {
		t.Fatal("the write was not refused")
	}
	claims, records := int64(0), int64(0)
	for p := range 8 {
		for part := range 16 {
			claims += rdb.HLen(ctx, fmt.Sprintf("crm:{default/contact/email/%d}:claims:%d", p, part)).Val()
		}
		records += rdb.HLen(ctx, fmt.Sprintf("crm:{default/contact/%d}:rec", p)).Val()
	}
	if claims != records || records >= 400 {
		t.Errorf("%d claims for %d records that were written", claims, records)
	}
	if err := rdb.Del(ctx, "crm:{default/contact/3}:log").Err(); err != nil {
		t.Fatal(err)
	}
	results, err := s.Write(ctx, record.Contact, crmstore.UpsertAny, batch, someone, storetest.Time)
	if err != nil {
		t.Fatal(err)
	}
	created := int64(0)
	for _, r := range results {
		if r.Outcome == crmstore.Created {
			created++
		}
	}
	if created+records != 400 {
		t.Errorf("the same write again made %d records, after %d", created, records)
	}
}
