package crmstore_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

func TestFindByEmails(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		s := storetest.OpenWith(t, o)
		var batch []crmstore.Upsert
		for i := range 300 {
			batch = append(batch, crmstore.Upsert{ID: record.ID(i + 1), Set: []record.Assignment{
				{Property: record.PropertyEmail, Value: record.StringValue(fmt.Sprintf("C%d@example.com", i+1))},
			}})
		}
		if _, err := s.Write(t.Context(), record.Contact, crmstore.UpsertAny, batch, someone, storetest.Time); err != nil {
			t.Fatal(err)
		}
		moved := []crmstore.Upsert{{ID: 2, Set: []record.Assignment{{Property: record.PropertyEmail, Value: record.StringValue("new@example.com")}}}}
		if _, err := s.Write(t.Context(), record.Contact, crmstore.UpsertAny, moved, someone, storetest.Time); err != nil {
			t.Fatal(err)
		}
		got, err := s.FindByEmails(t.Context(), []string{"c300@example.com", "nobody@example.com", "", " C1@EXAMPLE.com ", "c2@example.com", "NEW@example.com", "c1@example.com"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]record.ID{300, 0, 0, 1, 0, 2, 1}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got, err := s.FindByEmails(t.Context(), nil); err != nil || len(got) != 0 {
			t.Errorf("no addresses: %v, %v", got, err)
		}
	})
}

// More addresses in one bucket than one script takes: all are claimed, moved and given up.
func TestWrite_ManyAddressesInOneBucket(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		o.Partitions = 1
		d := newDesk(t, o)
		const n = 1200
		write := func(address string) {
			batch := make([]crmstore.Upsert, n)
			for i := range batch {
				batch[i] = d.up(record.ID(i+1), "email", fmt.Sprintf(address, i+1))
			}
			for _, r := range d.write(crmstore.UpsertAny, noon, batch...) {
				if r.Err != nil {
					t.Fatal(r.Err)
				}
			}
		}
		write("old%d@example.com")
		write("new%d@example.com")
		got, err := d.FindByEmails(t.Context(), []string{"old1@example.com", "new1@example.com", "old1200@example.com", "new1200@example.com"})
		if diff := cmp.Diff([]record.ID{0, 1, 0, n}, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		if problems := d.doctor(true); len(problems) != 0 {
			t.Errorf("the doctor finds %d problems, the first: %s", len(problems), problems[0])
		}
	})
}
