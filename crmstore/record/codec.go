package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// A record's bytes: a header of fixed size, the deletion facts, then the properties in protobuf wire format with
// ascending field numbers. A field number is a property number. The header is all that a delete or a restore
// rewrites; scripts know its offsets too (lua/lib/record.lua).
//
//	[0:8)   version, little-endian
//	[8:12)  slot, little-endian
//	[12:20) archived-at as a TimeCell, little-endian; 0 = live
//	[20:22) length of the deletion facts, little-endian
//	[22:…)  deletion facts, then properties, then their checksum (checksum.go)
const (
	slotAt     = 8
	archivedAt = 12
	factsLenAt = 20
	HeaderSize = 22 // bytes of a header
)

// MaxFacts is the most that the two bytes of the facts' length can say.
const MaxFacts = math.MaxUint16

// maxText is the longest text of a property, in bytes. HubSpot's limit is 65,536 characters.
const maxText = 256 << 10

// ErrDamaged says that a record's bytes are not as they were written. `workflow doctor` says more.
var ErrDamaged = errors.New("record bytes are damaged")

// BytesOf is the bytes of s without a copy; they must not be written to.
func BytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// Header is what stands before a record's facts.
type Header struct {
	Version  uint64 // counts changes of the record
	Slot     uint32 // where its column cells stand
	Archived uint64 // cell; 0 = live
	FactsLen int    // of the deletion facts, in bytes
}

// ParseHeader reads the header of a record. ErrDamaged.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, fmt.Errorf("%w: %d bytes, want at least %d", ErrDamaged, len(b), HeaderSize)
	}
	h := Header{
		Version:  binary.LittleEndian.Uint64(b),
		Slot:     binary.LittleEndian.Uint32(b[slotAt:]),
		Archived: binary.LittleEndian.Uint64(b[archivedAt:]),
		FactsLen: int(binary.LittleEndian.Uint16(b[factsLenAt:])),
	}
	if HeaderSize+h.FactsLen > len(b) {
		return Header{}, fmt.Errorf("%w: %d bytes of facts in %d bytes", ErrDamaged, h.FactsLen, len(b))
	}
	return h, nil
}

// AppendHeader appends the header; the facts and the properties follow it.
func AppendHeader(b []byte, h Header) []byte {
	b = binary.LittleEndian.AppendUint64(b, h.Version)
	b = binary.LittleEndian.AppendUint32(b, h.Slot)
	b = binary.LittleEndian.AppendUint64(b, h.Archived)
	return binary.LittleEndian.AppendUint16(b, uint16(h.FactsLen))
}

// Field is one property as it stands in a record's bytes.
type Field struct {
	Number int
	Wire   protowire.Type
	bits   uint64 // of a varint or a fixed64
	Text   []byte // of bytes
}

// NextField reads the field at the start of b and says how many bytes it takes; 0 bytes: damaged. Tags, lengths and
// varints of one or two bytes, as nearly all are, are read here; protowire reads the others.
func NextField(b []byte) (Field, int) {
	tag, size := shortVarint(b)
	if size == 0 {
		if tag, size = protowire.ConsumeVarint(b); size < 0 {
			return Field{}, 0
		}
	}
	f := Field{Number: int(tag >> 3), Wire: protowire.Type(tag & 7)}
	if tag>>3 == 0 || tag>>3 > math.MaxInt32 {
		return Field{}, 0
	}
	b = b[size:]
	switch f.Wire {
	case protowire.VarintType:
		var n int
		if f.bits, n = shortVarint(b); n == 0 {
			if f.bits, n = protowire.ConsumeVarint(b); n < 0 {
				return Field{}, 0
			}
		}
		return f, size + n
	case protowire.Fixed64Type:
		if len(b) < 8 {
			return Field{}, 0
		}
		f.bits = binary.LittleEndian.Uint64(b)
		return f, size + 8
	case protowire.BytesType:
		length, n := shortVarint(b)
		if n == 0 {
			if length, n = protowire.ConsumeVarint(b); n < 0 {
				return Field{}, 0
			}
		}
		if length > uint64(len(b)-n) {
			return Field{}, 0
		}
		end := n + int(length)
		f.Text = b[n:end:end]
		return f, size + end
	}
	return Field{}, 0
}

// shortVarint reads a varint of one or two bytes; size 0 says that it is neither.
func shortVarint(b []byte) (v uint64, size int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	if len(b) > 1 && b[1] < 0x80 {
		return uint64(b[0]&0x7f) | uint64(b[1])<<7, 2
	}
	return 0, 0
}

// CheckFields walks all fields and reports damage, so that later readers need not.
func CheckFields(b []byte) error {
	last := 0
	for at := 0; at < len(b); {
		f, n := NextField(b[at:])
		if n == 0 || f.Number <= last {
			return fmt.Errorf("%w: at byte %d of the properties", ErrDamaged, at)
		}
		last = f.Number
		at += n
	}
	return nil
}

// wireType is how values of the type stand in a record.
func wireType(t PropertyType) protowire.Type {
	switch t {
	case Number:
		return protowire.Fixed64Type
	case String:
		return protowire.BytesType
	default:
		return protowire.VarintType
	}
}

// Value is the field's value for a property of the schema; unknown when it does not fit the property.
// text must be the same bytes as f.text: what is returned shares it.
func (f *Field) Value(p *Property, text string) Value {
	if f.Wire != wireType(p.Type) {
		return Value{}
	}
	switch p.Type {
	case String:
		return StringValue(text)
	case Number:
		return NumberValue(math.Float64frombits(f.bits))
	case Date, DateTime:
		return Value{typ: p.Type, bits: uint64(protowire.DecodeZigZag(f.bits))}
	case Bool:
		return BoolValue(f.bits != 0)
	case Enumeration:
		if o := p.OptionNumber(int(f.bits)); o != nil {
			return EnumValue(o.Value)
		}
	}
	return Value{}
}

