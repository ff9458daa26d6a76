package main

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// binned makes records 1 to n and deletes them so many days ago.
func binned(t *testing.T, store *crmstore.Store, o record.ObjectType, n, daysAgo int) {
	t.Helper()
	at := time.Now().AddDate(0, 0, -daysAgo)
	cause := record.Cause{Reason: "test"}
	var batch []crmstore.Upsert
	targets := map[int][]crmstore.Target{}
	for id := record.ID(1); id <= record.ID(n); id++ {
		batch = append(batch, crmstore.Upsert{ID: id})
		p := id.Partition(4)
		targets[p] = append(targets[p], crmstore.Target{ID: id, Version: 1})
	}
	if _, err := store.Write(t.Context(), o, crmstore.CreateOnly, batch, cause, at); err != nil {
		t.Fatal(err)
	}
	var batches []crmstore.Archive
	for p, list := range targets {
		batches = append(batches, crmstore.Archive{Partition: p, Targets: list})
	}
	if _, err := store.Archive(t.Context(), crmstore.ArchiveOrder{Object: o, Cause: cause, At: at}, batches); err != nil {
		t.Fatal(err)
	}
}

// purge --expired removes what has been in the bin for 90 days, of one object type or of all; a restore says so then.
func TestPurge(t *testing.T) {
	t.Parallel()
	store := storetest.OpenWith(t, storetest.Options{Partitions: 4})
	p := program{t: t, store: store}
	binned(t, store, record.Contact, 3, 91)
	binned(t, store, record.Deal, 2, 91)
	binned(t, store, record.Company, 1, 89)
	if out := p.must("purge", "--expired", "--object", "deals"); !strings.Contains(out, "2 deals removed for good") {
		t.Errorf("purge of deals says %q", out)
	}
	out := p.must("purge", "--expired")
	if !strings.Contains(out, "3 contacts removed for good") || strings.Contains(out, "deal") || strings.Contains(out, "compan") {
		t.Errorf("purge says %q", out)
	}
	if out := p.must("purge", "--expired"); !strings.Contains(out, "nothing has been in the recycle bin for 90 days") {
		t.Errorf("a second purge says %q", out)
	}
	if out, err := p.command("restore", "1", "2").CombinedOutput(); err == nil || !strings.Contains(string(out), "2 contacts can no longer be restored") {
		t.Errorf("restore (%v) says %q", err, out)
	}
	if out := p.must("restore", "1", "--object", "company"); !strings.Contains(out, "1 company restored") {
		t.Errorf("restore of the company says %q", out)
	}
	if out := p.must("audit", "--object", "deal"); !strings.Contains(out, "purge") {
		t.Errorf("the audit log knows no purge:\n%s", out)
	}
	p.must("doctor")
}

// The daemon purges by itself, and counts it.
func TestDaemonPurges(t *testing.T) {
	t.Parallel()
	store := storetest.OpenWith(t, storetest.Options{Partitions: 4})
	binned(t, store, record.Ticket, 5, 90)
	d := startDaemon(t, program{t: t, store: store})
	d.eventually("/metrics", http.StatusOK, `crmstore_purged_records_total{object="ticket"} 5`)
	if n, err := store.Count(t.Context(), record.Ticket); err != nil || n != (crmstore.Counts{}) {
		t.Errorf("tickets: %+v, %v; want none", n, err)
	}
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for line := range d.lines {
		d.log = append(d.log, line)
	}
	if err := d.cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}
