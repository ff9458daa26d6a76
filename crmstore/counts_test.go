package crmstore_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// readList reads the only list of a ward.
func readList(ctx context.Context, d *desk) error {
	return d.ReadColumns(ctx, record.Contact, 0, 1, crmstore.Want{Lists: []int{1}}, func(*crmstore.Columns) error { return nil })
}

// readEnrollments reads the enrollments of the ward's contacts 1 and 2 in stale, in each way there is.
func readEnrollments(ctx context.Context, d *desk) map[string]error {
	errs := map[string]error{}
	want := []record.PartitionIDs{{IDs: []record.ID{1, 2}}}
	_, errs["Enrollments"] = d.Enrollments(ctx, record.Contact, "stale", want)
	_, errs["EnrolledBy"] = d.EnrolledBy(ctx, record.Contact, "stale", "stale@1", 0, 1)
	_, errs["EnrollmentsOf"] = d.EnrollmentsOf(ctx, record.Contact, []crmstore.Enrolling{{Workflow: "stale", Want: want}, {Workflow: "other", Want: want}})
	return errs
}

// Whoever asks a list of which the store has lost a part is told so, and how much.
func TestLostMembers(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		damage func(ctx context.Context, raw redis.UniversalClient, list, cnt string) error
		want   crmstore.LostError
	}{
		"the list": {func(ctx context.Context, raw redis.UniversalClient, list, _ string) error {
			return raw.Del(ctx, list).Err()
		}, crmstore.LostError{Want: 2, Missing: 2}},
		"a bit": {func(ctx context.Context, raw redis.UniversalClient, list, _ string) error {
			return raw.SetBit(ctx, list, 2, 0).Err()
		}, crmstore.LostError{Want: 2, Missing: 1}},
		"nothing, but there is a bit too many": {func(ctx context.Context, raw redis.UniversalClient, list, _ string) error {
			return raw.SetBit(ctx, list, 0, 1).Err()
		}, crmstore.LostError{Want: 2, Surplus: 1}},
		"the counters": {func(ctx context.Context, raw redis.UniversalClient, _, cnt string) error {
			return raw.Del(ctx, cnt).Err()
		}, crmstore.LostError{Uncounted: 1}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, o storetest.Options) {
				d := ward(t, o)
				if err := readList(t.Context(), d); err != nil {
					t.Fatal(err)
				}
				key := func(name string) string { return crmstore.KeyOf(d.Store, record.Contact, 0, name) }
				if err := c.damage(t.Context(), crmstore.Raw(d.Store), key("list:1"), key("cnt")); err != nil {
					t.Fatal(err)
				}
				err := readList(t.Context(), d)
				lost, ok := errors.AsType[*crmstore.LostError](err)
				if !ok {
					t.Fatalf("the list was read all the same: %v", err)
				}
				c.want.Object, c.want.What, c.want.Entries, c.want.Partitions = record.Contact, `list "keep"`, "members", 1
				if diff := cmp.Diff(c.want, *lost); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if !strings.Contains(err.Error(), "workflow account accept-loss") {
					t.Errorf("%v: want what to do", err)
				}
			})
		})
	}
}

// Enrollments that were lost are nobody's "never enrolled", and nothing is deleted in their partition.
func TestLostEnrollments(t *testing.T) {
	t.Parallel()
	for what, damage := range map[string]func(ctx context.Context, raw redis.UniversalClient, enr string) error{
		"all": func(ctx context.Context, raw redis.UniversalClient, enr string) error { return raw.Del(ctx, enr).Err() },
		"one": func(ctx context.Context, raw redis.UniversalClient, enr string) error {
			return raw.HDel(ctx, enr, name(2)).Err()
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, o storetest.Options) {
				d := ward(t, o)
				for how, err := range readEnrollments(t.Context(), d) {
					if err != nil {
						t.Fatalf("%s before any damage: %v", how, err)
					}
				}
				if err := damage(t.Context(), crmstore.Raw(d.Store), crmstore.KeyOf(d.Store, record.Contact, 0, "enr:stale")); err != nil {
					t.Fatal(err)
				}
				errs := readEnrollments(t.Context(), d)
				_, errs["Archive"] = d.Archive(t.Context(), byRun("stale@2"), d.targets("", 1))
				for how, err := range errs {
					lost, ok := errors.AsType[*crmstore.LostError](err)
					if !ok || lost.Missing < 1 || lost.What != "workflow stale" {
						t.Errorf("%s: %v", how, err)
					}
				}
				if r := d.get(1); r.Deletion != nil {
					t.Error("a contact was deleted all the same")
				}
			})
		})
	}
}

