package record

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Change is what an event did to one property; an empty text stands for unknown. Texts that are longer than 4,096
// bytes are kept by their beginning and their length.
type Change struct {
	Property string `json:"property"`
	Before   string `json:"before"`
	After    string `json:"after"`
}

// maxChangeText is how much of a text the audit log keeps, in bytes.
const maxChangeText = 4096

// The changes of an event are two runs of fields as a record has them (see codec.go), those before and those after,
// with the length of the first in front. Only properties whose value changed are there.

// ChangesOf is what is different in the wanted fields; the property named skip does not count.
func ChangesOf(stored, wanted []byte, skip int) []byte {
	var room [256]byte
	before, after := room[:0:128], room[128:128]
	for len(stored) > 0 || len(wanted) > 0 {
		was, n := NextField(stored)
		is, m := NextField(wanted)
		if n == 0 && m == 0 {
			break // damaged, which their readers say
		}
		if n == 0 {
			was.Number = math.MaxInt
		}
		if m == 0 {
			is.Number = math.MaxInt
		}
		number := min(was.Number, is.Number)
		if was.Number != number {
			n = 0
		}
		if is.Number != number {
			m = 0
		}
		if number != skip && !bytes.Equal(stored[:n], wanted[:m]) {
			before = appendChanged(before, stored[:n], was)
			after = appendChanged(after, wanted[:m], is)
		}
		stored, wanted = stored[n:], wanted[m:]
	}
	b := protowire.AppendVarint(make([]byte, 0, 4+len(before)+len(after)), uint64(len(before)))
	return append(append(b, before...), after...)
}

// appendChanged appends a field, given as it stands and as it was read, and cuts a long text.
func appendChanged(b, as []byte, f Field) []byte {
	if len(as) == 0 || f.Wire != protowire.BytesType || len(f.Text) <= maxChangeText {
		return append(b, as...)
	}
	text := strings.ToValidUTF8(string(f.Text[:maxChangeText]), "")
	b = protowire.AppendTag(b, protowire.Number(f.Number), f.Wire)
	return protowire.AppendString(b, fmt.Sprintf("%s… (%d bytes)", text, len(f.Text)))
}

// ErrChanges says that the changes of an event are not as they were written.
var ErrChanges = errors.New("the changes of an event are damaged")

// ParseChanges reads what [ChangesOf] wrote, in the order of property numbers. A property that is not in the
// schema any more is called by its number.
func ParseChanges(s *Schema, text string) ([]Change, error) {
	b := BytesOf(text)
	length, size := protowire.ConsumeVarint(b)
	if size < 0 || length > uint64(len(b)-size) {
		return nil, ErrChanges
	}
	before, after := b[size:size+int(length)], b[size+int(length):]
	if CheckFields(before) != nil || CheckFields(after) != nil {
		return nil, ErrChanges
	}
	var changes []Change
	for len(before) > 0 || len(after) > 0 {
		was, n := NextField(before)
		is, m := NextField(after)
		number := was.Number
		if n == 0 || m > 0 && is.Number < number {
			number = is.Number
		}
		c := Change{Property: fmt.Sprintf("property %d", number)}
		p := s.Number(number)
		if p != nil {
			c.Property = p.Name
		}
		if n > 0 && was.Number == number {
			c.Before, before = was.words(p), before[n:]
		}
		if m > 0 && is.Number == number {
			c.After, after = is.words(p), after[m:]
		}
		changes = append(changes, c)
	}
	return changes, nil
}

// words is the field's value as a person reads it; p is nil when the schema does not know the property.
func (f *Field) words(p *Property) string {
	text := string(f.Text)
	if p == nil {
		if f.Wire == protowire.BytesType {
			return text
		}
		return fmt.Sprint(f.bits)
	}
	v := f.Value(p, text)
	return v.String()
}
