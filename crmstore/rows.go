package crmstore

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Pick names records of one partition by the slots they stand in.
type Pick struct {
	Partition int
	Whole     bool        // every record there is, archived ones too; Slots and IDs are not looked at
	Size      int         // of a Whole one, about how many these are; 0 = not known
	Slots     []uint32    // in ascending order
	IDs       []record.ID // of Slots, by one who has read them; nil = who stands there now
}

// Rows are records of one partition that nobody has decoded yet; valid only until the callback returns.
type Rows struct {
	Partition int
	Rows      []Row // one for each of the Slots asked; of a whole partition, one for each slot

	columns record.Projection
}

// Row is one record. The zero Row is a slot in which no record stands.
type Row struct {
	ID      record.ID
	Live    bool
	Damaged bool // its bytes cannot be trusted: it is neither live nor in the bin for anybody
	fields  []byte
}

// Values reads the asked properties of the i-th row in one walk over its bytes: dst[n] becomes the value of property n,
// unknown where the record has none or the schema no such property. All of the record is checked; damage is an
// error that names it. Texts share memory with the Rows and are good as long as those.
func (r *Rows) Values(i int, dst []record.Value) error {
	row := &r.Rows[i]
	if err := r.columns.Decode(row.fields, dst); err != nil {
		return fmt.Errorf("read %s %s: %w", r.columns.Schema.Object, row.ID, err)
	}
	return nil
}

// NewRows makes the rows of records that need not stand in a store, one for each; nil is a slot without a record.
func NewRows(partition int, s *record.Schema, numbers []int, records []*record.Record) *Rows {
	rows := &Rows{Partition: partition, Rows: make([]Row, len(records)), columns: record.NewProjection(s, numbers)}
	for i, r := range records {
		if r != nil {
			rows.Rows[i] = Row{ID: r.ID, Live: r.Deletion == nil, fields: record.BytesOf(r.RawFields())}
		}
	}
	return rows
}

// set fills in a row from a record's bytes and says which slot they name.
func (r *Row) set(id record.ID, rec []byte) (slot uint32, err error) {
	h, _, fields, err := record.Cut(id, rec)
	if fields == nil {
		return 0, err
	}
	*r = Row{ID: id, Live: h.Archived == 0, fields: fields}
	return h.Slot, err
}

// ReadRows reads records by slot, pipelined over partitions, and hands each pick's to fn, in the order asked. numbers are
// the properties that [Rows.Values] may be asked for. The memory of what it hands out is used again, which makes it
// the cheapest way to look at many records; ReadRecords is for those who keep them.
func (s *Store) ReadRows(ctx context.Context, o record.ObjectType, picks []Pick, numbers []int, fn func(*Rows) error) error {
	if err := s.require(ctx, o, CanView); err != nil {
		return err
	}
	schema, err := s.schema(ctx, o)
	if err != nil {
		return err
	}
	starts := pickStarts(picks)
	windows := [2]*rowWindow{s.windows.row(), s.windows.row()} // one is loaded while the other is used
	defer s.windows.rows.Put(windows[0])
	defer s.windows.rows.Put(windows[1])
	load := func(ctx context.Context, i int) (*rowWindow, error) {
		w := windows[i%2]
		w.store, w.object, w.picks = s, o, picks[starts[i]:starts[i+1]]
		err := w.load(ctx)
		return w, err
	}
	rows := Rows{columns: record.NewProjection(schema, numbers)}
	err = redisdb.Prefetch(ctx, len(starts)-1, load, func(w *rowWindow) error {
		for i := range w.picks {
			rows.Partition, rows.Rows = w.picks[i].Partition, rows.Rows[:0]
			if err := w.rows(ctx, i, &rows); err != nil {
				return fmt.Errorf("partition %d: %w", rows.Partition, err)
			}
			if err := fn(&rows); err != nil {
				return callerError{err}
			}
		}
		return nil
	})
	return readError(o, err)
}

// pickStarts cuts picks into windows: where each starts, and the end.
func pickStarts(picks []Pick) []int {
	starts := []int{0}
	records, commands := 0, 0
	for i := range picks {
		size := len(picks[i].Slots)
		if picks[i].Whole {
			size = cmp.Or(picks[i].Size, redisdb.RecordsPerWindow/redisdb.WholesPerWindow)
		}
		if commands > 0 && (commands == redisdb.ReadsPerWindow || records+size > redisdb.RecordsPerWindow) {
			starts = append(starts, i)
			records, commands = 0, 0
		}
		records += size
		commands++
	}
	if len(picks) > 0 {
		starts = append(starts, len(picks))
	}
	return starts
}

