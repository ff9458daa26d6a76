//go:build unix

package crmstore_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// The server of a directory is killed while two stores use it: the next command starts it again, and what was
// confirmed before is there.
func TestDirServerIsKilled(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "store")
	one, err := openAt(t, "dir:"+dir)
	if err != nil {
		t.Fatal(err)
	}
	two, err := openAt(t, "dir:"+dir)
	if err != nil {
		t.Fatal(err)
	}
	use(t, one)
	if _, err := two.Account(ctx); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		pid, err := os.ReadFile(filepath.Join(dir, "redis.pid"))
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(pid)))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool {
			conn, err := net.Dial("unix", filepath.Join(dir, "redis.sock"))
			if err == nil {
				conn.Close()
			}
			return err != nil
		})
		before, err := two.Schema(ctx, record.Deal)
		if err != nil {
			t.Fatal(err)
		}
		p := record.Property{Name: "after_" + strconv.Itoa(n), Type: record.Bool}
		after, err := one.AddProperties(ctx, record.Deal, []record.Property{p}, someone, storetest.Time)
		if err != nil {
			t.Fatal(err)
		}
		if after.Version != before.Version+1 {
			t.Errorf("schema has version %d after %d", after.Version, before.Version)
		}
	}
}
