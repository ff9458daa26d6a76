package crmstore_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// Compacted columns take less memory, and hold what they held.
func TestCompact(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{Partitions: 1})
	for from := range 11 {
		d.write(crmstore.UpsertAny, noon, batchOf(d, 100*from, 100, false)...)
	}
	raw := crmstore.Raw(d.Store)
	key := crmstore.KeyOf(d.Store, record.Contact, 0, "*")
	keys := raw.Keys(t.Context(), key).Val()
	measure := func() (texts map[string]string, bytes int64) {
		texts = map[string]string{}
		for _, k := range keys {
			if raw.Type(t.Context(), k).Val() == "string" {
				texts[k] = raw.Get(t.Context(), k).Val()
				bytes += raw.MemoryUsage(t.Context(), k).Val()
			}
		}
		return texts, bytes
	}
	before, large := measure()
	if err := d.Compact(t.Context(), record.Contact); err != nil {
		t.Fatal(err)
	}
	after, small := measure()
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("columns (-before +after):\n%s", diff)
	}
	if t.Logf("%d columns: %d bytes, then %d", len(before), large, small); len(before) < 10 || small >= large*9/10 {
		t.Errorf("%d columns took %d bytes, and take %d", len(before), large, small)
	}
	if found := d.doctor(false); len(found) != 0 {
		t.Errorf("doctor finds %v", found)
	}
}