// A store of an older version has no counters of lists, enrollments and events: it is read as before, and counted at
// the first change.
func TestUncounted(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := ward(t, o)
		ctx, raw := t.Context(), crmstore.Raw(d.Store)
		cnt := crmstore.KeyOf(d.Store, record.Contact, 0, "cnt")
		before := raw.HGetAll(ctx, cnt).Val()
		if err := raw.HDel(ctx, cnt, "list:1", "enr:stale", "log").Err(); err != nil {
			t.Fatal(err)
		}
		errs := readEnrollments(ctx, d)
		errs["ReadColumns"] = readList(ctx, d)
		for how, err := range errs {
			if err != nil {
				t.Errorf("%s: %v", how, err)
			}
		}
		if _, _, err := d.SetMembers(ctx, crmstore.List{Object: record.Contact, Number: 1, Name: "keep"}, []record.ID{3}, false, someone, noon); err != nil {
			t.Fatal(err)
		}
		d.archive(byRun("stale@2"), d.targets("", 1))
		want := map[string]string{"list:1": "1", "enr:stale": "3", "log": add(t, before["log"], 2)}
		after := raw.HGetAll(ctx, cnt).Val()
		for name, n := range want {
			if after[name] != n {
				t.Errorf("%s is counted as %q, want %s", name, after[name], n)
			}
		}
	})
}

func add(t *testing.T, text string, n int) string {
	t.Helper()
	was, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(was + n)
}

// Readers of lists and enrollments never meet a change half done.
func TestCountsWhileOthersWrite(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := ward(t, o)
		ctx := t.Context()
		keep := crmstore.List{Object: record.Contact, Number: 1, Name: "keep"}
		var writing sync.WaitGroup
		done := make(chan struct{})
		writing.Go(func() {
			defer close(done)
			for i := range 200 {
				if _, _, err := d.SetMembers(ctx, keep, []record.ID{1, 5, 6}, i%2 == 0, someone, noon); err != nil {
					t.Error(err)
				}
				if err := d.MarkExisting(ctx, record.Contact, "stale", 1, []record.PartitionIDs{{IDs: []record.ID{record.ID(1 + i%6)}}}); err != nil {
					t.Error(err)
				}
			}
		})
		for reading := true; reading; {
			select {
			case <-done:
				reading = false
			default:
			}
			errs := readEnrollments(ctx, d)
			errs["ReadColumns"] = readList(ctx, d)
			for how, err := range errs {
				if err != nil {
					t.Fatalf("%s: %v", how, err)
				}
			}
		}
		writing.Wait()
	})
}

// The counters follow everything that a list, a workflow's enrollments and the log go through.
func TestCounters(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := ward(t, o)
		ctx, raw := t.Context(), crmstore.Raw(d.Store)
		account, _, _ := strings.Cut(crmstore.KeyOf(d.Store, record.Contact, 0, ""), "/")
		agree := func(after string) {
			t.Helper()
			for _, key := range slices.Sorted(slices.Values(raw.Keys(ctx, account+"*").Val())) {
				hash, ok := strings.CutSuffix(key, ":cnt")
				if !ok {
					continue
				}
				for name, text := range raw.HGetAll(ctx, key).Val() {
					var size int64
					switch kind, _, _ := strings.Cut(name, ":"); kind {
					case "list":
						size = raw.BitCount(ctx, hash+":"+name, nil).Val()
					case "enr":
						size = raw.HLen(ctx, hash+":"+name).Val()
					case "log":
						size = raw.XLen(ctx, hash+":"+name).Val()
					default:
						continue
					}
					if text != strconv.FormatInt(size, 10) {
						t.Errorf("after %s: %s of %s is counted as %s, there are %d", after, name, hash, text, size)
					}
				}
			}
		}
		agree("the beginning")
		d.archive(byRun("stale@2"), d.targets("", 3, 4))
		d.archive(byRun("stale@2"), d.targets("", 3, 4))
		agree("a deletion and its repetition")
		if _, err := d.Purge(ctx, crmstore.PurgeOrder{Object: record.Contact, Cause: someone, At: noon.AddDate(1, 0, 0)}); err != nil {
			t.Fatal(err)
		}
		agree("a purge")
		if _, err := d.Erase(ctx, crmstore.EraseOrder{Cause: someone, At: noon}, []record.ID{5}); err != nil {
			t.Fatal(err)
		}
		agree("a permanent deletion")
		if _, err := d.TrimHistory(ctx, noon.AddDate(40, 0, 0), 1000); err != nil {
			t.Fatal(err)
		}
		agree("trimming")
		if err := d.DeleteList(ctx, crmstore.List{Object: record.Contact, Number: 1, Name: "keep"}, someone, noon); err != nil {
			t.Fatal(err)
		}
		agree("the deletion of the list")
		if raw.HExists(ctx, crmstore.KeyOf(d.Store, record.Contact, 0, "cnt"), "list:1").Val() {
			t.Error("a deleted list is still counted")
		}
	})
}
