package crmstore_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

func TestFindByEmails(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		s := storetest.OpenWith(t, o)
		var batch []crmstore.Upsert
		for i := range 300 {
			batch = append(batch, crmstore.Upsert{ID: crmstore.ID(i + 1), Set: []crmstore.Assignment{
				{Property: crmstore.PropertyEmail, Value: crmstore.StringValue(fmt.Sprintf("C%d@example.com", i+1))},
			}})
		}
		if _, err := s.Write(t.Context(), crmstore.Contact, crmstore.UpsertAny, batch, someone, storetest.Time); err != nil {
			t.Fatal(err)
		}
		moved := []crmstore.Upsert{{ID: 2, Set: []crmstore.Assignment{{Property: crmstore.PropertyEmail, Value: crmstore.StringValue("new@example.com")}}}}
		if _, err := s.Write(t.Context(), crmstore.Contact, crmstore.UpsertAny, moved, someone, storetest.Time); err != nil {
			t.Fatal(err)
		}
		got, err := s.FindByEmails(t.Context(), []string{"c300@example.com", "nobody@example.com", "", " C1@EXAMPLE.com ", "c2@example.com", "NEW@example.com", "c1@example.com"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]crmstore.ID{300, 0, 0, 1, 0, 2, 1}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got, err := s.FindByEmails(t.Context(), nil); err != nil || len(got) != 0 {
			t.Errorf("no addresses: %v, %v", got, err)
		}
	})
}
