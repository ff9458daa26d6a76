package record

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"
)

// codecSchema has one property of each type, in another order than that of their numbers.
func codecSchema() *Schema {
	return NewSchema("thing", 1, []Property{
		{Number: 21, Name: "flag", Type: Bool},
		{Number: 16, Name: "text", Type: String},
		{Number: 17, Name: "exact", Type: String, Exact: true},
		{Number: 18, Name: "number", Type: Number},
		{Number: 19, Name: "day", Type: Date},
		{Number: 20, Name: "instant", Type: DateTime},
		{Number: 22, Name: "choice", Type: Enumeration, Options: []Option{
			{Number: 1, Value: "a"}, {Number: 3, Value: "c"}, {Number: 4, Value: "old", Removed: true},
		}},
		{Number: 23, Name: "gone", Type: String, Removed: true},
		{Number: 24, Name: "stamp", Type: DateTime, ReadOnly: true},
	})
}

func anyValue(t *rapid.T, p *Property) Value {
	if rapid.IntRange(0, 3).Draw(t, "unknown") == 0 {
		return Value{}
	}
	ms := rapid.Int64Range(time.Date(MinYear, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), time.Date(MaxYear, 12, 31, 0, 0, 0, 0, time.UTC).UnixMilli())
	switch p.Type {
	case String:
		return StringValue(rapid.String().Draw(t, "text"))
	case Number:
		return NumberValue(rapid.Float64().Draw(t, "number"))
	case Date:
		return DateValue(time.UnixMilli(ms.Draw(t, "day")).UTC())
	case DateTime:
		return DateTimeValue(time.UnixMilli(ms.Draw(t, "instant")))
	case Bool:
		return BoolValue(rapid.Bool().Draw(t, "flag"))
	default:
		return EnumValue(rapid.SampledFrom([]string{"a", "c"}).Draw(t, "choice"))
	}
}

// Any sequence of assignments leaves the last value of each property, in fields of ascending numbers, with cells
// that agree with the values; a field of an unknown property stays.
func TestFieldsModel(t *testing.T) {
	t.Parallel()
	s := codecSchema()
	stranger := protowire.AppendVarint(protowire.AppendTag(nil, 999, protowire.VarintType), 42)
	rapid.Check(t, func(t *rapid.T) {
		model := map[int]Value{}
		fields := append([]byte(nil), stranger...)
		for range rapid.IntRange(1, 4).Draw(t, "writes") {
			var set []Assignment
			for range rapid.IntRange(0, 6).Draw(t, "assignments") {
				p := s.Number(rapid.IntRange(16, 22).Draw(t, "property"))
				v := anyValue(t, p)
				set = append(set, Assignment{p.Number, v})
				model[p.Number] = v
			}
			changes, err := CheckAssignments(nil, s, set)
			if err != nil {
				t.Fatal(err)
			}
			fields = MergeFields(nil, fields, changes)
		}
		h := Header{Version: 7, Slot: 5}
		r, err := ParseRecord(s, 1, string(append(AppendHeader(nil, h), fields...)))
		if err != nil {
			t.Fatal(err)
		}
		for n, want := range model {
			if got := r.Value(n); got != want {
				t.Fatalf("property %d is %v, want %v", n, got, want)
			}
		}
		seen := map[int]Value{}
		r.Values(func(p *Property, v Value) { seen[p.Number] = v })
		for n, want := range model {
			if want.Known() && seen[n] != want || !want.Known() && seen[n].Known() {
				t.Fatalf("Values gives %v for property %d, want %v", seen[n], n, want)
			}
		}
		cells := map[int]uint64{}
		for rest := fields; len(rest) > 0; {
			f, n := NextField(rest)
			rest = rest[n:]
			if p := s.Number(f.Number); p != nil {
				cells[f.Number] = f.Cell(p)
			}
		}
		for n, v := range model {
			if want := s.Number(n).Cell(v); cells[n] != want {
				t.Fatalf("property %d has cell %x, want %x", n, cells[n], want)
			}
		}
		if !bytes.HasSuffix(fields, stranger) {
			t.Fatalf("the field of an unknown property is gone from %x", fields)
		}
	})
}

func TestCheckSetRefuses(t *testing.T) {
	t.Parallel()
	s := codecSchema()
	for name, a := range map[string]Assignment{
		"no such property":     {99, StringValue("x")},
		"removed property":     {23, StringValue("x")},
		"read-only property":   {24, DateTimeValue(time.Unix(0, 0))},
		"text for a number":    {18, StringValue("12 secret")},
		"day for an instant":   {20, DateValue(time.Unix(0, 0))},
		"no such option":       {22, EnumValue("secret")},
		"removed option":       {22, EnumValue("old")},
		"infinite number":      {18, NumberValue(math.Inf(1))},
		"text that is too big": {16, StringValue(strings.Repeat("secret", maxText/6+1))},
		"year 10000":           {20, DateTimeValue(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))},
	} {
		_, err := CheckAssignments(nil, s, []Assignment{{16, StringValue("fine")}, a})
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error holds the value: %v", name, err)
		}
	}
}

