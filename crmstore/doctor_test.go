package crmstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// published saves the workflow that deletions are said to be made by: enrollments of one that is not there are a loss.
func (d *desk) published(name string) {
	d.t.Helper()
	if _, err := d.SaveWorkflow(d.t.Context(), crmstore.Workflow{Name: name, Object: record.Contact}, nil, "publish", someone, noon); err != nil {
		d.t.Fatal(err)
	}
}

// doctor returns what is found, as "code id" or "code id repaired".
func (d *desk) doctor(repair bool) []string {
	d.t.Helper()
	var found []string
	err := d.Doctor(d.t.Context(), record.Contact, repair, func(p crmstore.Problem) error {
		line := fmt.Sprintf("%s %d", p.Code, p.ID)
		if p.Code == "lost" {
			d.t.Log(p.Detail)
		}
		if p.Repaired {
			line += " repaired"
		}
		if p.Object != record.Contact || p.Detail == "" {
			d.t.Errorf("a problem without object or detail: %+v", p)
		}
		found = append(found, line)
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return found
}

// ward is a desk with one partition: contacts 1 to 6, of which 2 is in the bin, 3 and 4 on list keep (number 1),
// and 2 and 5 are enrolled in workflow stale.
func ward(t *testing.T, o storetest.Options) *desk {
	t.Helper()
	o.Partitions = 1
	d := newDesk(t, o)
	var batch []crmstore.Upsert
	for id := record.ID(1); id <= 6; id++ {
		batch = append(batch, d.up(id, "email", fmt.Sprintf("c%d@x.org", id), "num_associated_deals", int(id), "lifecyclestage", "lead"))
	}
	d.write(crmstore.UpsertAny, noon, batch...)
	if _, err := d.SaveWorkflow(t.Context(), crmstore.Workflow{Name: "stale", Object: record.Contact}, nil, "publish", someone, noon); err != nil {
		t.Fatal(err)
	}
	keep, err := d.CreateList(t.Context(), record.Contact, "keep", someone, noon)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.SetMembers(t.Context(), keep, []record.ID{3, 4}, true, someone, noon); err != nil {
		t.Fatal(err)
	}
	d.archive(byRun("stale@1"), d.targets("", 2))
	err = d.MarkExisting(t.Context(), record.Contact, "stale", 1, []record.PartitionIDs{{IDs: []record.ID{5}}})
	if err != nil {
		t.Fatal(err)
	}
	if found := d.doctor(false); len(found) != 0 {
		t.Fatalf("problems before any damage: %v", found)
	}
	return d
}

func name(id record.ID) string {
	b := id.Bytes()
	return string(b[:])
}

const cell = "\x01\x02\x03\x04\x05\x06\x07\x08"

// Each kind of damage is found as what it is, repaired when asked, and gone afterwards.
func TestDoctor(t *testing.T) {
	t.Parallel()
	key := func(d *desk, name string) string { return crmstore.KeyOf(d.Store, record.Contact, 0, name) }
	column := func(d *desk, property string) string {
		return key(d, fmt.Sprint("col:", d.schema.Find(property)[0].Number))
	}
	for _, c := range []struct {
		what   string
		damage func(ctx context.Context, d *desk, raw redis.UniversalClient) error
		want   []string
		stays  bool // cannot be repaired
	}{
		{"wrong cell", func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			return raw.SetRange(ctx, column(d, "num_associated_deals"), 8*3, cell).Err()
		}, []string{"column 4"}, false},
		{"lost column", func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			return raw.Del(ctx, column(d, "lifecyclestage")).Err()
		}, []string{"column 1"}, false},
		{"cells in slots of no record", func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			return raw.SetRange(ctx, column(d, "city"), 8*9, cell).Err()
		}, []string{"column 0"}, false},
		{"contact in the bin that looks live", func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			return raw.SetRange(ctx, key(d, "arch"), 8*1, strings.Repeat("\x00", 8)).Err()
		}, []string{"archived 2"}, false},
		{"archived-at column too short", func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			text, err := raw.GetRange(ctx, key(d, "arch"), 0, 8*4-1).Result()
			if err != nil {
				return err
			}
			return raw.Set(ctx, key(d, "arch"), text, 0).Err()
		}, []string{"archived 5"}, false},
		{"archived-at column too long", func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			return raw.Append(ctx, key(d, "arch"), strings.Repeat("\x00", 16)).Err()
		}, []string{"archived 0"}, false},
		{"lost ids", func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			return raw.Del(ctx, key(d, "ids")).Err()
		}, []string{"slot 1"}, false},
		{"wrong id in a slot", func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			return raw.SetRange(ctx, key(d, "ids"), 8*2, name(77)).Err()
		}, []string{"slot 3"}, false},
		{"lost record", func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			return raw.HDel(ctx, key(d, "rec"), name(5)).Err() // see TestDoctorAcceptsLosses
		}, []string{"lost 5"}, true},
		{"lost record on a list", func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			return raw.HDel(ctx, key(d, "rec"), name(4)).Err()
		}, []string{"lost 4"}, true},
		{"two records in one slot", func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			text, err := raw.HGet(ctx, key(d, "rec"), name(6)).Result()
			if err != nil {
				return err
			}
			return raw.HSet(ctx, key(d, "rec"), name(6), text[:8]+"\x00\x00\x00\x00"+text[12:]).Err()
		}, []string{"slot 6"}, false},
		{"slot out of reach", func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			text, err := raw.HGet(ctx, key(d, "rec"), name(6)).Result()
			if err != nil {
				return err
			}
			return raw.HSet(ctx, key(d, "rec"), name(6), text[:8]+"\xff\xff\xff\xff"+text[12:]).Err()
		}, []string{"slot 6"}, false},
		{"free slots that are in use, out of reach or no slots", func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			return raw.RPush(ctx, key(d, "free"), 3, 99, -1, "x").Err()
		}, []string{"free 0"}, false},
		{"wrong counter", func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			return raw.HIncrBy(ctx, key(d, "cnt"), "live", 3).Err()
		}, []string{"count 0"}, false},
		{"unreadable counter", func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			return raw.HSet(ctx, key(d, "cnt"), "live", "x").Err()
		}, []string{"count 0"}, false},
		{"counter of ids too low", func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			return raw.Set(ctx, crmstore.KeyNextID(d.Store, record.Contact), 3, 0).Err()
		}, []string{"count 6"}, false},
		{"enrollment of no record", func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			return raw.HSet(ctx, key(d, "enr:stale"), name(99), "c\x01\x00\x00\x00").Err()
		}, []string{"enrollment 99"}, false},
		{"lost claim", func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			k, field := crmstore.ClaimOf(d.Store, "c3@x.org", 1)
			return raw.HDel(ctx, k, field).Err()
		}, []string{"email 3"}, false},
		{"claim of a contact in the bin", func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			k, field := crmstore.ClaimOf(d.Store, "c3@x.org", 1)
			return raw.HSet(ctx, k, field, crmstore.ClaimFor(2, 2, time.Now().UnixMilli()-60_000)).Err()
		}, []string{"email 3"}, false},
		{"two contacts with one e-mail", func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			k, field := crmstore.ClaimOf(d.Store, "c3@x.org", 1)
			claim, err := raw.HGet(ctx, k, field).Result()
			if err == nil {
				err = raw.HDel(ctx, k, field).Err()
			}
			if err == nil {
				d.write(crmstore.UpsertAny, noon, d.up(6, "email", "C3@x.org"))
				err = raw.HSet(ctx, k, field, claim).Err()
			}
			return err
		}, []string{"email 6"}, true},
		{"bytes that are no record", func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			return raw.HSet(ctx, key(d, "rec"), name(3), "nonsense").Err()
		}, []string{"record 3"}, true},
		{"damaged properties", func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			text, err := raw.HGet(ctx, key(d, "rec"), name(3)).Result()
			if err != nil {
				return err
			}
			return raw.HSet(ctx, key(d, "rec"), name(3), text+"\xff").Err()
		}, []string{"record 3"}, true},
		{"a field that is no id", func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			return raw.HSet(ctx, key(d, "rec"), "id", "x").Err()
		}, []string{"record 0"}, true},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, o storetest.Options) {
				d := ward(t, o)
				if err := c.damage(t.Context(), d, crmstore.Raw(d.Store)); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, d.doctor(false)); diff != "" {
					t.Errorf("found (-want +got):\n%s", diff)
				}
				want := c.want
				if !c.stays {
					want = nil
					for _, line := range c.want {
						want = append(want, line+" repaired")
					}
				}
				if diff := cmp.Diff(want, d.doctor(true)); diff != "" {
					t.Errorf("repaired (-want +got):\n%s", diff)
				}
				if !c.stays {
					want = nil
				}
				if diff := cmp.Diff(want, d.doctor(false)); diff != "" {
					t.Errorf("found after the repair (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// What a repair makes is what was there before.
func TestDoctorRebuildsColumns(t *testing.T) {
	t.Parallel()
	d := ward(t, storetest.Options{})
	ctx, raw := t.Context(), crmstore.Raw(d.Store)
	keys, err := raw.Keys(ctx, crmstore.KeyOf(d.Store, record.Contact, 0, "col:*")).Result()
	if err != nil || len(keys) != 5 {
		t.Fatalf("%d columns, %v", len(keys), err)
	}
	keys = append(keys, crmstore.KeyOf(d.Store, record.Contact, 0, "ids"), crmstore.KeyOf(d.Store, record.Contact, 0, "arch"))
	before, err := raw.MGet(ctx, keys...).Result()
	if err != nil {
		t.Fatal(err)
	}
	raw.Del(ctx, keys...)
	d.doctor(true)
	after, err := raw.MGet(ctx, keys...).Result()
	if diff := cmp.Diff(before, after); diff != "" || err != nil {
		t.Errorf("columns (%v) (-before +after):\n%s", err, diff)
	}
}

func TestDoctorDropsDeadClaims(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := ward(t, o)
		d.write(crmstore.UpsertAny, noon, d.up(3, "email", "new@x.org"))
		raw := crmstore.Raw(d.Store)
		key, field := crmstore.ClaimOf(d.Store, "c3@x.org", 1)
		if there, err := raw.HExists(t.Context(), key, field).Result(); !there || err != nil {
			t.Fatalf("the old claim is gone before its time (%v)", err)
		}
		if found := d.doctor(true); len(found) != 0 {
			t.Errorf("problems: %v", found)
		}
		claims := int64(0)
		for _, key := range crmstore.KeysClaims(d.Store, 0) {
			claims += raw.HLen(t.Context(), key).Val()
		}
		if claims != 5 {
			t.Errorf("%d claims are left, want those of the 5 live contacts", claims)
		}
	})
}

