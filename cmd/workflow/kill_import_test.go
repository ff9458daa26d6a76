package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// An import that is killed between making its properties and its first batch leaves nothing behind: the next import takes the
// properties away. Where lines were in already when it was killed, the properties stay.
func TestImport_KilledBeforeItsFirstLine(t *testing.T) {
	t.Parallel()
	var file strings.Builder
	file.WriteString("Email,Shoe Size\n")
	for i := range 60_000 {
		fmt.Fprintf(&file, "c%d@example.com,%d\n", i, 30+i%20)
	}
	dir := t.TempDir()
	large, small := filepath.Join(dir, "large.csv"), filepath.Join(dir, "small.csv")
	if err := os.WriteFile(large, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(small, []byte("Email\nann@example.com\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		store := storetest.OpenWith(t, storetest.Options{Partitions: killPartitions})
		p := program{t: t, store: store}
		if !p.killed(func() bool { return shoeSize(t, store) != nil }, "records", "import", large, "--create-properties") {
			continue // it was over before it could be killed
		}
		count, err := store.Count(t.Context(), record.Contact)
		if err != nil {
			t.Fatal(err)
		}
		silenceImports(t, store)
		out := p.must("records", "import", small)
		if left, told := shoeSize(t, store) != nil, strings.Contains(out, "property shoe_size is gone"); left != (count.Live > 0) || told == left {
			t.Errorf("killed with %d lines in; the next import says\n%s\nand the property is there: %t", count.Live, out, left)
		}
		if out := p.must("doctor"); !strings.Contains(out, "everything agrees") {
			t.Errorf("doctor says:\n%s", out)
		}
		if count.Live == 0 {
			return
		}
	}
	t.Fatal("in 10 rounds no import was killed between making its property and its first line")
}

// shoeSize is the property that the import makes; nil while it is not offered.
func shoeSize(t *testing.T, store *crmstore.Store) *record.Property {
	t.Helper()
	schema, err := store.Schema(t.Context(), record.Contact)
	if err != nil {
		t.Fatal(err)
	}
	return schema.Named("shoe_size")
}

// silenceImports makes the last signs of life of all imports so old that they are dead, as if the test had waited.
func silenceImports(t *testing.T, store *crmstore.Store) {
	t.Helper()
	ctx, key := t.Context(), "crm:{"+store.AccountName()+"}:schema"
	text, err := store.Client().HGet(ctx, key, string(record.Contact)).Result()
	if err != nil {
		t.Fatal(err)
	}
	if p := shoeSize(t, store); p != nil && p.Pending != nil {
		seen := p.Pending.Seen.Format(time.RFC3339Nano)
		old := strings.Replace(text, seen, p.Pending.Seen.Add(-2*record.PendingPatience).Format(time.RFC3339Nano), 1)
		if old == text {
			t.Fatalf("no sign of life at %s in %s", seen, text)
		}
		text = old
	}
	if err := store.Client().HSet(ctx, key, string(record.Contact), text).Err(); err != nil {
		t.Fatal(err)
	}
	if err := store.Client().HIncrBy(ctx, key, "contact:v", 1).Err(); err != nil {
		t.Fatal(err)
	}
}
