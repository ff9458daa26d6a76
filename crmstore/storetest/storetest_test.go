package storetest

import (
	"strings"
	"testing"
)

// Not parallel: it changes PATH.
func TestFindServer(t *testing.T) {
	if _, err := findServer(); err != nil {
		t.Error(err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := findServer(); err == nil || !strings.Contains(err.Error(), "apt-get install redis-server") {
		t.Errorf("without a server: %v; want what to install", err)
	}
}

func TestNewAccountName(t *testing.T) {
	t.Parallel()
	t.Run("With / Odd_Ünicode and a name that goes on and on and on", func(t *testing.T) {
		t.Parallel()
		one, two := NewAccountName(t), NewAccountName(t)
		if one == two {
			t.Errorf("two names are %q", one)
		}
		if len(one) > 63 || strings.Trim(one, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("%q is no account name", one)
		}
	})
}
