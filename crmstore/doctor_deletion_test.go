package crmstore_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// olderRun is a run of workflow stale that wants to delete contacts 1 and 3, and that ends as failed, since the script of an
// older version writes the records and then fails to write their event.
func (d *desk) olderRun(id string) {
	d.t.Helper()
	ctx, raw := d.t.Context(), crmstore.Raw(d.Store)
	must := func(err error) {
		d.t.Helper()
		if err != nil {
			d.t.Fatal(err)
		}
	}
	key := func(name string) string { return crmstore.KeyOf(d.Store, record.Contact, 0, name) }
	run, err := d.CreateRun(ctx, crmstore.Run{
		ID: id, Workflow: "stale", Revision: 2, Object: record.Contact, State: crmstore.RunRunning, Stage: "act", StartedAt: noon, Fence: 1,
	})
	must(err)
	must(d.SaveMatches(ctx, crmstore.RunMatches{Object: record.Contact, Run: id, Fence: 1}, []crmstore.Matches{{IDs: []record.ID{1, 3}}}))
	must(raw.HDel(ctx, key("cnt"), "log", "enr:stale", "sum:enr:stale").Err()) // an older version counts neither
	must(raw.Rename(ctx, key("log"), key("put by")).Err())                     // while the script is at work, the server takes no event
	must(raw.Set(ctx, key("log"), "refuses", 0).Err())
	source, err := os.ReadFile("testdata/older_archive.lua")
	must(err)
	order := byRun(id)
	order.Fence = 1
	err = crmstore.ArchiveByScript(ctx, d.Store, string(source), 6, order, d.targets("trigger 1", 1, 3)[0])
	if err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
		d.t.Fatalf("the older script did not fail in the middle: %v", err)
	}
	must(raw.Rename(ctx, key("put by"), key("log")).Err())
	run.State, run.Reason = crmstore.RunFailed, "the server refused"
	_, err = d.SaveRun(ctx, run)
	must(err)
	if r := d.get(1); r.Deletion == nil || r.Deletion.Run != id {
		d.t.Fatalf("contact 1 is not in the bin by %s", id)
	}
}