// rowWindow is one pipeline of records, with memory that the next one uses again.
type rowWindow struct {
	store  *Store
	object record.ObjectType
	picks  []Pick

	commands [][]any
	answers  []redisdb.RawReply
	ids      [][]record.ID // of the picks by slot
	at       []int         // the answer of each pick: its records, or the first of four for a whole partition
	values   [][]byte
	packed   []byte
}

func (w *rowWindow) load(ctx context.Context) error {
	w.ids = slices.Grow(w.ids[:0], len(w.picks))[:len(w.picks)]
	if err := w.findIDs(ctx); err != nil {
		return err
	}
	w.commands, w.at, w.packed = w.commands[:0], w.at[:0], w.packed[:0]
	total := 0
	for _, ids := range w.ids {
		total += 8 * len(ids)
	}
	w.packed = slices.Grow(w.packed, total) // the commands hold on to it
	for i := range w.picks {
		w.at = append(w.at, len(w.commands))
		keys := w.store.partition(w.object, w.picks[i].Partition)
		if w.picks[i].Whole {
			purged := []any{"hmget", keys.cnt(), countPurged}
			w.commands = append(w.commands, purged, []any{"hvals", keys.rec()}, []any{"get", keys.ids()}, purged)
			continue
		}
		args := append(make([]any, 0, 2+len(w.ids[i])), "hmget", keys.rec())
		for _, id := range w.ids[i] {
			if id != 0 {
				from, one := len(w.packed), id.Bytes()
				w.packed = append(w.packed, one[:]...)
				args = append(args, w.packed[from:])
			}
		}
		if len(args) > 2 { // HMGET needs a field
			w.commands = append(w.commands, args)
		}
	}
	return w.ask(ctx)
}

func (w *rowWindow) ask(ctx context.Context) error {
	for len(w.answers) < len(w.commands) {
		w.answers = append(w.answers, redisdb.RawReply{})
	}
	return w.store.db.Ask(ctx, w.commands, w.answers)
}

// slotsPerQuestion is how many slots of an ids column take as long to read as a question of its own.
const slotsPerQuestion = 32

// findIDs looks up who stands in the slots of picks that come without ids: from the first slot to the last of each, or one
// by one where they are few and far between.
func (w *rowWindow) findIDs(ctx context.Context) error {
	w.commands = w.commands[:0]
	ask := func(p *Pick, first, last uint32) {
		key := w.store.partition(w.object, p.Partition).ids()
		w.commands = append(w.commands, []any{"getrange", key, 8 * int64(first), 8*int64(last) + 7})
	}
	for i := range w.picks {
		p := &w.picks[i]
		w.ids[i] = p.IDs
		if !p.nameless() {
			continue
		}
		if p.scattered() {
			for _, slot := range p.Slots {
				ask(p, slot, slot)
			}
		} else {
			ask(p, p.Slots[0], p.Slots[len(p.Slots)-1])
		}
	}
	if err := w.ask(ctx); err != nil {
		return err
	}
	next := 0
	for i := range w.picks {
		p := &w.picks[i]
		if !p.nameless() {
			continue
		}
		w.ids[i] = make([]record.ID, len(p.Slots))
		for j, slot := range p.Slots {
			first := slot
			if !p.scattered() {
				first = p.Slots[0]
			}
			column, err := w.answers[next].Value()
			if err != nil {
				return err
			}
			w.ids[i][j] = idIn(column, slot-first)
			if p.scattered() || j == len(p.Slots)-1 {
				next++
			}
		}
	}
	return nil
}

// nameless reports whether the ids are to be looked up.
func (p *Pick) nameless() bool { return !p.Whole && p.IDs == nil && len(p.Slots) > 0 }

func (p *Pick) scattered() bool {
	span := p.Slots[len(p.Slots)-1] - p.Slots[0]
	return int64(span) > slotsPerQuestion*int64(len(p.Slots))
}

// idIn is the id in a slot of an ids column; 0 where nobody stands.
func idIn(column []byte, slot uint32) record.ID {
	if at := 8 * int(slot); at+8 <= len(column) {
		return record.IDFromBytes(column[at:])
	}
	return 0
}

// slotIn is the slot that an ids column has for an id; -1 when it has none.
func slotIn(column []byte, id record.ID) int {
	for at := 0; at+8 <= len(column); at += 8 {
		if id != 0 && record.IDFromBytes(column[at:]) == id {
			return at / 8
		}
	}
	return -1
}

