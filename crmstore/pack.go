package crmstore

import (
	"fmt"
	"reflect"
	"slices"
	"unsafe"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Packer packs upserts of one object type: what they assign is checked, and copied in the form in which records are
// stored. That takes a third of the memory, and so many can wait for being written. It is not safe for concurrent use.
type Packer struct {
	schema  *record.Schema
	changes []record.FieldChange // scratch space
	records recordBlock
}

// NewPacker makes a packer for a schema that the store has given.
func NewPacker(s *record.Schema) *Packer { return &Packer{schema: s} }

// packedSet is what a packed upsert assigns. The zero value is that of one that is not packed.
type packedSet struct {
	fields string // as the properties of a record
	schema *record.Schema
}

// Pack is the same upsert without Set. The memory of Set and of the texts in it may be used again. An error is the one
// that [Store.Write] would refuse the upsert with, or says that it clears a property, which packed upserts cannot.
func (p *Packer) Pack(u Upsert) (Upsert, error) {
	changes, err := record.CheckAssignments(p.changes, p.schema, u.Set)
	if err != nil {
		return u, err
	}
	p.changes = changes[:0]
	for _, c := range changes {
		if !c.Value.Known() {
			return u, fmt.Errorf("property %s: a packed upsert clears nothing", c.Property.Name)
		}
	}
	fields := p.records.keep(record.MergeFields(p.records.scratch[:0], nil, changes))
	return Upsert{ID: u.ID, SameEmail: u.SameEmail, SpareHeld: u.SpareHeld, packed: packedSet{textView(fields), p.schema}}, nil
}

// textView is b without a copy; b must not be written to from then on.
func textView(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// formsAlike remembers which schema was compared last with the one that a batch is written with, and whether records have the same
// form in both.
type formsAlike struct {
	schema *record.Schema
	yes    bool
}

// suits reports whether the upsert was packed with this schema, or one in which records have the same form, so that its fields
// are good as they are.
func (w *writer) suits(p *packedSet) bool {
	if p.schema == nil || p.schema == w.schema {
		return p.schema != nil
	}
	if w.alike.schema != p.schema {
		w.alike = formsAlike{p.schema, sameForm(p.schema, w.schema)}
	}
	return w.alike.yes
}

// sameForm reports whether records have the same form in both schemas, which may differ in what is pending.
func sameForm(a, b *record.Schema) bool {
	return a.Object == b.Object && (a.Version == b.Version || slices.EqualFunc(a.Properties, b.Properties, func(p, q record.Property) bool {
		p.Pending, q.Pending = nil, nil
		return reflect.DeepEqual(p, q)
	}))
}

// assignments are those of an upsert that was packed with another schema than it is written with, say because a property
// was added in between.
func (p *packedSet) assignments() (set []record.Assignment) {
	r := record.OfFields(p.schema, p.fields)
	r.Values(func(p *record.Property, v record.Value) {
		set = append(set, record.Assignment{Property: p.Number, Value: v})
	})
	return set
}

// changes appends what the packed upsert assigns to dst, sorted.
func (p *packedSet) changes(dst []record.FieldChange, s *record.Schema) []record.FieldChange {
	for at := 0; at < len(p.fields); {
		f, n := record.NextField(record.BytesOf(p.fields)[at:])
		if n == 0 {
			break // which cannot be: it was packed here
		}
		at += n
		property := s.Number(f.Number)
		dst = append(dst, record.FieldChange{Property: property, Value: f.Value(property, p.fields[at-len(f.Text):at])})
	}
	return dst
}

// find is the text that the packed upsert assigns to a property, and whether it assigns one.
func (p *packedSet) find(property *record.Property) (string, bool) {
	r := record.OfFields(nil, p.fields)
	v, _ := r.Find(property, 0)
	return v.Text(), v.Known()
}

// wants is what an upsert assigns, in one of two forms.
type wants struct {
	packed  *packedSet // nil: see changes
	changes []record.FieldChange
}

// read checks what an upsert assigns.
func (r *round) read(u *Upsert) (wants, error) {
	if r.suits(&u.packed) {
		return wants{packed: &u.packed}, nil
	}
	set := u.Set
	if u.packed.schema != nil {
		set = u.packed.assignments()
	}
	changes, err := record.CheckAssignments(r.changes, r.schema, set)
	if err != nil {
		return wants{}, err
	}
	r.changes = changes[:0]
	return wants{changes: changes}, nil
}

// all are the changes, in the form that changes have.
func (w *wants) all(r *round) []record.FieldChange {
	if w.packed == nil {
		return w.changes
	}
	changes := w.packed.changes(r.changes[:0], r.schema)
	r.changes = changes[:0]
	return changes
}

// newRecord appends the fields of a new record to b, with the dates that the store sets on it.
func (r *round) newRecord(b []byte, w *wants) []byte {
	if w.packed == nil {
		return record.MergeFields(b, nil, r.withDates(w.changes))
	}
	rest := record.BytesOf(w.packed.fields)
	if f, n := record.NextField(rest); n > 0 && f.Number == r.created.Number { // the two dates have the lowest numbers
		b, rest = append(b, rest[:n]...), rest[n:]
	} else {
		b = record.AppendField(b, r.created, r.now)
	}
	return append(record.AppendField(b, r.modified, r.now), rest...)
}

// blockSize is how many bytes of records share one allocation.
const blockSize = 64 << 10

// recordBlock keeps records that were made in its scratch space, so that they cost no allocation of their own.
type recordBlock struct{ scratch, block []byte }

// keep copies a record out of the scratch space.
func (k *recordBlock) keep(record []byte) []byte {
	k.scratch = record[:0]
	if cap(k.block)-len(k.block) < len(record) {
		k.block = make([]byte, 0, max(blockSize, len(record)))
	}
	start := len(k.block)
	k.block = append(k.block, record...)
	return k.block[start:len(k.block):len(k.block)]
}