func TestParseRecord(t *testing.T) {
	t.Parallel()
	s := codecSchema()
	facts := AppendFacts(nil, time.UnixMilli(5000), Cause{Actor: "anna", Workflow: "w", Revision: 3, Run: "w@1", Reason: "trigger 1"})
	changes, err := CheckAssignments(nil, s, []Assignment{{16, StringValue("hello")}, {22, EnumValue("c")}})
	if err != nil {
		t.Fatal(err)
	}
	b := AppendHeader(nil, Header{Version: 1 << 40, Slot: 70000, Archived: TimeCell(5000), FactsLen: len(facts)})
	b = MergeFields(append(b, facts...), nil, changes)
	r, err := ParseRecord(s, 12, string(b))
	if err != nil {
		t.Fatal(err)
	}
	want := &Deletion{At: time.UnixMilli(5000).UTC(), Cause: Cause{Actor: "anna", Workflow: "w", Revision: 3, Run: "w@1", Reason: "trigger 1"}}
	if diff := cmp.Diff(want, r.Deletion); diff != "" {
		t.Errorf("deletion (-want +got):\n%s", diff)
	}
	if r.ID != 12 || r.Slot != 70000 || r.Version != 1<<40 || r.Value(16) != StringValue("hello") || r.Value(22) != EnumValue("c") {
		t.Errorf("record is %+v", r)
	}
	for cut := range b {
		if cut == len(b)-3 || cut == len(b)-3-8 {
			continue // between two fields: fewer properties, but no damage
		}
		if _, err := ParseRecord(s, 12, string(b[:cut])); err == nil {
			t.Errorf("no error for %d of %d bytes", cut, len(b))
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	s := codecSchema()
	changes, _ := CheckAssignments(nil, s, []Assignment{{16, StringValue("hello")}, {18, NumberValue(2)}, {20, DateTimeValue(time.Unix(9, 0))}, {21, BoolValue(true)}})
	f.Add(string(MergeFields(AppendHeader(nil, Header{Version: 1}), nil, changes)))
	f.Add(string(AppendFacts(AppendHeader(nil, Header{Archived: 1, FactsLen: 3}), time.Unix(1, 0), Cause{})))
	numbers := []int{16, 17, 18, 19, 20, 21, 22, 23, 24, 30}
	columns := NewProjection(s, numbers)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRecord(s, 1, text)
		_, _, fields, bad := Cut(1, []byte(text))
		if bad != nil {
			if err == nil {
				t.Errorf("a row is damaged, the record is not: %v", bad)
			}
			return
		}
		values := make([]Value, 31)
		if bad := columns.Decode(fields, values); (bad == nil) != (CheckFields(fields) == nil) {
			t.Errorf("decode says %v, checkFields %v", bad, CheckFields(fields))
		}
		if err != nil {
			return
		}
		for _, n := range numbers {
			if values[n] != r.Value(n) {
				t.Errorf("property %d: decode gives %v, Value %v", n, values[n], r.Value(n))
			}
		}
		r.Values(func(p *Property, v Value) {
			if r.Value(p.Number) != v {
				t.Errorf("property %d: Value gives %v, Values %v", p.Number, r.Value(p.Number), v)
			}
		})
		if again := MergeFields(nil, []byte(r.fields), nil); string(again) != r.fields {
			t.Errorf("merging nothing changes %x to %x", r.fields, again)
		}
	})
}

func BenchmarkParseRecord(b *testing.B) {
	s := NewSchema(Contact, 1, DefaultProperties(Contact))
	var set []Assignment
	for i := range s.Properties {
		if p := &s.Properties[i]; !p.ReadOnly && len(set) < 14 {
			set = append(set, Assignment{p.Number, sampleValue(p)})
			if p.Name == "email" {
				set[len(set)-1].Value = StringValue("ann@example.org")
			}
		}
	}
	changes, err := CheckAssignments(nil, s, set)
	if err != nil {
		b.Fatal(err)
	}
	record := append(MergeFields(AppendHeader(nil, Header{Version: 1}), nil, changes), NoChecksum[:]...)
	WriteChecksum(record, 1)
	text, old := string(record), string(record[:len(record)-SumSize])
	b.Run("parse-without-checksum", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ParseRecord(s, 1, old); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ParseRecord(s, 1, text); err != nil {
				b.Fatal(err)
			}
		}
	})
	r, _ := ParseRecord(s, 1, text)
	b.Run("three-values-in-one-walk", func(b *testing.B) {
		b.ReportAllocs()
		numbers := []int{set[0].Property, set[6].Property, set[13].Property}
		columns, values := NewProjection(s, numbers), make([]Value, 1000)
		for b.Loop() {
			_, _, fields, err := Cut(1, BytesOf(text))
			if err != nil {
				b.Fatal(err)
			}
			if err := columns.Decode(fields, values); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("value", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = r.Value(set[len(set)-1].Property)
		}
	})
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		var scratch []FieldChange
		var out []byte
		for b.Loop() {
			scratch, _ = CheckAssignments(scratch, s, set)
			out = MergeFields(out[:0], nil, scratch)
		}
	})
}

func sampleValue(p *Property) Value {
	switch p.Type {
	case String:
		return StringValue("some text")
	case Number:
		return NumberValue(1234)
	case Date:
		return DateValue(time.Unix(1e9, 0))
	case DateTime:
		return DateTimeValue(time.Unix(1e9, 0))
	case Bool:
		return BoolValue(true)
	default:
		return EnumValue(p.Options[0].Value)
	}
}
