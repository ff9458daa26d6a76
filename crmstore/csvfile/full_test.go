package csvfile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/csvfile"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// A store whose memory runs out in the middle says so, has no half records in it, and takes the rest when it has room again.
func TestImport_storeOutOfMemory(t *testing.T) {
	t.Parallel()
	const n = 20_000
	at := storetest.StartServer(t)
	s, err := crmstore.Open(t.Context(), crmstore.Config{URL: "redis://" + at, User: storetest.User})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if _, err := s.CreateAccount(t.Context(), crmstore.Professional, 64, record.Cause{Actor: "test"}, storetest.Time); err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: at})
	t.Cleanup(func() { _ = rdb.Close() })
	used, err := rdb.InfoMap(t.Context(), "memory").Result()
	if err != nil {
		t.Fatal(err)
	}
	var bytes int
	if _, err := fmt.Sscan(used["Memory"]["used_memory"], &bytes); err != nil {
		t.Fatal(err)
	}
	limit := func(bytes int) {
		if err := rdb.ConfigSet(t.Context(), "maxmemory", fmt.Sprint(bytes)).Err(); err != nil {
			t.Fatal(err)
		}
	}
	limit(bytes + 2<<20)
	file := strings.ReplaceAll(numbered(n), "@example.com", "") // no addresses: claims of a failed import are waited for
	file = strings.Replace(file, "Email", "lastname", 1)
	_, err = csvfile.Import(t.Context(), s, strings.NewReader(file), options())
	if err == nil || !strings.Contains(err.Error(), "out of memory") || strings.Contains(err.Error(), "line 0") {
		t.Errorf("import into a full store: %v, want out of memory", err)
	}
	limit(0)
	count, err := s.Count(t.Context(), record.Contact)
	if err != nil || count.Live == 0 || count.Live == n {
		t.Errorf("the full store has %d live, %v; want some of %d", count.Live, err, n)
	}
	sound := func() {
		t.Helper()
		if err := s.Doctor(t.Context(), record.Contact, false, func(p crmstore.Problem) error {
			t.Errorf("doctor: %+v", p)
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	sound()
	rest := mustImport(t, s, file, options())
	if int64(rest.Unchanged) != count.Live || rest.Created != n-rest.Unchanged {
		t.Errorf("the second import: %s; want the rest of %d after %d", tally(rest), n, count.Live)
	}
	sound()
}
