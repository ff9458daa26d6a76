package crmstore_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// examine returns what an examination says of losses, and whether anything else is found.
func (d *desk) examine(o crmstore.DoctorOrder) (losses []string, others int) {
	d.t.Helper()
	o.Cause, o.At = someone, noon
	err := d.Examine(d.t.Context(), record.Contact, o, func(p crmstore.Problem) error {
		if p.Code != "lost" && p.Code != "accepted" {
			others++
			return nil
		}
		losses = append(losses, fmt.Sprintf("%s %d: %s", p.Code, p.Lost, p.Detail))
		if p.Repaired || p.Accepted != (p.Code == "accepted" || o.AcceptLoss) {
			d.t.Errorf("%+v: a loss is never repaired, and accepted only when that is ordered", p)
		}
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return losses, others
}

// What the server lost is named with its number, also after a repair, and until somebody accepts it. Then the audit log
// and every later examination say so.
func TestDoctorNamesLosses(t *testing.T) {
	t.Parallel()
	del := func(names ...string) func(context.Context, *desk, redis.UniversalClient) error {
		return func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
			for _, name := range names {
				if err := raw.Del(ctx, crmstore.KeyOf(d.Store, record.Contact, 0, name)).Err(); err != nil {
					return err
				}
			}
			return nil
		}
	}
	for what, c := range map[string]struct {
		damage func(ctx context.Context, d *desk, raw redis.UniversalClient) error
		want   []string
		after  []string // when it was accepted
	}{
		"a list": {
			del("list:1"),
			[]string{`lost 2: list "keep" has lost 2 of 2 members`},
			[]string{`accepted 2: list "keep" lost 2 members earlier, and the loss was accepted (workflow audit --action accept-loss)`},
		},
		"one member": {
			func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
				return raw.SetBit(ctx, crmstore.KeyOf(d.Store, record.Contact, 0, "list:1"), 3, 0).Err()
			},
			[]string{`lost 1: list "keep" has lost 1 of 2 members`},
			[]string{`accepted 1: list "keep" lost 1 members earlier, and the loss was accepted (workflow audit --action accept-loss)`},
		},
		"enrollments": {
			del("enr:stale"),
			[]string{"lost 2: workflow stale has lost 2 of 2 enrollments"},
			[]string{"accepted 2: workflow stale lost 2 enrollments earlier, and the loss was accepted (workflow audit --action accept-loss)"},
		},
		"the log": {
			del("log"),
			[]string{"lost 3: the audit log of contacts has lost 3 of 3 events"},
			[]string{"accepted 3: the audit log of contacts lost 3 events earlier, and the loss was accepted (workflow audit --action accept-loss)"},
		},
		"records, with all that could tell who they were": {
			del("rec", "ids"),
			[]string{"lost 6: the store has lost 6 of 6 contacts"},
			[]string{"accepted 6: the store lost 6 contacts earlier, and the loss was accepted (workflow audit --action accept-loss)"},
		},
		"records": {
			del("rec"),
			[]string{"lost 6: the store has lost 6 of 6 contacts"},
			[]string{"accepted 6: the store lost 6 contacts earlier, and the loss was accepted (workflow audit --action accept-loss)"},
		},
		"the counters": {
			del("cnt"), []string{"lost 0: 1 partitions have lost their counters: nobody can tell whether lists, enrollments and the audit log are whole there"}, nil,
		},
		"the account's log": {
			func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
				return raw.Del(ctx, crmstore.KeyAccountLog(d.Store)).Err()
			},
			[]string{"lost 3: the account's audit log has lost 3 of 3 events"},
			[]string{"accepted 3: the account's audit log lost 3 events earlier, and the loss was accepted (workflow audit --action accept-loss)"},
		},
		"the names of lists": {
			func(ctx context.Context, d *desk, raw redis.UniversalClient) error {
				return raw.Del(ctx, crmstore.KeyLists(d.Store, record.Contact)).Err()
			}, []string{"lost 0: list number 1, whose name is lost too has members in the store all the same"}, nil,
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, o storetest.Options) {
				d := ward(t, o)
				if err := c.damage(t.Context(), d, crmstore.Raw(d.Store)); err != nil {
					t.Fatal(err)
				}
				for _, order := range []crmstore.DoctorOrder{{}, {Repair: true}, {Repair: true}, {}} {
					losses, _ := d.examine(order)
					if diff := cmp.Diff(c.want, losses); diff != "" {
						t.Errorf("%+v (-want +got):\n%s", order, diff)
					}
				}
				if c.after == nil && what != "the counters" {
					return
				}
				if losses, _ := d.examine(crmstore.DoctorOrder{Repair: true, AcceptLoss: true}); !cmp.Equal(c.want, losses) {
					t.Errorf("accepting finds %q", losses)
				}
				losses, others := d.examine(crmstore.DoctorOrder{})
				if diff := cmp.Diff(c.after, losses); diff != "" || others > 0 {
					t.Errorf("accepted, with %d other problems (-want +got):\n%s", others, diff)
				}
				events := d.audit(crmstore.AuditFilter{Ops: []string{"accept-loss"}})
				if len(events) != 1 || !strings.Contains(c.want[0], strings.TrimPrefix(events[0].Detail, "contact: ")) {
					t.Errorf("the audit log says %+v", events)
				}
				if what == "a list" {
					if err := readList(t.Context(), d); err != nil {
						t.Errorf("an accepted list cannot be read: %v", err)
					}
				}
			})
		})
	}
}

// A lost record that is put back is as it was: a repair took nothing of it meanwhile.
func TestLostRecordPutBack(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := ward(t, o)
		ctx, raw := t.Context(), crmstore.Raw(d.Store)
		rec := crmstore.KeyOf(d.Store, record.Contact, 0, "rec")
		all := raw.HGetAll(ctx, rec).Val()
		if err := raw.HDel(ctx, rec, name(3), name(5)).Err(); err != nil {
			t.Fatal(err)
		}
		if got := d.doctor(true); !slices.Equal(got, []string{"lost 3"}) {
			t.Fatalf("found %q", got)
		}
		d.write(crmstore.UpsertAny, noon, d.up(9, "email", "c9@x.org"))
		if err := raw.HSet(ctx, rec, name(3), all[name(3)], name(5), all[name(5)]).Err(); err != nil {
			t.Fatal(err)
		}
		d.doctor(true) // e-mail addresses may have been free for others meanwhile
		if got := d.doctor(false); len(got) > 0 {
			t.Errorf("found %q", got)
		}
		if diff := cmp.Diff(all[name(3)], raw.HGet(ctx, rec, name(3)).Val()); diff != "" {
			t.Error(diff)
		}
	})
}

// Whoever may not repair may not accept a loss either.
func TestAcceptLossNeedsSuperAdmin(t *testing.T) {
	t.Parallel()
	d := ward(t, storetest.Options{})
	u := withUser(t, d.Store, "ann", mayContacts(crmstore.CanView))
	for _, order := range []crmstore.DoctorOrder{{AcceptLoss: true}, {Quarantine: true}, {Repair: true}} {
		err := u.Examine(t.Context(), record.Contact, order, func(crmstore.Problem) error { return nil })
		wantRefused(t, err, crmstore.IsSuperAdmin)
	}
}
