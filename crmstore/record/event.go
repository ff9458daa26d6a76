package record

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Facts are an instant and a [Cause] as bytes, in protobuf wire format. The same bytes stand in an archived
// record (its deletion facts) and in an audit event, which also says from which machine it was done.
const (
	factAt       = 1 // zigzag varint, ms since 1970 UTC
	factActor    = 2
	factWorkflow = 3
	factRevision = 4 // varint
	factRun      = 5
	FactReason   = 6 // the field that holds the reason
	factFrom     = 7 // an event's and a hold's; a record in the bin does without
)

// AppendFacts appends the facts of at and c to b; empty fields are left out.
func AppendFacts(b []byte, at time.Time, c Cause) []byte {
	b = protowire.AppendTag(b, factAt, protowire.VarintType)
	b = protowire.AppendVarint(b, protowire.EncodeZigZag(at.UnixMilli()))
	text := func(n protowire.Number, s string) {
		if s != "" {
			b = protowire.AppendTag(b, n, protowire.BytesType)
			b = protowire.AppendString(b, s)
		}
	}
	text(factActor, c.Actor)
	text(factWorkflow, c.Workflow)
	if c.Revision > 0 {
		b = protowire.AppendTag(b, factRevision, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(c.Revision))
	}
	text(factRun, c.Run)
	text(FactReason, c.Reason)
	text(factFrom, c.From)
	return b
}

// FromFact is what [AppendFacts] appends for c.From alone: behind facts without it, it completes them.
func FromFact(from string) []byte {
	if from == "" {
		return nil
	}
	return protowire.AppendString(protowire.AppendTag(nil, factFrom, protowire.BytesType), from)
}

// ErrFacts says that the facts of a change are not as they were written.
var ErrFacts = errors.New("facts of a change are damaged")

// ParseFacts reads what [AppendFacts] wrote; fields it does not know are skipped.
func ParseFacts(b []byte) (Deletion, error) {
	var d Deletion
	for len(b) > 0 {
		n, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return Deletion{}, ErrFacts
		}
		b = b[size:]
		switch typ {
		case protowire.VarintType:
			v, size := protowire.ConsumeVarint(b)
			if size < 0 {
				return Deletion{}, ErrFacts
			}
			b = b[size:]
			switch n {
			case factAt:
				d.At = time.UnixMilli(protowire.DecodeZigZag(v)).UTC()
			case factRevision:
				d.Revision = int(v)
			}
		case protowire.BytesType:
			v, size := protowire.ConsumeString(b)
			if size < 0 {
				return Deletion{}, ErrFacts
			}
			b = b[size:]
			d.setText(n, v)
		default:
			size := protowire.ConsumeFieldValue(n, typ, b)
			if size < 0 {
				return Deletion{}, ErrFacts
			}
			b = b[size:]
		}
	}
	return d, nil
}

func (d *Deletion) setText(n protowire.Number, v string) {
	switch n {
	case factActor:
		d.Actor = v
	case factWorkflow:
		d.Workflow = v
	case factRun:
		d.Run = v
	case FactReason:
		d.Reason = v
	case factFrom:
		d.From = v
	}
}

// ParseEvent reads an audit event from the fields of its stream entry (see lua/lib/log.lua). o is the object
// type of the partition it stands in, "" for the account's own log.
func ParseEvent(o ObjectType, fields map[string]any) (Event, error) {
	text := func(name string) string {
		s, _ := fields[name].(string)
		return s
	}
	facts, err := ParseFacts([]byte(text("f")))
	if err != nil {
		return Event{}, fmt.Errorf("read audit event: %w", err)
	}
	e := Event{At: facts.At, Op: text("o"), Object: o, Detail: text("d"), Cause: facts.Cause}
	ids := []byte(text("i"))
	if len(ids)%8 != 0 {
		return Event{}, fmt.Errorf("read audit event %q: %d bytes of ids, want a multiple of 8", e.Op, len(ids))
	}
	for ; len(ids) > 0; ids = ids[8:] {
		e.IDs = append(e.IDs, IDFromBytes(ids))
	}
	err = e.readPairs()
	return e, err
}

// readPairs takes the detail of an event about associations apart: see log_pairs in lua/lib/associations.lua.
func (e *Event) readPairs() error {
	if e.Op != "associate" && e.Op != "dissociate" {
		return nil
	}
	name, others, _ := strings.Cut(e.Detail, "\x00")
	if len(others) != 8*len(e.IDs) {
		return fmt.Errorf("read audit event %q: %d bytes of other ids for %d ids", e.Op, len(others), len(e.IDs))
	}
	e.Detail, e.With = "", ObjectType(name)
	for ; len(others) > 0; others = others[8:] {
		e.Others = append(e.Others, IDFromBytes(BytesOf(others)))
	}
	return nil
}

// Narrow keeps, of an event about associations, the pairs of one record.
func (e *Event) Narrow(record ID) {
	if record == 0 || len(e.Others) == 0 {
		return
	}
	ids, others := e.IDs, e.Others
	e.IDs, e.Others = nil, nil
	for i, id := range ids {
		if id == record {
			e.IDs = append(e.IDs, id)
			e.Others = append(e.Others, others[i])
		}
	}
}

// Event is one audit event. IDs holds one record for an update, a deletion or a restore (deletions and restores of one
// script share one entry in the log), many for an import.
type Event struct {
	At      time.Time  `json:"at"`
	Op      string     `json:"op"` // delete, restore, create, update, list-add, list-remove, publish, switch-on, switch-off, set-tier, set-setting, …
	Object  ObjectType `json:"object,omitempty"`
	IDs     []ID       `json:"ids,omitempty"`
	Detail  string     `json:"detail,omitempty"`
	With    ObjectType `json:"with,omitempty"`     // of associate and dissociate: the other records' type
	Others  []ID       `json:"with_ids,omitempty"` // and those records, in the order of IDs
	Changes []Change   `json:"changes,omitempty"`  // of an update: each property that has another value now
	Cause
}