// Cell is the column cell of the field; 0 when the property has no column or the field does not fit it.
func (f *Field) Cell(p *Property) uint64 {
	if f.Wire != wireType(p.Type) || !p.Columnar() {
		return 0
	}
	switch p.Type {
	case Number:
		return NumberCell(math.Float64frombits(f.bits))
	case Date, DateTime:
		return TimeCell(protowire.DecodeZigZag(f.bits))
	case Bool:
		return BoolCell(f.bits != 0)
	case Enumeration:
		return OptionCell(int(f.bits))
	default:
		return p.textCell(unsafe.String(unsafe.SliceData(f.Text), len(f.Text)))
	}
}

// AppendField appends a known value of a property; the value has been checked to fit.
func AppendField(b []byte, p *Property, v Value) []byte {
	b = protowire.AppendTag(b, protowire.Number(p.Number), wireType(p.Type))
	switch p.Type {
	case String:
		return protowire.AppendString(b, v.text)
	case Number:
		return protowire.AppendFixed64(b, v.bits)
	case Date, DateTime:
		return protowire.AppendVarint(b, protowire.EncodeZigZag(int64(v.bits)))
	case Enumeration:
		return protowire.AppendVarint(b, uint64(p.Option(v.text).Number))
	default:
		return protowire.AppendVarint(b, v.bits)
	}
}

// FieldChange is one checked assignment; an unknown value clears the property.
type FieldChange struct {
	Property *Property
	Value    Value
}

// CheckAssignments turns assignments into changes that are sorted by property number, one for each property: the last
// assignment of a property wins, and one of a property that counts associations is left out. The error says which property cannot take its value, and why, without the value.
// dst is scratch space.
func CheckAssignments(dst []FieldChange, s *Schema, set []Assignment) ([]FieldChange, error) {
	dst = dst[:0]
	for _, a := range set {
		p := s.Number(a.Property)
		if p == nil || p.Removed {
			return nil, fmt.Errorf("%s has no property number %d", s.Object, a.Property)
		}
		if p.Counts != "" {
			continue
		}
		if p.ReadOnly {
			return nil, fmt.Errorf("property %s is set by the store alone", p.Name)
		}
		v := a.Value
		if s.Object == Contact && p.Number == PropertyEmail && v.typ == String {
			text, err := NormalAddress(v.text)
			if err != nil {
				return nil, fmt.Errorf("property %s: %q is %w", p.Name, v.text, err)
			}
			v = StringValue(text)
		}
		dst = append(dst, FieldChange{p, v})
	}
	return SortFieldChanges(dst)
}

// SortFieldChanges puts changes in the order of a record's fields and checks their values.
func SortFieldChanges(dst []FieldChange) ([]FieldChange, error) {
	byNumber := func(a, b FieldChange) int { return a.Property.Number - b.Property.Number }
	if !slices.IsSortedFunc(dst, byNumber) {
		slices.SortStableFunc(dst, byNumber)
	}
	kept := dst[:0]
	for i, c := range dst {
		if i+1 < len(dst) && dst[i+1].Property == c.Property {
			continue
		}
		if err := CheckValue(c.Property, c.Value); err != nil {
			return nil, fmt.Errorf("property %s: %w", c.Property.Name, err)
		}
		kept = append(kept, c)
	}
	return kept, nil
}

// CheckValue says why a property cannot take a value; nil when it can.
func CheckValue(p *Property, v Value) error {
	if !v.Known() {
		return nil
	}
	if v.typ != p.Type {
		return fmt.Errorf("wants a %s, got a %s", p.Type, v.typ)
	}
	switch p.Type {
	case String:
		if len(v.text) > maxText {
			return fmt.Errorf("text of %d bytes, want at most %d", len(v.text), maxText)
		}
	case Number:
		if math.IsInf(v.Float(), 0) {
			return errors.New("the number is not finite")
		}
	case Date, DateTime:
		if y := v.Time().Year(); y < MinYear || y > MaxYear {
			return fmt.Errorf("the date lies outside the years %d to %d", MinYear, MaxYear)
		}
	case Enumeration:
		if o := p.Option(v.text); o == nil || o.Removed {
			return errors.New("the value is not one of its options")
		}
	}
	return nil
}

// MergeFields appends the fields of old with the changes applied. Fields that no change names are copied as they
// are, those of properties that the schema does not know too. old must have passed checkFields.
func MergeFields(b, old []byte, changes []FieldChange) []byte {
	for len(old) > 0 {
		f, n := NextField(old)
		for len(changes) > 0 && changes[0].Property.Number < f.Number {
			b = appendChange(b, changes[0])
			changes = changes[1:]
		}
		if len(changes) > 0 && changes[0].Property.Number == f.Number {
			b = appendChange(b, changes[0])
			changes = changes[1:]
		} else {
			b = append(b, old[:n]...)
		}
		old = old[n:]
	}
	for _, c := range changes {
		b = appendChange(b, c)
	}
	return b
}

func appendChange(b []byte, c FieldChange) []byte {
	if !c.Value.Known() {
		return b
	}
	return AppendField(b, c.Property, c.Value)
}

// Assignment sets one property; an unknown Value clears it.
type Assignment struct {
	Property int // number
	Value    Value
}
