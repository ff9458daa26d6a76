package suite

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/table"
	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/wire"
	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

// hashSample is how many contacts the obvious program gets; what it does takes the same time for each.
const hashSample = 50_000

// question is one trigger, in the words of everybody who answers it.
type question struct {
	what    string
	ours    string
	obvious string
	sql     string
	columns []string // that the trigger reads; none = all records
	limit   float64  // target: share of the limit
	obvX    float64  // target: times the obvious program; 0 = none
	pgX     float64  // target: times PostgreSQL's count; 0 = none
}

// questions are the triggers that are measured.
func (b *bench) questions() []question {
	old := func(share float64) question {
		before := b.crowd.OlderThan(share).Format(time.DateOnly)
		return question{
			ours:    `contact.lifecyclestage in ["subscriber", "lead"] && contact.notes_last_updated < date("` + before + `")`,
			obvious: `contact.lifecyclestage in ["subscriber", "lead"] && contact.notes_last_updated != "" && contact.notes_last_updated < "` + before + `"`,
			sql:     `lifecyclestage in ('subscriber', 'lead') and notes_last_updated < '` + before + `T00:00:00Z'`,
			columns: []string{"lifecyclestage", "notes_last_updated"}, limit: 0.6, obvX: 100, pgX: 3,
		}
	}
	few, some, lots, mixed := old(0.0001), old(0.01), old(0.2), old(0.2)
	few.what, some.what, lots.what = "columns, 0.01 % match", "columns, 1 % match", "columns, 20 % match"
	some.limit, some.obvX, some.pgX = 0.3, 50, 1.5 // half of the targets of columns alone
	lots.limit, lots.obvX, lots.pgX = 0, 0, 0
	mixed.what, mixed.limit, mixed.obvX, mixed.pgX = "columns and text, 20 % survive", 0, 0, 0
	mixed.ours += ` && !(contact.email endsWith "@mail.example")`
	mixed.obvious += ` && !(contact.email endsWith "@mail.example")`
	mixed.sql += ` and email not like '%@mail.example'`
	return []question{few, some, lots, mixed, {
		what: "text alone, all records", ours: `contact.jobtitle startsWith "Chief"`,
		obvious: `contact.jobtitle startsWith "Chief"`, sql: `jobtitle like 'Chief%'`, limit: 0.6,
	}}
}

// evaluate measures triggers over the large store, and several workflows over the same contacts.
func (b *bench) evaluate(ctx context.Context) error {
	sample := min(hashSample, b.Contacts)
	if err := b.fillHashes(ctx, b.scratch, b.crowd, sample); err != nil {
		return err
	}
	for _, q := range b.questions() {
		if err := b.ask(ctx, q, sample); err != nil {
			return err
		}
	}
	if err := b.scratch.empty(ctx); err != nil {
		return err
	}
	return b.together(ctx)
}

// ask measures one question: we, the limit, the obvious program, PostgreSQL with its best index and without.
func (b *bench) ask(ctx context.Context, q question, sample int) error {
	def, err := b.define(ctx, b.store, "bench", q.ours)
	if err != nil {
		return err
	}
	lanes, name, err := b.limit(ctx, q.columns)
	if err != nil {
		return err
	}
	var matched, wanted int64
	acts := []act{
		func(ctx context.Context) (table.Sample, error) {
			return timed(b.Contacts, func() (err error) {
				run, err := (&workflow.Runner{Store: b.store}).DryRun(ctx, def, b.crowd.Now)
				matched = run.Matched
				return err
			})
		},
		func(ctx context.Context) (table.Sample, error) {
			return timed(b.Contacts, func() error {
				_, err := wire.Ask(ctx, b.large.socket, lanes)
				return err
			})
		},
		func(ctx context.Context) (table.Sample, error) {
			return timed(sample, func() (err error) {
				wanted, _, err = b.scratch.direct.Count(ctx, q.obvious)
				return err
			})
		},
		b.counting(q.sql, "", &matched), b.counting(q.sql, "set enable_indexscan = off; set enable_indexonlyscan = off; set enable_bitmapscan = off", &matched),
	}
	samples, err := b.rounds(ctx, q.what, acts...)
	if err != nil {
		return err
	}
	if sample == b.Contacts && matched != wanted {
		return fmt.Errorf("%s: %d contacts match, the obvious program finds %d", q.what, matched, wanted)
	}
	row := table.Row{
		What: "evaluate: " + q.what, Samples: samples[0], Against: []table.Against{
			{Name: name, Limit: true, Samples: samples[1], AtLeast: q.limit},
			{Name: "obvious", Samples: samples[2], AtLeast: q.obvX},
			{Name: "PostgreSQL, best index", Samples: samples[3], AtLeast: q.pgX},
			{Name: "PostgreSQL, no index", Samples: samples[4]},
		},
		Note: fmt.Sprintf("%d contacts match.", matched),
	}
	if sample < b.Contacts {
		row.Note += fmt.Sprintf(" The obvious program looked at %d contacts; its time for each is compared.", sample)
	}
	b.add(row)
	return nil
}

