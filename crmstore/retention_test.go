package crmstore_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// What is older than the retention goes, in bounded steps; what is younger by a millisecond stays.
func TestTrimHistory(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d, ctx := newDesk(t, o), t.Context()
		now := time.Now().UTC().Truncate(time.Millisecond).AddDate(3, 0, 0) // what the test makes is old by then
		if _, err := d.TrimHistory(ctx, time.Now(), 1000); err != nil {
			t.Fatal(err)
		}
		for i := range record.ID(50) {
			d.write(crmstore.UpsertAny, noon, d.up(i+1))
		}
		raw := crmstore.Raw(d.Store)
		young := now.Add(-crmstore.AuditDays * 24 * time.Hour)
		for _, key := range []string{crmstore.KeyOf(d.Store, record.Contact, 3, "log"), "crm:{" + d.AccountName() + "}:log"} {
			entry := redis.XAddArgs{Stream: key, ID: redisID(young), Values: []any{"o", "young", "f", ""}}
			if err := raw.XAdd(ctx, &entry).Err(); err != nil {
				t.Fatal(err)
			}
		}
		run := crmstore.Run{ID: "stale@1", Workflow: "stale", Object: record.Contact, State: crmstore.RunRunning, StartedAt: noon}
		over, err := d.CreateRun(ctx, run)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.SaveMatches(ctx, crmstore.RunMatches{Object: record.Contact, Run: run.ID}, []crmstore.Matches{{Partition: 3, IDs: []record.ID{1}}}); err != nil {
			t.Fatal(err)
		}
		if got, err := d.TrimHistory(ctx, now, 5); err != nil || !got.More || got.Events < 5 || got.Runs != 0 {
			t.Errorf("with a limit: %+v, %v", got, err)
		}
		over.State = crmstore.RunCancelled
		if _, err := d.SaveRun(ctx, over); err != nil {
			t.Fatal(err)
		}
		d.queue("a")
		if _, err := d.MailAccepted(ctx, "a", noon); err != nil {
			t.Fatal(err)
		}
		d.queue("waits")
		got, err := d.TrimHistory(ctx, now, 100000)
		if err != nil || got.More || got.Runs != 1 || got.Mails != 1 {
			t.Errorf("the rest: %+v, %v", got, err)
		}
		if left := d.audit(crmstore.AuditFilter{}); len(left) != 2 || left[0].Op != "young" || left[1].Op != "young" {
			t.Errorf("left: %v", ops(left))
		}
		if _, err := d.Run(ctx, run.ID); !errors.Is(err, record.ErrNotFound) {
			t.Errorf("the cancelled run: %v", err)
		}
		if left, err := d.Matches(ctx, record.Contact, run.ID, 0, 16); len(left) != 0 || err != nil {
			t.Errorf("its matches: %v, %v", left, err)
		}
		if runs, err := d.Runs(ctx, crmstore.RunFilter{Workflow: "stale"}); len(runs) != 0 || err != nil {
			t.Errorf("runs: %v, %v", runs, err)
		}
		if _, err := d.Mail(ctx, "waits"); err != nil {
			t.Errorf("a mail that waits: %v", err)
		}
		// The setting decides.
		if err := raw.HSet(ctx, "crm:{"+d.AccountName()+"}:settings", "audit_retention_days", "399").Err(); err != nil {
			t.Fatal(err)
		}
		if got, err := d.TrimHistory(ctx, now, 1000); err != nil || got.Events != 2 {
			t.Errorf("with 399 days: %+v, %v", got, err)
		}
	})
}

func redisID(at time.Time) string { return fmt.Sprintf("%d-0", at.UnixMilli()) }
