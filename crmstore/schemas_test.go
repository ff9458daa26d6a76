package crmstore_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

func find(t *testing.T, s *record.Schema, name string) *record.Property {
	t.Helper()
	found := s.Find(name)
	if len(found) != 1 {
		t.Fatalf("Find(%q) found %d properties, want 1", name, len(found))
	}
	return found[0]
}

func TestSchemaChanges(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		ctx := t.Context()
		s := storetest.OpenWith(t, o)
		before, err := s.Schema(ctx, record.Contact)
		if err != nil {
			t.Fatal(err)
		}
		add := []record.Property{
			{Name: "shoe_size", Label: "Shoe size", Type: record.Number},
			{Name: "colour", Type: record.Enumeration, Options: []record.Option{{Value: "red"}, {Value: "blue", Label: "Blue"}}},
		}
		after, err := s.AddProperties(ctx, record.Contact, add, someone, storetest.Time)
		if err != nil {
			t.Fatal(err)
		}
		size, colour := find(t, after, "Shoe Size"), find(t, after, "colour")
		if last := before.Properties[len(before.Properties)-1].Number; size.Number != last+1 || colour.Number != last+2 {
			t.Errorf("numbers %d and %d, want the two after %d", size.Number, colour.Number, last)
		}
		wantOptions := []record.Option{{Number: 1, Value: "red", Label: "red"}, {Number: 2, Value: "blue", Label: "Blue"}}
		if diff := cmp.Diff(wantOptions, colour.Options); diff != "" {
			t.Errorf("options (-want +got):\n%s", diff)
		}
		if _, err := s.AddProperties(ctx, record.Contact, append(add, record.Property{Name: "new_one", Type: record.Bool}), someone, storetest.Time); !errors.Is(err, record.ErrExists) {
			t.Errorf("adding a taken name: %v, want ErrExists", err)
		}
		if len(find(t, before, "email").Options) != 0 || len(before.Find("shoe_size")) != 0 || len(after.Find("new_one")) != 0 {
			t.Error("an older schema changed in place, or a refused addition was half made")
		}

		renamed, err := s.RenameProperty(ctx, record.Contact, "shoe_size", "size_eu", "Size (EU)", someone, storetest.Time)
		if err != nil {
			t.Fatal(err)
		}
		if p := find(t, renamed, "size_eu"); p.Number != size.Number || p.Label != "Size (EU)" || len(renamed.Find("shoe_size")) != 0 {
			t.Errorf("renamed property is %+v", p)
		}
		removed, err := s.RemoveProperty(ctx, record.Contact, "size_eu", someone, storetest.Time)
		if err != nil {
			t.Fatal(err)
		}
		if len(removed.Find("size_eu")) != 0 || removed.Number(size.Number) == nil {
			t.Error("a removed property is offered, or its number is forgotten")
		}
		anew, err := s.AddProperties(ctx, record.Contact, []record.Property{{Name: "size_eu", Type: record.String}}, someone, storetest.Time)
		if err != nil {
			t.Fatal(err)
		}
		if p := find(t, anew, "size_eu"); p.Number != colour.Number+1 {
			t.Errorf("a name used again has number %d, want %d", p.Number, colour.Number+1)
		}
	})
}

func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := storetest.Open(t)
	for _, p := range []record.Property{
		{Name: "Upper", Type: record.String},
		{Name: "", Type: record.String},
		{Name: "x", Type: "text"},
		{Name: "x", Type: record.Enumeration},
		{Name: "x", Type: record.Enumeration, Options: []record.Option{{Value: "a"}, {Value: "a"}}},
		{Name: "x", Type: record.Bool, Options: []record.Option{{Value: "a"}}},
		{Name: "x", Type: record.Number, Exact: true},
	} {
		if _, err := s.AddProperties(ctx, record.Contact, []record.Property{p}, someone, storetest.Time); err == nil {
			t.Errorf("AddProperties(%+v) has no error", p)
		}
	}
	if _, err := s.RemoveProperty(ctx, record.Contact, "nix", someone, storetest.Time); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("RemoveProperty: %v, want ErrNotFound", err)
	}
	if _, err := s.RenameProperty(ctx, record.Contact, "phone", "email", "", someone, storetest.Time); !errors.Is(err, record.ErrExists) {
		t.Errorf("RenameProperty to a taken name: %v, want ErrExists", err)
	}
	for _, own := range []string{"email", "createdate", "lastmodifieddate"} {
		if _, err := s.RemoveProperty(ctx, record.Contact, own, someone, storetest.Time); err == nil {
			t.Errorf("RemoveProperty(%s) has no error", own)
		}
		if _, err := s.RenameProperty(ctx, record.Contact, own, "x", "", someone, storetest.Time); err == nil {
			t.Errorf("RenameProperty(%s) has no error", own)
		}
	}
	if _, err := s.Schema(ctx, "pet"); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("Schema of an unknown object: %v, want ErrNotFound", err)
	}
	if schema, err := s.Schema(ctx, record.Contact); err != nil || schema.Version != 1 {
		t.Errorf("schema has version %d after refusals (%v), want 1", schema.Version, err)
	}
}

// Many processes add properties at once: each gets a number of its own, and every Store sees all of them.
func TestAddPropertiesAtOnce(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := storetest.Open(t)
	const n = 8
	var wg sync.WaitGroup
	for i := range n {
		other := storetest.Again(t, s)
		wg.Go(func() {
			p := record.Property{Name: fmt.Sprintf("p%d", i), Type: record.Bool}
			if _, err := other.AddProperties(ctx, record.Contact, []record.Property{p}, someone, storetest.Time); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	schema, err := s.Schema(ctx, record.Contact)
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[int]bool{}
	for i := range n {
		numbers[find(t, schema, fmt.Sprintf("p%d", i)).Number] = true
	}
	if len(numbers) != n || schema.Version != n+1 {
		t.Errorf("%d numbers and version %d, want %d and %d", len(numbers), schema.Version, n, n+1)
	}
}