// counting is PostgreSQL's count with the same predicate, which must be what we matched; nil without PostgreSQL.
func (b *bench) counting(predicate, setup string, matched *int64) act {
	if b.pg == nil {
		return nil
	}
	query := "select count(*) from contacts where deleted_at is null and " + predicate
	before := []string{query}
	if setup != "" {
		before = []string{setup, query}
	}
	return func(ctx context.Context) (table.Sample, error) {
		seconds, count, err := b.pg.Timed(ctx, before, []string{query})
		if err == nil && count != strconv.FormatInt(*matched, 10) {
			err = fmt.Errorf("%d contacts match, PostgreSQL finds %s", *matched, count)
		}
		return table.Sample{Amount: seconds, Units: float64(b.Contacts)}, err
	}
}

// Pipelines of the limits: as large as the store's own, over two connections.
const (
	limitLanes      = 2
	columnsAtOnce   = 32
	wholesAtOnce    = 4
	partitionPrefix = "crm:{main/contact/%d}:"
)

// limit prepares reading the same bytes without looking at them: columns with GET, all records with HVALS.
func (b *bench) limit(ctx context.Context, columns []string) (lanes [][]wire.Batch, name string, err error) {
	partitions, err := b.store.Partitions(ctx)
	if err != nil {
		return nil, "", err
	}
	schema, err := b.store.Schema(ctx, record.Contact)
	if err != nil {
		return nil, "", err
	}
	command, keys, atOnce := "HVALS", []string{"rec"}, wholesAtOnce
	if len(columns) > 0 {
		command, keys, atOnce = "GET", []string{"arch"}, columnsAtOnce
		for _, c := range columns {
			keys = append(keys, "col:"+strconv.Itoa(schema.Find(c)[0].Number))
		}
	}
	lanes = make([][]wire.Batch, limitLanes)
	for from := 0; from < partitions; from += atOnce {
		var batch wire.Batch
		for p := from; p < min(from+atOnce, partitions); p++ {
			for _, key := range keys {
				batch.Add(command, fmt.Sprintf(partitionPrefix, p)+key)
			}
		}
		lane := from / atOnce % limitLanes
		lanes[lane] = append(lanes[lane], batch)
	}
	return lanes, command, nil
}

// define compiles a workflow with one trigger and no limits.
func (b *bench) define(ctx context.Context, store *crmstore.Store, name, trigger string) (*definition.Definition, error) {
	vocabulary, err := definition.AccountVocabulary(ctx, store)
	if err != nil {
		return nil, err
	}
	def, findings := definition.Load(name+".yaml", []byte(source(name, trigger)), vocabulary)
	if def == nil {
		return nil, fmt.Errorf("workflow %s does not load: %v", name, findings)
	}
	return def, nil
}

// source is a workflow file with one trigger and no limits.
func source(name, trigger string) string {
	return strings.Join([]string{
		"workflow: " + name, "object: contact", "enroll:", "  triggers:", "    - " + trigger,
		"limits:", "  max_deletions: 100000000", "  max_percent: 100", "actions:", "  - delete_contact", "",
	}, "\n")
}
