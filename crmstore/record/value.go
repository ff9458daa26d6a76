package record

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
)

// PropertyType says what values a property holds. The words are HubSpot's.
type PropertyType string

// The property types.
const (
	String      PropertyType = "string"
	Number      PropertyType = "number"
	Date        PropertyType = "date"     // a day
	DateTime    PropertyType = "datetime" // an instant, to the millisecond
	Bool        PropertyType = "bool"
	Enumeration PropertyType = "enumeration" // one of the property's options
)

// Value is one property's value. The zero Value is unknown. Values are comparable with ==.
type Value struct {
	typ  PropertyType // "" = unknown
	text string       // String, Enumeration (the option's internal value)
	bits uint64       // Number: float64 bits; Date, DateTime: ms since 1970 UTC as int64; Bool: 0 or 1
}

// The years a date may lie in, so that every date has a cell and a four-digit year.
const (
	MinYear = 1
	MaxYear = 9999
)

// Clone is the same value with memory of its own: one that was read in a row shares the row's.
func (v Value) Clone() Value {
	v.text = strings.Clone(v.text)
	return v
}

// StringValue is a known text; the empty text is unknown, as in HubSpot, where clearing a field empties it.
func StringValue(s string) Value {
	if s == "" {
		return Value{}
	}
	return Value{typ: String, text: s}
}

// EnumValue is a known option, by its internal value; the empty one is unknown.
func EnumValue(option string) Value {
	if option == "" {
		return Value{}
	}
	return Value{typ: Enumeration, text: option}
}

// NumberValue is a known number; NaN is unknown and -0 is 0.
func NumberValue(f float64) Value {
	if math.IsNaN(f) {
		return Value{}
	}
	if f == 0 {
		f = 0 // -0 and 0 are one number and one cell
	}
	return Value{typ: Number, bits: math.Float64bits(f)}
}

// BoolValue is a known yes or no.
func BoolValue(b bool) Value {
	v := Value{typ: Bool}
	if b {
		v.bits = 1
	}
	return v
}

// DateValue is a known day: the calendar date that t shows in its own location.
func DateValue(t time.Time) Value {
	y, m, d := t.Date()
	return Value{typ: Date, bits: uint64(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).UnixMilli())}
}

// DateTimeValue is a known instant, cut to the millisecond.
func DateTimeValue(t time.Time) Value { return Value{typ: DateTime, bits: uint64(t.UnixMilli())} }

// Known reports whether there is a value at all.
func (v Value) Known() bool { return v.typ != "" }

// Type is the value's type, "" when unknown.
func (v Value) Type() PropertyType { return v.typ }

// Text is the text of a String or the internal value of an Enumeration's option, "" otherwise.
func (v Value) Text() string { return v.text }

// Float is the number of a Number, 0 otherwise.
func (v Value) Float() float64 {
	if v.typ != Number {
		return 0
	}
	return math.Float64frombits(v.bits)
}

// IsTrue is the answer of a Bool, false otherwise.
func (v Value) IsTrue() bool { return v.typ == Bool && v.bits == 1 }

// Milli is the milliseconds since 1970 UTC of a DateTime, or of the UTC midnight of a Date.
func (v Value) Milli() int64 {
	if v.typ != Date && v.typ != DateTime {
		return 0
	}
	return int64(v.bits)
}

// Time is the instant of a DateTime, or the UTC midnight of a Date; the zero time otherwise.
func (v Value) Time() time.Time {
	if v.typ != Date && v.typ != DateTime {
		return time.Time{}
	}
	return time.UnixMilli(int64(v.bits)).UTC()
}

// String is the value as a person or a CSV reads it; "" when unknown. It reads back as the same value.
func (v Value) String() string {
	switch v.typ {
	case Number:
		return strconv.FormatFloat(v.Float(), 'f', -1, 64)
	case Bool:
		return strconv.FormatBool(v.bits == 1)
	case Date:
		return v.Time().Format(time.DateOnly)
	case DateTime:
		return v.Time().Format("2006-01-02T15:04:05.999Z07:00")
	default:
		return v.text
	}
}

// The cell of a value is eight bytes that sort as the value does; 0 = unknown. Range questions
// about numbers, dates, booleans and options are answered on cells alone.

// FreeCell stands in the archived-at column where a slot is free, so that a free slot is not live.
const FreeCell uint64 = math.MaxUint64

// NumberCell is the cell of a number: unsigned order is numeric order. No number has cell 0.
func NumberCell(f float64) uint64 {
	if f == 0 {
		f = 0
	}
	b := math.Float64bits(f)
	if b>>63 == 1 {
		return ^b
	}
	return b | 1<<63
}

// TimeCell is the cell of an instant given in milliseconds since 1970 UTC: unsigned order is time order.
func TimeCell(ms int64) uint64 { return uint64(ms) ^ 1<<63 }

// CellNumber reads a [NumberCell] back.
func CellNumber(cell uint64) float64 {
	if cell>>63 == 1 {
		return math.Float64frombits(cell &^ (1 << 63))
	}
	return math.Float64frombits(^cell)
}

// CellMilli reads a [TimeCell] back, in milliseconds since 1970 UTC.
func CellMilli(cell uint64) int64 { return int64(cell ^ 1<<63) }

// CellTime reads a [TimeCell] back.
func CellTime(cell uint64) time.Time { return time.UnixMilli(CellMilli(cell)).UTC() }

// BoolCell is 1 for no and 2 for yes.
func BoolCell(b bool) uint64 {
	if b {
		return 2
	}
	return 1
}

// OptionCell is the cell of an enumeration's option: the option's number. Numbers start at 1.
func OptionCell(number int) uint64 { return uint64(number) }

// HashCell is the cell of a text: a 64-bit hash, never 0. Two texts may share a cell, so a match
// on hash cells must be confirmed on the record.
func HashCell(s string) uint64 {
	if h := xxhash.Sum64String(s); h != 0 {
		return h
	}
	return 1
}
