package crmstore_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

func TestObjectWords(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	ctx := t.Context()
	made, err := s.AddObject(ctx, crmstore.Object{Name: "policy", Label: "Insurance policy"}, []record.Property{
		{Name: "holder", Type: record.String, Exact: true},
	}, someone, noon)
	if err != nil {
		t.Fatal(err)
	}
	want := crmstore.Object{Name: "policy", Label: "Insurance policy", PluralLabel: "Insurance policies", Custom: true}
	if d := cmp.Diff(want, made); d != "" {
		t.Errorf("AddObject (-want +got):\n%s", d)
	}
	for _, word := range []string{"policy", "Policies", " INSURANCE policy ", "insurance_policies"} {
		if o, err := s.Object(ctx, word); err != nil || o != want {
			t.Errorf("Object(%q) = %+v, %v", word, o, err)
		}
	}
	for word, name := range map[string]record.ObjectType{"Companies": record.Company, "deal": record.Deal} {
		if o, err := s.Object(ctx, word); err != nil || o.Name != name || o.Custom {
			t.Errorf("Object(%q) = %+v, %v", word, o, err)
		}
	}
	if _, err := s.Object(ctx, "pol"); !errors.As(err, new(*crmstore.UnknownObjectError)) {
		t.Errorf("Object(pol): %v", err)
	}
	types, err := s.ObjectTypes(ctx)
	if err != nil || !slices.Equal(types, append(record.StandardObjects(), "policy")) {
		t.Errorf("ObjectTypes = %v, %v", types, err)
	}
}

func TestAddObjectRefuses(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	ctx := t.Context()
	if _, err := s.AddObject(ctx, crmstore.Object{Name: "machine"}, nil, someone, noon); err != nil {
		t.Fatal(err)
	}
	for _, o := range []crmstore.Object{
		{Name: "machine"}, {Name: "contact"}, {Name: "machines"}, {Name: "device", PluralLabel: "Machines"}, {Name: "deals"},
	} {
		if _, err := s.AddObject(ctx, o, nil, someone, noon); !errors.Is(err, record.ErrExists) {
			t.Errorf("AddObject(%+v): %v, want %v", o, err, record.ErrExists)
		}
	}
	for _, o := range []crmstore.Object{{Name: ""}, {Name: "Machine"}, {Name: "a/b"}, {Name: "in"}, {Name: "x", Label: "a\nb"}} {
		if _, err := s.AddObject(ctx, o, nil, someone, noon); err == nil {
			t.Errorf("AddObject(%+v) made it", o)
		}
	}
	if all, err := s.Objects(ctx); err != nil || len(all) != 6 {
		t.Errorf("after refusals there are %+v, %v", all, err)
	}
}

// The first property of an own object type has the number that a contact's e-mail has, and is nothing special.
func TestAddObjectProperties(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	ctx := t.Context()
	if _, err := s.AddObject(ctx, crmstore.Object{Name: "machine"}, []record.Property{{Name: "email", Type: record.String}}, someone, noon); err != nil {
		t.Fatal(err)
	}
	schema, err := s.Schema(ctx, "machine")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"createdate", "hs_lastmodifieddate", "email"}, schema.Names()); d != "" {
		t.Errorf("properties (-want +got):\n%s", d)
	}
	same := []record.Assignment{{Property: schema.Find("email")[0].Number, Value: record.StringValue("a@x.org")}}
	results, err := s.Write(ctx, "machine", crmstore.CreateOnly, []crmstore.Upsert{{Set: same}, {Set: same}}, someone, noon)
	if err != nil || results[0].Outcome != crmstore.Created || results[1].Outcome != crmstore.Created {
		t.Fatalf("two machines with one e-mail: %+v, %v", results, err)
	}
	if _, err := s.RenameProperty(ctx, "machine", "email", "mail", "", someone, noon); err != nil {
		t.Error(err)
	}
	if _, err := s.RemoveProperty(ctx, "machine", "mail", someone, noon); err != nil {
		t.Error(err)
	}
	if _, err := s.RemoveProperty(ctx, "machine", "createdate", someone, noon); err == nil {
		t.Error("createdate was removed")
	}
	var ops []string
	err = s.Audit(ctx, crmstore.AuditFilter{}, func(e record.Event) error {
		ops = append(ops, e.Op)
		return nil
	})
	slices.Sort(ops) // of one millisecond, the account's come first
	if d := cmp.Diff([]string{"add-object", "create", "create", "create-account", "remove-property", "rename-property"}, ops); err != nil || d != "" {
		t.Errorf("audit (%v) (-want +got):\n%s", err, d)
	}
}
