package crmstore

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
	fields string // the properties' bytes; checked, so that reading them cannot go wrong
}

// NewRecord makes a record that stands in no store, for judging values that are not stored (yet). Read-only
// properties may be set; otherwise the error is the one that [Store.Write] would refuse the assignments with.
func NewRecord(s *Schema, id ID, set []Assignment) (*Record, error) {
	var changes []change
	for _, a := range set {
		p := s.Number(a.Property)
		if p == nil {
			return nil, fmt.Errorf("%s has no property number %d", s.Object, a.Property)
		}
		changes = append(changes, change{p, a.Value})
	}
	changes, err := sortChanges(changes)
	if err != nil {
		return nil, err
	}
	return &Record{Object: s.Object, ID: id, schema: s, fields: string(mergeFields(nil, nil, changes))}, nil
}

// parseRecord reads a record's bytes. Damaged bytes are an error that names the record.
func parseRecord(s *Schema, id ID, bytes string) (*Record, error) {
	r := &Record{Object: s.Object, ID: id, schema: s}
	if err := r.parse(bytes); err != nil {
		return nil, fmt.Errorf("read %s %s: %w", s.Object, id, err)
	}
	return r, nil
}

// ofFields is a record that stands in no store yet and has no id: its properties, as they stand in a record's bytes. They must have
// passed checkFields. Without a schema only find works.
func ofFields(s *Schema, fields string) Record { return Record{schema: s, fields: fields} }

// rawFields is the properties as they stand in the record's bytes, without their checksum.
func (r *Record) rawFields() string { return r.fields }

func (r *Record) parse(bytes string) error {
	h, facts, fields, bad := cut(r.ID, view(bytes))
	if fields == nil {
		return bad
	}
	r.Slot, r.Version = h.slot, h.version
	if h.archived != 0 {
		d, err := parseFacts(facts)
		if err != nil {
			return err
		}
		d.At = CellTime(h.archived)
		r.Deletion = &d
	}
	from := headerSize + h.factsLen
	r.fields = bytes[from : from+len(fields)]
	return cmp.Or(checkFields(fields), bad)
}

// cut cuts a record's bytes into its header, the facts of its deletion, and its properties without their checksum. No properties
// (nil) come with bytes that are too short; properties and an error, when only the checksum is another one.
func cut(id ID, b []byte) (h header, facts, fields []byte, err error) {
	if h, err = parseHeader(b); err != nil {
		return h, nil, nil, err
	}
	from := headerSize + h.factsLen
	fields, err = unseal(id, b[from:])
	return h, b[headerSize:from], fields, err
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
	v, _ := r.find(p, 0)
	return v
}

// find looks for a property from byte at on, and says where the search ended.
func (r *Record) find(p *Property, at int) (Value, int) {
	b := view(r.fields)
	for at < len(b) {
		f, n := nextField(b[at:])
		if n == 0 || f.number > p.Number {
			break
		}
		at += n
		if f.number == p.Number {
			return f.value(p, r.fields[at-len(f.text):at]), at
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
		if v, at = r.find(p, at); v.Known() {
			fn(p, v)
		}
	}
}

// Schema is the schema that the record was read with.
func (r *Record) Schema() *Schema { return r.schema }
