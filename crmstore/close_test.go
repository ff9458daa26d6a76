package crmstore

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Not parallel: goroutines of other tests would be in the way.
func TestCloseLeavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	for _, address := range []string{"memory", "dir:" + t.TempDir()} {
		s, err := Open(t.Context(), Config{URL: address, User: "anna"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.CreateAccount(t.Context(), Free, 1, record.Cause{}, time.Unix(1e9, 0)); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := goleak.Find(before); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}
