package suite

import (
	"context"
	"fmt"

	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/table"
	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/wire"
	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow"
)

// Of the section delete.
const (
	mostDeleted = 200_000 // contacts, at most
	singles     = 2_000   // of them, for what goes one by one

	// As the store sends its scripts: so many in a pipeline, and so many pipelines at a time.
	scriptsPerPipeline = 32
	pipelines          = 2
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
		d.rewound(d.whole), d.undo, d.rewound(d.byHand), d.undo, //nolint:gocritic // each is undone
		d.rewound(d.purged), d.postgresPurge())
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
			Note: fmt.Sprintf("One by one: %d contacts, compared for each. All write the same three things for each contact: the deletion with its facts, "+
				"an audit entry, an enrollment%s.", d.singles, d.withPostgres("; PostgreSQL in three statements of one transaction, without waiting for the disk")),
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
		table.Row{
			What: "purge: 90 days later, all of them", Samples: samples[10],
			Against: []table.Against{{Name: "delete by the store", Samples: samples[0]}, {Name: "PostgreSQL", Samples: samples[11]}},
			Note:    d.withPostgres("PostgreSQL removes rows and their history and adds audit rows, in one transaction."),
		},
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
		Object: record.Contact, At: d.crowd.Now, Enroll: "bench", Fence: 1,
		Cause: record.Cause{Actor: "workflow", Workflow: "bench", Revision: 1, Run: "bench@2026-06-15T12:00:00Z.0"},
	}
	if err := d.everybodyOnAList(ctx); err != nil {
		return err
	}
	if err := d.readBatches(ctx, partitions); err != nil { // being put on a list gives a contact a new version
		return err
	}
	if err := d.saveMatches(ctx); err != nil {
		return err
	}
	if err := d.scratch.keep(ctx); err != nil {
		return err
	}
	return d.record(ctx)
}

// saveMatches makes everybody a match of the order's run: the store deletes nobody else for it.
func (d *deleting) saveMatches(ctx context.Context) error {
	var list []crmstore.Matches
	for _, batch := range d.batches {
		matches := crmstore.Matches{Partition: batch.Partition}
		for _, target := range batch.Targets {
			matches.IDs = append(matches.IDs, target.ID)
		}
		list = append(list, matches)
	}
	return d.store.SaveMatches(ctx, crmstore.RunMatches{Object: record.Contact, Run: d.order.Cause.Run, Fence: d.order.Fence}, list)
}

// readBatches makes everybody, as they are now, what is to be deleted.
func (d *deleting) readBatches(ctx context.Context, partitions int) error {
	d.batches = d.batches[:0]
	return d.store.ReadAll(ctx, record.Contact, 0, partitions, func(p int, recs []*record.Record) error {
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
	if d.prepared, err = recorder.Only("evalsha", scriptsPerPipeline, pipelines); err == nil && len(d.prepared[0]) == 0 {
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
	counts, err := d.store.Count(ctx, record.Contact)
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

// purged deletes everybody, which does not count, and purges them when their time in the bin is over.
func (d *deleting) purged(ctx context.Context) (table.Sample, error) {
	if _, err := d.archive(ctx); err != nil {
		return table.Sample{}, err
	}
	var report crmstore.PurgeReport
	sample, err := timed(d.contacts, func() (err error) {
		report, err = d.store.Purge(ctx, crmstore.PurgeOrder{Object: record.Contact, Cause: cause(), At: d.crowd.Now.Add(crmstore.Retention)})
		return err
	})
	if err == nil && report.Purged != int64(d.contacts) {
		err = fmt.Errorf("%d contacts were purged, want %d", report.Purged, d.contacts)
	}
	return sample, err
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
