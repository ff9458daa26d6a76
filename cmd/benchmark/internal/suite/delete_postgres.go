package suite

import (
	"context"
	"strconv"

	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/table"
)

// withPostgres is the text where PostgreSQL is compared, else nothing.
func (d *deleting) withPostgres(text string) string {
	if d.pg == nil {
		return ""
	}
	return text
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

// postgresPurge removes what postgres deleted in the same round; nil without it.
func (d *deleting) postgresPurge() act {
	if d.pg == nil {
		return nil
	}
	return func(ctx context.Context) (table.Sample, error) {
		seconds, _, err := d.pg.Timed(ctx, []string{"analyze victims, history"}, []string{
			"begin",
			"insert into audit (at, op, id, actor, run, reason) select '2026-09-13T12:00:00Z', 'purge', id, 'system', null, '90 days' " +
				"from victims where deleted_at <= '2026-06-15T12:00:00Z'",
			"delete from history h using victims v where h.id = v.id and v.deleted_at <= '2026-06-15T12:00:00Z'",
			"delete from victims where deleted_at <= '2026-06-15T12:00:00Z'",
			"commit",
		})
		return table.Sample{Amount: seconds, Units: float64(d.contacts)}, err
	}
}