// rows fills in the rows of the i-th pick.
func (w *rowWindow) rows(ctx context.Context, i int, rows *Rows) error {
	if w.picks[i].Whole {
		return w.whole(ctx, i, rows)
	}
	rows.Rows = slices.Grow(rows.Rows, len(w.ids[i]))[:len(w.ids[i])]
	clear(rows.Rows)
	if !slices.ContainsFunc(w.ids[i], func(id record.ID) bool { return id != 0 }) {
		return nil
	}
	var err error
	if w.values, err = w.answers[w.at[i]].Values(w.values[:0]); err != nil {
		return err
	}
	next := 0
	for j, id := range w.ids[i] {
		if id == 0 {
			continue
		}
		if next == len(w.values) {
			return redisdb.ErrOddReply
		}
		if record := w.values[next]; record != nil {
			if _, err := rows.Rows[j].set(id, record); err != nil {
				rows.Rows[j] = Row{ID: id, Damaged: true}
			}
		}
		next++
	}
	return nil
}

// whole fills in all rows of a partition. HVALS names no ids. The ids column, read after it, knows who stands in each
// slot unless a purge gave one up in between; purges are counted, as in [Store.ReadAll].
func (w *rowWindow) whole(ctx context.Context, i int, rows *Rows) error {
	at := w.at[i]
	if !bytes.Equal(w.answers[at].Bytes, w.answers[at+3].Bytes) {
		return w.changing(ctx, i, rows)
	}
	after, err := w.answers[at+2].Value()
	if err != nil {
		return err
	}
	if w.values, err = w.answers[at+1].Values(w.values[:0]); err != nil {
		return err
	}
	rows.Rows = slices.Grow(rows.Rows, len(after)/8)[:len(after)/8]
	clear(rows.Rows)
	for _, rec := range w.values {
		h, err := record.ParseHeader(rec)
		if err != nil {
			return w.changing(ctx, i, rows)
		}
		id := idIn(after, h.Slot)
		if id == 0 {
			return w.changing(ctx, i, rows)
		}
		if _, err := rows.Rows[h.Slot].set(id, rec); err != nil {
			return w.changing(ctx, i, rows) // the slot may be what is damaged, and the id another record's
		}
	}
	return nil
}

// mostAdded is how far beyond the slots that were known a moment ago a record's slot may lie; further is damage.
const mostAdded = 1 << 16

// changing reads a partition that is being purged, or that holds damaged records: each record together with its id. The
// rows of damaged ones are where the ids column has them, or behind all slots.
func (w *rowWindow) changing(ctx context.Context, i int, rows *Rows) error {
	at := w.at[i]
	after, err := w.answers[at+2].Value()
	if err != nil {
		return err
	}
	known := len(after) / 8
	command := []any{"hgetall", w.store.partition(w.object, w.picks[i].Partition).rec()}
	if err := w.store.db.Ask(ctx, [][]any{command}, w.answers[at+1:at+2]); err != nil {
		return err
	}
	a := &w.answers[at+1]
	if kind, n, _ := redisdb.ReplyHead(a.Bytes); kind == '%' && n >= 0 {
		// Newer servers answer with pairs; what follows is the same.
		a.Bytes = append(fmt.Appendf(nil, "*%d\r\n", 2*n), a.Bytes[slices.Index(a.Bytes, '\n')+1:]...)
	}
	if w.values, err = a.Values(w.values[:0]); err != nil {
		return err
	}
	rows.Rows = slices.Grow(rows.Rows[:0], known)[:known]
	clear(rows.Rows)
	var damaged []record.ID
	for at := 0; at+1 < len(w.values); at += 2 {
		if len(w.values[at]) != 8 {
			damaged = append(damaged, 0)
			continue
		}
		var row Row
		slot, err := row.set(record.IDFromBytes(w.values[at]), w.values[at+1])
		if err != nil {
			damaged = append(damaged, record.IDFromBytes(w.values[at]))
			continue
		}
		if missing := int(slot) + 1 - len(rows.Rows); missing > 0 && int(slot) < len(w.values)+known+mostAdded {
			rows.Rows = append(rows.Rows, make([]Row, missing)...)
		}
		if int(slot) >= len(rows.Rows) || rows.Rows[slot].ID != 0 {
			damaged = append(damaged, row.ID)
			continue
		}
		rows.Rows[slot] = row
	}
	for _, id := range damaged {
		row := Row{ID: id, Damaged: true}
		if at := slotIn(after, id); at >= 0 && rows.Rows[at].ID == 0 {
			rows.Rows[at] = row
		} else {
			rows.Rows = append(rows.Rows, row)
		}
	}
	return nil
}
