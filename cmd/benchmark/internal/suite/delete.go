package suite

import (
	"context"
	"fmt"
	"strconv"

	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/table"
	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/wire"
	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/workflow"
)

// Of the section delete.
const (
	mostDeleted = 200_000 // contacts, at most
	singles     = 2_000   // of them, for what goes one by one
)

// deleting is an account in which everybody is deleted again and again; in between, the server is rewound.
type deleting struct {
	*bench
	store    *crmstore.Store
	contacts int
	singles  int
	order    crmstore.ArchiveOrder
	batches  []crmstore.Archive
	ids      []uint64 // of the obvious program's contacts
	run      crmstore.Run
	prepared [][]wire.Batch // what Archive sends
}

// deletion measures soft deletes with audit and enrollment, whole runs, and undoing them.
func (b *bench) deletion(ctx context.Context) error {
	d := deleting{bench: b, contacts: min(b.Contacts, max(b.Contacts/5, 10_000), mostDeleted)}
	d.singles = min(singles, d.contacts)
	if err := d.prepare(ctx); err != nil {
		return err
	}
	defer d.store.Close() //nolint:errcheck // the server is emptied anyway
	samples, err := b.rounds(ctx, fmt.Sprintf("delete %d contacts", d.contacts),
		d.rewound(d.archive), d.rewound(d.bare), d.rewound(d.oneByOne), d.rewound(d.hashesOneByOne), d.rewound(d.hashesPipelined), d.postgres(),
		d.rewound(d.whole), d.undo, d.rewound(d.byHand), d.undo)
	if err != nil {
		return err
	}
	b.add(
		table.Row{
			What: "delete: store, audit and enrollment", Samples: samples[0], Against: []table.Against{
				{Name: "bare script", Limit: true, Samples: samples[1], AtLeast: 0.7},
				{Name: "one by one", Samples: samples[2], AtLeast: 10},
				{Name: "obvious one by one", Samples: samples[3]},
				{Name: "obvious pipelined", Samples: samples[4]},
				{Name: "PostgreSQL", Samples: samples[5], AtLeast: 1.5},
			},
			Note: fmt.Sprintf("One by one: %d contacts, compared for each. The obvious program writes the same three things for each contact.", d.singles),
		},
		table.Row{
			What: "delete: whole run, evaluated and tested", Samples: samples[6], Against: []table.Against{
				{Name: "bare script", Limit: true, Samples: samples[1]},
				{Name: "PostgreSQL", Samples: samples[5]},
			},
		},
		table.Row{What: "undo of the run", Samples: samples[7], Against: []table.Against{{Name: "whole run", Samples: samples[6], AtLeast: 0.7}}},
		table.Row{
			What: "delete: by hand, all on a list", Samples: samples[8],
			Against: []table.Against{{Name: "bare script", Limit: true, Samples: samples[1]}, {Name: "whole run", Samples: samples[6], AtLeast: 0.6}},
		},
		table.Row{What: "undo of it", Samples: samples[9], Against: []table.Against{{Name: "whole run", Samples: samples[6]}}},
	)
	return b.scratch.empty(ctx)
}

// prepare fills the account, publishes a workflow that deletes everybody, and records what a deletion sends.
func (d *deleting) prepare(ctx context.Context) error {
	var err error
	if d.store, err = d.fill(ctx, d.scratch, "delete", d.crowd, d.contacts); err != nil {
		return err
	}
	hashes := min(d.contacts, hashSample)
	if err := d.fillHashes(ctx, d.scratch, d.crowd, hashes); err != nil {
		return err
	}
	for i := range hashes {
		d.ids = append(d.ids, uint64(i+1))
	}
	def, err := d.define(ctx, d.store, "bench", "known(contact.createdate)")
	if err != nil {
		return err
	}
	if _, err := workflow.Publish(ctx, d.store, def, d.crowd.Now); err != nil {
		return err
	}
	partitions, err := d.store.Partitions(ctx)
	if err != nil {
		return err
	}
	if err := d.readBatches(ctx, partitions); err != nil {
		return err
	}
	d.order = crmstore.ArchiveOrder{
		Object: crmstore.Contact, At: d.crowd.Now, Enroll: "bench", Fence: 1,
		Cause: crmstore.Cause{Actor: "workflow", Workflow: "bench", Revision: 1, Run: "bench@2026-06-15T12:00:00Z.1"},
	}
	if err := d.everybodyOnAList(ctx); err != nil {
		return err
	}
	if err := d.readBatches(ctx, partitions); err != nil { // being put on a list gives a contact a new version
		return err
	}
	if err := d.scratch.keep(ctx); err != nil {
		return err
	}
	return d.record(ctx)
}

// readBatches makes everybody, as they are now, what is to be deleted.
func (d *deleting) readBatches(ctx context.Context, partitions int) error {
	d.batches = d.batches[:0]
	return d.store.ReadAll(ctx, crmstore.Contact, 0, partitions, func(p int, recs []*crmstore.Record) error {
		batch := crmstore.Archive{Partition: p}
		for _, r := range recs {
			batch.Targets = append(batch.Targets, crmstore.Target{ID: r.ID, Slot: r.Slot, Version: r.Version, Reason: "trigger 1"})
		}
		d.batches = append(d.batches, batch)
		return nil
	})
}

