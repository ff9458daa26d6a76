package record

import (
	"cmp"
	"fmt"
)

// Record is one record as it was read. Its properties are decoded when they are asked for.
type Record struct {
	Object   ObjectType
	ID       ID
	Slot     uint32
	Version  uint64    // counts changes of the record, for compare-and-set
	Deletion *Deletion // nil when live

	schema *Schema
	fields string        // the properties' bytes; checked, so that reading them cannot go wrong
	counts map[int]Value // of properties that count associations, where they were read
}

// NewRecord makes a record that stands in no store, for judging values that are not stored (yet). Read-only
// properties may be set; otherwise the error is the one that [crmstore.Store.Write] would refuse the assignments with.
func NewRecord(s *Schema, id ID, set []Assignment) (*Record, error) {
	var changes []FieldChange
	for _, a := range set {
		p := s.Number(a.Property)
		if p == nil {
			return nil, fmt.Errorf("%s has no property number %d", s.Object, a.Property)
		}
		changes = append(changes, FieldChange{p, a.Value})
	}
	changes, err := SortFieldChanges(changes)
	if err != nil {
		return nil, err
	}
	return &Record{Object: s.Object, ID: id, schema: s, fields: string(MergeFields(nil, nil, changes))}, nil
}

// ParseRecord reads a record's bytes. Damaged bytes are an error that names the record.
func ParseRecord(s *Schema, id ID, bytes string) (*Record, error) {
	r := &Record{Object: s.Object, ID: id, schema: s}
	if err := r.parse(bytes); err != nil {
		return nil, fmt.Errorf("read %s %s: %w", s.Object, id, err)
	}
	return r, nil
}

// OfFields is a record that stands in no store yet and has no id: its properties, as they stand in a record's bytes. They must have
// passed checkFields. Without a schema only find works.
func OfFields(s *Schema, fields string) Record { return Record{schema: s, fields: fields} }

// RawFields is the properties as they stand in the record's bytes, without their checksum.
func (r *Record) RawFields() string { return r.fields }

func (r *Record) parse(bytes string) error {
	h, facts, fields, bad := Cut(r.ID, BytesOf(bytes))
	if fields == nil {
		return bad
	}
	r.Slot, r.Version = h.Slot, h.Version
	if h.Archived != 0 {
		d, err := ParseFacts(facts)
		if err != nil {
			return err
		}
		d.At = CellTime(h.Archived)
		r.Deletion = &d
	}
	from := HeaderSize + h.FactsLen
	r.fields = bytes[from : from+len(fields)]
	return cmp.Or(CheckFields(fields), bad)
}

// Cut cuts a record's bytes into its header, the facts of its deletion, and its properties without their checksum. No properties
// (nil) come with bytes that are too short; properties and an error, when only the checksum is another one.
func Cut(id ID, b []byte) (h Header, facts, fields []byte, err error) {
	if h, err = ParseHeader(b); err != nil {
		return h, nil, nil, err
	}
	from := HeaderSize + h.FactsLen
	fields, err = Unseal(id, b[from:])
	return h, b[HeaderSize:from], fields, err
}

// Value is a property's value by number; unknown when the record has none or the schema no such property.
func (r *Record) Value(number int) Value {
	if r.schema == nil {
		return Value{}
	}
	p := r.schema.Number(number)
	if p == nil || p.Removed {
		return Value{}
	}
	if p.Counts != "" {
		return r.counts[number]
	}
	v, _ := r.Find(p, 0)
	return v
}

// Find looks for a property from byte at on, and says where the search ended.
func (r *Record) Find(p *Property, at int) (Value, int) {
	b := BytesOf(r.fields)
	for at < len(b) {
		f, n := NextField(b[at:])
		if n == 0 || f.Number > p.Number {
			break
		}
		at += n
		if f.Number == p.Number {
			return f.Value(p, r.fields[at-len(f.Text):at]), at
		}
	}
	return Value{}, at
}

// Values calls fn for every known property of the schema in schema order.
func (r *Record) Values(fn func(p *Property, v Value)) {
	if r.schema == nil {
		return
	}
	at, last := 0, 0
	for i := range r.schema.Properties {
		p := &r.schema.Properties[i]
		if p.Number < last {
			at = 0 // the schema is not in the order of numbers here; start over
		}
		last = p.Number
		if p.Removed {
			continue
		}
		var v Value
		if v, at = r.Find(p, at); p.Counts != "" {
			v = r.counts[p.Number] // what was written before does not count any more
		}
		if v.Known() {
			fn(p, v)
		}
	}
}

// SetCount gives a property that counts associations its value. Without it such a property is unknown, whatever was written.
func (r *Record) SetCount(number, n int) {
	if r.counts == nil {
		r.counts = map[int]Value{}
	}
	r.counts[number] = NumberValue(float64(n))
}

// Schema is the schema that the record was read with.
func (r *Record) Schema() *Schema { return r.schema }
