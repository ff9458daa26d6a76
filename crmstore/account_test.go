package crmstore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// both runs a test on a real server and in memory.
func both(t *testing.T, test func(t *testing.T, o storetest.Options)) {
	t.Run("server", func(t *testing.T) { t.Parallel(); test(t, storetest.Options{}) })
	t.Run("memory", func(t *testing.T) { t.Parallel(); test(t, storetest.Options{Memory: true}) })
}

var someone = record.Cause{Actor: "anna"}

func TestAccount(t *testing.T) {
	t.Parallel()
	s := storetest.OpenEmpty(t)
	ctx := t.Context()
	if _, err := s.Account(ctx); !errors.Is(err, record.ErrNoAccount) {
		t.Fatalf("Account before it exists: %v, want ErrNoAccount", err)
	}
	if _, err := s.Schema(ctx, record.Contact); !errors.Is(err, record.ErrNoAccount) {
		t.Fatalf("Schema before the account exists: %v, want ErrNoAccount", err)
	}
	if _, err := s.SetTier(ctx, crmstore.Free, someone, storetest.Time); !errors.Is(err, record.ErrNoAccount) {
		t.Fatalf("SetTier before the account exists: %v, want ErrNoAccount", err)
	}
	at := time.Date(2026, 5, 6, 7, 8, 9, 123e6, time.UTC)
	made, err := s.CreateAccount(ctx, "Starter", 0, someone, at)
	if err != nil {
		t.Fatal(err)
	}
	want := crmstore.Account{Name: s.AccountName(), Tier: crmstore.Starter, Partitions: crmstore.DefaultPartitions, CreatedAt: at}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("made (-want +got):\n%s", diff)
	}
	if _, err := s.CreateAccount(ctx, crmstore.Free, 4, someone, at); !errors.Is(err, record.ErrExists) {
		t.Errorf("CreateAccount twice: %v, want ErrExists", err)
	}
	changed, err := s.SetTier(ctx, crmstore.Enterprise, someone, at)
	if err != nil {
		t.Fatal(err)
	}
	want.Tier = crmstore.Enterprise
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Errorf("after SetTier (-want +got):\n%s", diff)
	}
	if n, err := storetest.Again(t, s).Partitions(ctx); n != crmstore.DefaultPartitions || err != nil {
		t.Errorf("Partitions = %d, %v", n, err)
	}
}

func TestCreateAccountRefuses(t *testing.T) {
	t.Parallel()
	s := storetest.OpenEmpty(t)
	for _, c := range []struct {
		tier       crmstore.Tier
		partitions int
	}{{"gold", 4}, {"", 4}, {crmstore.Free, -1}, {crmstore.Free, crmstore.MaxPartitions + 1}} {
		if _, err := s.CreateAccount(t.Context(), c.tier, c.partitions, someone, storetest.Time); err == nil {
			t.Errorf("CreateAccount(%q, %d) has no error", c.tier, c.partitions)
		}
	}
	if _, err := s.Account(t.Context()); !errors.Is(err, record.ErrNoAccount) {
		t.Errorf("Account after refusals: %v, want ErrNoAccount", err)
	}
}

func TestMemoryStoresAreSeparate(t *testing.T) {
	t.Parallel()
	one := storetest.Memory(t)
	two, err := crmstore.Open(t.Context(), crmstore.Config{URL: "memory", Account: one.AccountName(), User: storetest.User})
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	if _, err := two.Account(t.Context()); !errors.Is(err, record.ErrNoAccount) {
		t.Errorf("the second memory store knows the account of the first: %v", err)
	}
	if !two.Volatile() || two.Describe() != "memory" {
		t.Errorf("Volatile %v, Describe %q", two.Volatile(), two.Describe())
	}
	if s := storetest.OpenEmpty(t); s.Volatile() {
		t.Error("a server is called volatile")
	}
}