// deletionsFound returns what is found about deletions.
func (d *desk) deletionsFound(o crmstore.DoctorOrder) (found []string, others int) {
	d.t.Helper()
	o.Cause, o.At = someone, noon.Add(time.Hour)
	err := d.Examine(d.t.Context(), record.Contact, o, func(p crmstore.Problem) error {
		if p.Code != "deletion" {
			others++
			return nil
		}
		found = append(found, fmt.Sprintf("%d %d %v: %s", p.ID, p.Count, p.Repaired, p.Detail))
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return found, others
}

// What an older version left half done in the bin is found, mended from what the records know, and said in the audit log.
// Then the run's deletions are known as those of any run, and come back as such.
func TestDoctorMendsDeletions(t *testing.T) {
	t.Parallel()
	const run = "stale@2"
	both(t, func(t *testing.T, o storetest.Options) {
		ctx := t.Context()
		d := ward(t, o)
		d.olderRun(run)
		want := []string{
			"1 2 false: partition 0: 2 contacts in the bin have no audit event of their deletion: 1, 3",
			"1 2 false: partition 0: 2 contacts in the bin have no enrollment in workflow stale, which deleted them: 1, 3",
		}
		for range 2 { // looking changes nothing
			if found, _ := d.deletionsFound(crmstore.DoctorOrder{}); !cmp.Equal(want, found) {
				t.Fatalf("(-want +got):\n%s", cmp.Diff(want, found))
			}
		}
		if found, _ := d.deletionsFound(crmstore.DoctorOrder{Repair: true}); len(found) != 2 || !strings.Contains(found[1], "true: ") ||
			!strings.HasSuffix(found[1], "; doctor wrote it from the records") {
			t.Errorf("repaired: %q", found)
		}
		if found, others := d.deletionsFound(crmstore.DoctorOrder{}); len(found) > 0 || others > 0 {
			t.Errorf("after the repair, %d other problems and %q", others, found)
		}
		events := d.audit(crmstore.AuditFilter{Record: 1, Ops: []string{"delete"}})
		if len(events) != 1 || events[0].Run != run || !events[0].At.Equal(noon) || events[0].Reason != "trigger 1" ||
			!strings.Contains(events[0].Detail, "written by doctor") {
			t.Errorf("the event of the deletion: %+v", events)
		}
		if notes := d.audit(crmstore.AuditFilter{Ops: []string{"repair"}}); len(notes) != 3 {
			t.Errorf("the account's log says %d things of the repair, want two kinds and the run: %+v", len(notes), notes)
		}
		parts, err := d.EnrolledBy(ctx, record.Contact, "stale", run, 0, 1)
		if err != nil || len(parts) != 1 || !cmp.Equal(parts[0].IDs, []record.ID{1, 3}) {
			t.Errorf("enrolled by the run: %v, %v", parts, err)
		}
		if r, err := d.Run(ctx, run); err != nil || r.Deleted != 2 {
			t.Errorf("the run counts %d deletions (%v), want 2", r.Deleted, err)
		}
		again := crmstore.RestoreOrder{Object: record.Contact, Cause: someone, At: noon, OnlyRun: run}
		for _, r := range d.restore(again, 1, 3) {
			if r.Outcome != crmstore.Restored {
				t.Errorf("restore %d: %v", r.ID, r.Outcome)
			}
		}
		if found, others := d.deletionsFound(crmstore.DoctorOrder{}); len(found) > 0 || others > 0 {
			t.Errorf("restored: %d other problems and %q", others, found)
		}
	})
}

// The place among the matches of a run that is over is mended too, and what the run had counted as changed is deleted.
func TestDoctorMendsMatches(t *testing.T) {
	t.Parallel()
	const run = "stale@2"
	both(t, func(t *testing.T, o storetest.Options) {
		ctx := t.Context()
		d := ward(t, o)
		d.olderRun(run)
		named := crmstore.RunMatches{Object: record.Contact, Run: run}
		for _, m := range []crmstore.Matches{
			{IDs: []record.ID{1, 3}, Done: true, Changed: 2},    // carried on: they were in the bin already
			{IDs: []record.ID{1, 3, 4}, Done: true, Deleted: 1}, // one of them was counted
			{IDs: []record.ID{1}, Done: true, Changed: 1},       // one has no place
			{}, // nothing is known of them
		} {
			if err := d.SaveMatches(ctx, named, []crmstore.Matches{m}); err != nil {
				t.Fatal(err)
			}
			if err := crmstore.Raw(d.Store).HDel(ctx, crmstore.KeyOf(d.Store, record.Contact, 0, "enr:stale"), name(1), name(3)).Err(); err != nil {
				t.Fatal(err)
			}
			if err := crmstore.Raw(d.Store).HDel(ctx, crmstore.KeyOf(d.Store, record.Contact, 0, "cnt"), "enr:stale", "sum:enr:stale").Err(); err != nil {
				t.Fatal(err)
			}
			d.deletionsFound(crmstore.DoctorOrder{Repair: true})
			if found, others := d.deletionsFound(crmstore.DoctorOrder{}); len(found) > 0 || others > 0 {
				t.Errorf("%+v: after the repair, %d other problems and %q", m, others, found)
			}
			got, err := d.Matches(ctx, record.Contact, run, 0, 1)
			if err != nil || len(got) != 1 || got[0].Deleted != 2 || got[0].Changed != 0 || !got[0].Done || len(got[0].IDs) < 2 {
				t.Errorf("%+v: the matches are %+v, %v", m, got, err)
			}
		}
	})
}

// What the audit log reaches back to no more, and what the server has lost, is nobody's half deletion.
func TestDoctorLeavesOtherDeletions(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		ctx := t.Context()
		d := ward(t, o)
		key := crmstore.KeyOf(d.Store, record.Contact, 0, "log")
		if err := crmstore.Raw(d.Store).Del(ctx, key).Err(); err != nil {
			t.Fatal(err)
		}
		if found, _ := d.deletionsFound(crmstore.DoctorOrder{}); len(found) > 0 {
			t.Errorf("a lost log: %q", found)
		}
		raw := crmstore.Raw(d.Store)
		err := errors.Join(
			raw.XAdd(ctx, &redis.XAddArgs{Stream: key, Values: []string{"o", "none"}}).Err(), raw.XTrimMaxLen(ctx, key, 0).Err(),
			raw.HDel(ctx, crmstore.KeyOf(d.Store, record.Contact, 0, "cnt"), "log").Err(),
		)
		if err != nil {
			t.Fatal(err)
		}
		if found, _ := d.deletionsFound(crmstore.DoctorOrder{}); len(found) != 1 {
			t.Errorf("a log that was never counted: %q", found)
		}
		if _, err := d.SetSetting(ctx, crmstore.SettingAuditDays, "1", someone, noon); err != nil {
			t.Fatal(err)
		}
		if found, _ := d.deletionsFound(crmstore.DoctorOrder{}); len(found) > 0 {
			t.Errorf("a log that was trimmed: %q", found)
		}
	})
}
