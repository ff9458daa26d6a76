//go:build unix

package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPrivate(t *testing.T) {
	t.Parallel()
	write := func(path string) {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for what, c := range map[string]struct {
		make func(dir string) // dir is there, empty, with mode 0700
		want string           // in the error; "" = good
	}{
		"empty":                    {func(string) {}, ""},
		"empty and open to others": {func(dir string) { must(os.Chmod(dir, 0o755)) }, ""},
		"a store of ours":          {func(dir string) { write(dir + "/redis.log") }, ""},
		"what is no file of ours":  {func(dir string) { must(os.Symlink("/etc/hosts", dir+"/notes")) }, ""},
		"group may read":           {func(dir string) { write(dir + "/redis.log"); must(os.Chmod(dir, 0o750)) }, "chmod 700 "},
		"all may write":            {func(dir string) { write(dir + "/redis.log"); must(os.Chmod(dir, 0o777)) }, "chmod 700 "},
		"a planted log":            {func(dir string) { must(os.Symlink("/etc/hosts", dir+"/redis.log")) }, "redis.log is a link"},
		"a planted lock":           {func(dir string) { must(os.Symlink("/etc/hosts", dir+"/users.lock")) }, "users.lock is a link"},
		"a planted data file": {func(dir string) {
			must(os.Mkdir(dir+"/appendonlydir", 0o700))
			must(os.Symlink("/etc/hosts", dir+"/appendonlydir/appendonly.aof.1.incr.aof"))
		}, "incr.aof is a link"},
		"a log with a second name": {func(dir string) { write(dir + "/../other"); must(os.Link(dir+"/../other", dir+"/redis.log")) }, "hard link"},
		"anybody may replace it":   {func(dir string) { must(os.Chmod(filepath.Dir(dir), 0o777)) }, "chmod o-w "},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "store")
			must(os.Mkdir(dir, 0o700))
			c.make(dir)
			err := private(dir)
			if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, ErrNotPrivate) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if info, _ := os.Stat(dir); err == nil && info.Mode().Perm() != 0o700 {
				t.Errorf("the directory has mode %v", info.Mode())
			}
		})
	}
}

// A directory of somebody else's is not opened, also by root; only root can make one.
func TestPrivate_SomebodyElses(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Chown(dir, 12345, -1) != nil {
		t.Skip("only root can give a directory away")
	}
	if _, err := Open(t.Context(), dir); !errors.Is(err, ErrNotPrivate) || !strings.Contains(err.Error(), "belongs to user 12345") {
		t.Errorf("got %v", err)
	}
	link := filepath.Join(filepath.Dir(dir), "link")
	if err := errors.Join(os.Symlink(dir, link)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), link); !errors.Is(err, ErrNotPrivate) {
		t.Errorf("through a link of our own: got %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		t.Errorf("the directory holds %d files, %v", len(entries), err)
	}
}
