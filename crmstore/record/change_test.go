package record

import (
	"testing"

	"pgregory.net/rapid"
)

// What changes between two records is told for each property, and for no other.
func TestChanges(t *testing.T) {
	t.Parallel()
	schema := NewSchema(Contact, 1, DefaultProperties(Contact))
	email, city := schema.Find("email")[0], schema.Find("city")[0]
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) (fields []byte, values map[string]string) {
			values = map[string]string{}
			var changes []FieldChange
			for _, p := range []*Property{email, city} {
				text := rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, name+p.Name)
				values[p.Name] = text
				changes = append(changes, FieldChange{p, StringValue(text)})
			}
			changes, err := SortFieldChanges(changes)
			if err != nil {
				t.Fatal(err)
			}
			return MergeFields(nil, nil, changes), values
		}
		stored, before := draw("before")
		wanted, after := draw("after")
		got, err := ParseChanges(schema, string(ChangesOf(stored, wanted, 0)))
		if err != nil {
			t.Fatal(err)
		}
		told := map[string]Change{}
		for _, c := range got {
			told[c.Property] = c
		}
		for name := range before {
			c, is := told[name]
			if is != (before[name] != after[name]) || is && (c.Before != before[name] || c.After != after[name]) {
				t.Errorf("%s from %q to %q: told %+v", name, before[name], after[name], c)
			}
		}
	})
	if got, err := ParseChanges(schema, string(ChangesOf(AppendField(nil, email, StringValue("a")), nil, email.Number))); err != nil || len(got) != 0 {
		t.Errorf("a property that does not count: %v, %v", got, err)
	}
}

func FuzzChanges(f *testing.F) {
	schema := NewSchema(Contact, 1, DefaultProperties(Contact))
	email := schema.Find("email")[0]
	f.Add(string(ChangesOf(AppendField(nil, email, StringValue("a")), nil, 0)))
	f.Fuzz(func(_ *testing.T, text string) { _, _ = ParseChanges(schema, text) })
}
