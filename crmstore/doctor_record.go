package crmstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// mendHeaders puts right what a header says of a record against all other witnesses. A header has no checksum, since scripts
// rewrite it; but the ids column names the slot too, the cells in that slot are the record's, and the deletion facts
// hold the instant of the deletion.
func (x *examination) mendHeaders() {
	slots := make(map[record.ID]int, len(x.ids)/8)
	for at := 0; at+8 <= len(x.ids); at += 8 {
		slots[record.IDFromBytes(x.ids[at:])] = at / 8
	}
	for _, r := range x.records {
		h := x.headers[r.ID]
		mended := x.mendSlot(r, &h, slots)
		mended = x.mendArchived(r, &h) || mended
		if !mended {
			continue
		}
		h.Version++
		x.headers[r.ID] = h
		name := idFields([]record.ID{r.ID})[0]
		bytes := append(record.AppendHeader(nil, h), x.body.records[name][record.HeaderSize:]...)
		x.cures = append(x.cures, func(ctx context.Context, pipe redis.Pipeliner, k partitionKeys) { pipe.HSet(ctx, k.rec(), name, bytes) })
	}
}

// mendSlot takes the slot from the ids column where more cells there are the record's than in the slot of its header.
func (x *examination) mendSlot(r *record.Record, h *record.Header, slots map[record.ID]int) bool {
	slot, named := slots[r.ID]
	if !named || slot == int(h.Slot) || idIn(x.ids, h.Slot) == r.ID || x.agreeing(r, slot) < x.agreeing(r, int(h.Slot)) {
		return false
	}
	x.foundf(problemSlot, r.ID, "partition %d: its header names slot %d, but it stands in slot %d", x.partition, h.Slot, slot)
	h.Slot, r.Slot = uint32(slot), uint32(slot)
	return true
}

// mendArchived takes the instant of the deletion from the archived-at column where the facts say the same.
func (x *examination) mendArchived(r *record.Record, h *record.Header) bool {
	at := 8 * int(r.Slot)
	if at+8 > len(x.archived) || idIn(x.ids, r.Slot) != r.ID {
		return false
	}
	cell := cellAt(x.archived, int(r.Slot))
	var truth uint64
	text := x.body.records[idFields([]record.ID{r.ID})[0]]
	facts, err := record.ParseFacts(record.BytesOf(text)[record.HeaderSize : record.HeaderSize+h.FactsLen])
	if err != nil {
		return false
	}
	if h.FactsLen > 0 {
		truth = record.TimeCell(facts.At.UnixMilli())
	}
	if cell != truth || h.Archived == truth {
		return false
	}
	x.foundf(problemArchived, r.ID, "partition %d: its header says otherwise than its deletion and its column when it was deleted", x.partition)
	if h.Archived, r.Deletion = truth, nil; truth != 0 {
		facts.At = record.CellTime(truth)
		r.Deletion = &facts
	}
	return true
}

// agreeing is how many columns have the record's own cell in a slot.
func (x *examination) agreeing(r *record.Record, slot int) (n int) {
	for i, p := range x.doctor.columns {
		if cellAt(x.columns[i], slot) == cellOf(r.RawFields(), p) {
			n++
		}
	}
	return n
}

// cellOf is the cell that properties have for one of them.
func cellOf(fields string, p *record.Property) uint64 {
	for rest := record.BytesOf(fields); len(rest) > 0; {
		f, n := record.NextField(rest)
		if n == 0 || f.Number > p.Number {
			return 0
		}
		if f.Number == p.Number {
			return f.Cell(p)
		}
		rest = rest[n:]
	}
	return 0
}

// differing says, of a record whose checksum is wrong and which can be read all the same, which of its values are not those of
// its columns. Nothing is repaired with either: which of the two was damaged is for a person to find out.
func (x *examination) differing(id record.ID, text string) string {
	h, err := record.ParseHeader(record.BytesOf(text))
	if err != nil {
		return ""
	}
	fields, err := record.Unseal(id, record.BytesOf(text)[record.HeaderSize+h.FactsLen:])
	slot := slotIn(x.ids, id)
	if !errors.Is(err, record.ErrChecksum) || record.CheckFields(fields) != nil || slot < 0 {
		return ""
	}
	var names []string
	for i, p := range x.doctor.columns {
		if cellAt(x.columns[i], slot) != cellOf(string(fields), p) {
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return "; no value differs from its column, so that it is one without a column"
	}
	return fmt.Sprintf("; other than in its columns: %s", strings.Join(names, ", "))
}