// Whoever plans a write is told once that it waits for an address of a process that died, and the write is done afterwards.
func TestPlannedWrite_Waiting(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{Partitions: 1})
	key, field := crmstore.ClaimOf(d.Store, "one@x.org", 1)
	claim := crmstore.ClaimFor(50, 0, time.Now().UnixMilli()-27_000) // dead in three seconds
	if err := crmstore.Raw(d.Store).HSet(t.Context(), key, field, claim).Err(); err != nil {
		t.Fatal(err)
	}
	plan, err := d.PlanWrite(t.Context(), record.Contact, crmstore.UpsertAny, []crmstore.Upsert{d.up(1, "email", "one@x.org")}, record.Cause{}, noon)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	plan.Waiting = func() { told++ }
	results, err := plan.Write(t.Context(), nil)
	if err != nil || results[0].Outcome != crmstore.Created || told != 1 {
		t.Errorf("%+v, %v; told %d times, want once", results, err, told)
	}
}

// A claim whose contact may still be written is waited for; one whose contact never will be is taken over at once.
func TestClaimsOfOthers(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{Partitions: 1})
	raw := crmstore.Raw(d.Store)
	d.write(crmstore.UpsertAny, noon, d.up(1, "email", "one@x.org"), d.up(2))
	d.write(crmstore.UpsertAny, noon, d.up(2, "firstname", "Bob"), d.up(3))
	d.archive(byRun("stale@1"), d.targets("", 3))
	now := time.Now().UnixMilli()
	for what, c := range map[string]struct {
		claim string
		waits bool
	}{
		"for a new contact that is not there yet":       {crmstore.ClaimFor(50, 0, now), true},
		"for a new contact that never came":             {crmstore.ClaimFor(50, 0, now-31_000), false},
		"for a new contact that came without it":        {crmstore.ClaimFor(1, 0, now), false},
		"for a change that may still come":              {crmstore.ClaimFor(2, 2, now), true},
		"for a change of a version seen a little later": {crmstore.ClaimFor(2, 3, now), true},
		"for a change that never came":                  {crmstore.ClaimFor(2, 2, now-31_000), false},
		"for a change that another one got before":      {crmstore.ClaimFor(2, 1, now), false},
		"for a contact in the bin":                      {crmstore.ClaimFor(3, 1, now), false},
		"for a contact that is being restored":          {crmstore.ClaimFor(3, 2, now), true},
		"far ahead of the clock":                        {crmstore.ClaimFor(50, 0, now+3_600_000), false},
		"of no contact":                                 {crmstore.ClaimFor(0, 0, now), false},
		"of another size":                               {"nonsense", false},
	} {
		address := strings.ReplaceAll(what, " ", ".") + "@x.org"
		key, field := crmstore.ClaimOf(d.Store, address, 1)
		if err := raw.HSet(t.Context(), key, field, c.claim).Err(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		if c.waits {
			ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
		}
		got, err := d.Write(ctx, record.Contact, crmstore.UpsertAny, []crmstore.Upsert{d.up(0, "email", address)}, someone, noon)
		cancel()
		if c.waits != errors.Is(err, context.DeadlineExceeded) || !c.waits && (err != nil || got[0].Outcome != crmstore.Created) {
			t.Errorf("a claim %s: %v, %v; waits should be %v", what, short(got), err, c.waits)
		}
	}
}