// record has the store delete everybody once, and keeps the bytes that it sends: the script's calls with their
// arguments. What it had to send as text, because the server did not know the script, was sent before.
func (d *deleting) record(ctx context.Context) error {
	if _, err := d.store.Archive(ctx, d.order, d.batches); err != nil {
		return err
	}
	if err := d.scratch.rewind(ctx); err != nil {
		return err
	}
	recorder, err := wire.Record(ctx, d.file("recorder"), d.scratch.socket)
	if err != nil {
		return err
	}
	defer recorder.Close() //nolint:errcheck // only listening ends
	store, err := crmstore.Open(ctx, crmstore.Config{URL: "unix://" + d.file("recorder"), Account: "delete", User: user})
	if err != nil {
		return err
	}
	_, err = store.Archive(ctx, d.order, d.batches)
	if closed := store.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if d.prepared, err = recorder.Only("evalsha"); err == nil && len(d.prepared) == 0 {
		err = fmt.Errorf("the recording holds no script; deletion does not work as the benchmark thinks")
	}
	return err
}

// rewound does an act on the account as it was before any deletion.
func (d *deleting) rewound(do act) act {
	return func(ctx context.Context) (table.Sample, error) {
		if err := d.scratch.rewind(ctx); err != nil {
			return table.Sample{}, err
		}
		return do(ctx)
	}
}

// gone checks that so many contacts are in the bin.
func (d *deleting) gone(ctx context.Context, want int) error {
	counts, err := d.store.Count(ctx, crmstore.Contact)
	if err == nil && counts.Archived != int64(want) {
		err = fmt.Errorf("%d contacts are in the bin, want %d", counts.Archived, want)
	}
	return err
}

func (d *deleting) archive(ctx context.Context) (table.Sample, error) {
	sample, err := timed(d.contacts, func() error {
		_, err := d.store.Archive(ctx, d.order, d.batches)
		return err
	})
	if err != nil {
		return sample, err
	}
	return sample, d.gone(ctx, d.contacts)
}

func (d *deleting) bare(ctx context.Context) (table.Sample, error) {
	sample, err := timed(d.contacts, func() error {
		_, err := wire.Ask(ctx, d.scratch.socket, d.prepared)
		return err
	})
	if err != nil {
		return sample, err
	}
	return sample, d.gone(ctx, d.contacts)
}

// oneByOne is our own deletion with one contact a call.
func (d *deleting) oneByOne(ctx context.Context) (table.Sample, error) {
	left := d.singles
	sample, err := timed(d.singles, func() error {
		for _, b := range d.batches {
			for _, t := range b.Targets {
				if left--; left < 0 {
					return nil
				}
				if _, err := d.store.Archive(ctx, d.order, []crmstore.Archive{{Partition: b.Partition, Targets: []crmstore.Target{t}}}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return sample, err
	}
	return sample, d.gone(ctx, d.singles)
}

func (d *deleting) hashesOneByOne(ctx context.Context) (table.Sample, error) {
	ids := d.ids[:d.singles]
	return timed(len(ids), func() error { return d.scratch.direct.Delete(ctx, ids, 1, d.crowd.Now) })
}

func (d *deleting) hashesPipelined(ctx context.Context) (table.Sample, error) {
	return timed(len(d.ids), func() error { return d.scratch.direct.Delete(ctx, d.ids, 500, d.crowd.Now) })
}

// whole is a run from its evaluation to its end.
func (d *deleting) whole(ctx context.Context) (table.Sample, error) {
	sample, err := timed(d.contacts, func() (err error) {
		d.run, err = (&workflow.Runner{Store: d.store}).Run(ctx, workflow.RunRequest{Name: "bench", Now: d.crowd.Now})
		return err
	})
	if err == nil && d.run.Deleted != int64(d.contacts) {
		err = fmt.Errorf("run %s is %s and deleted %d contacts, want %d", d.run.ID, d.run.State, d.run.Deleted, d.contacts)
	}
	return sample, err
}

// undo follows whole.
func (d *deleting) undo(ctx context.Context) (table.Sample, error) {
	var report workflow.UndoReport
	sample, err := timed(d.contacts, func() (err error) {
		report, err = (&workflow.Runner{Store: d.store}).Undo(ctx, d.run.ID, d.crowd.Now)
		return err
	})
	if err == nil && report.Restored != int64(d.contacts) {
		err = fmt.Errorf("undo restored %d contacts, want %d", report.Restored, d.contacts)
	}
	return sample, err
}

// postgres deletes as many contacts in one transaction that writes the same three things for each; nil without it.
func (d *deleting) postgres() act {
	if d.pg == nil {
		return nil
	}
	return func(ctx context.Context) (table.Sample, error) {
		err := d.pg.Do(ctx, "set client_min_messages = warning", "drop table if exists victims, audit, history",
			"create table victims as select * from contacts where id <= "+strconv.Itoa(d.contacts), "alter table victims add primary key (id)",
			"create index on victims (lifecyclestage, notes_last_updated) where deleted_at is null", "vacuum analyze victims",
			"create table audit (seq bigserial primary key, at timestamptz, op text, id bigint, actor text, run text, reason text)",
			"create table history (workflow text, id bigint, state text, revision int, run text, primary key (workflow, id))", "checkpoint")
		if err != nil {
			return table.Sample{}, err
		}
		run := "'" + d.order.Cause.Run + "'"
		seconds, _, err := d.pg.Timed(ctx, nil, []string{
			"begin",
			"update victims set deleted_at = '2026-06-15T12:00:00Z', deleted_run = " + run + " where deleted_at is null and createdate is not null",
			"insert into audit (at, op, id, actor, run, reason) select deleted_at, 'delete', id, 'workflow', deleted_run, 'trigger 1' from victims where deleted_run = " + run,
			"insert into history select 'bench', id, 'completed', 1, deleted_run from victims where deleted_run = " + run,
			"commit",
		})
		return table.Sample{Amount: seconds, Units: float64(d.contacts)}, err
	}
}
