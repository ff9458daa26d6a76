//go:build unix

package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrNotPrivate says that others could have put something into the directory, or could do so: nothing in it was opened.
var ErrNotPrivate = errors.New("the directory of the store is not private")

// private refuses a directory that is not its user's alone, and files in it that lead elsewhere. A daemon run by root in a
// directory of somebody else's would otherwise open a store that was planted there, or write through a planted link.
// An empty directory of our own is closed to others here; one that holds something is not touched.
func private(dir string) error {
	if err := ours(dir, "it"); err != nil {
		return err
	}
	resolved, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fmt.Errorf("look at the directory of the store: %w", err)
	}
	if err := ours(resolved, "it"); err != nil {
		return err
	}
	info, err := os.Stat(resolved)
	if err != nil {
		return fmt.Errorf("look at the directory of the store: %w", err)
	}
	entries, err := os.ReadDir(resolved)
	if err != nil {
		return fmt.Errorf("read the directory of the store: %w", err)
	}
	switch mode := info.Mode().Perm(); {
	case mode&0o077 == 0:
	case len(entries) == 0:
		if err := os.Chmod(resolved, 0o700); err != nil { //nolint:gosec // a directory needs its x
			return fmt.Errorf("close the directory of the store to others: %w", err)
		}
	default:
		return fmt.Errorf("%w: others may look into it or change it (mode %04o); close it: chmod 700 %s", ErrNotPrivate, mode, resolved)
	}
	if err := steady(filepath.Dir(resolved)); err != nil {
		return err
	}
	return trusted(resolved, entries)
}

// ours refuses what another user owns. A link counts as itself, so that nobody else can turn it elsewhere.
func ours(path, what string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("look at the directory of the store: %w", err)
	}
	owner, me := ownerOf(info), os.Geteuid()
	if owner == me || owner == 0 && info.Mode()&fs.ModeSymlink != 0 { // root may link, and could do anything else as well
		return nil
	}
	return fmt.Errorf("%w: %s belongs to user %d, and this process runs as user %d; name a directory of your own with --store dir:PATH",
		ErrNotPrivate, what, owner, me)
}

func ownerOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

// steady refuses directories above in which anybody may put another one in the place of ours.
func steady(dir string) error {
	for {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("look above the directory of the store: %w", err)
		}
		if info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
			return fmt.Errorf("%w: anybody may replace it, since all may write to %s; take that away: chmod o-w %s", ErrNotPrivate, dir, dir)
		}
		up := filepath.Dir(dir)
		if up == dir {
			return nil
		}
		dir = up
	}
}

// appendDir is where a server keeps its append-only files.
const appendDir = "appendonlydir"

// trusted refuses files of a store that are links, belong to somebody else or have a second name: what we write to them would
// land somewhere else.
func trusted(dir string, entries []fs.DirEntry) error {
	for _, e := range entries {
		name := e.Name()
		known := strings.HasPrefix(name, "redis.") || strings.HasSuffix(name, ".lock") || strings.HasPrefix(name, "dump.rdb") || strings.HasPrefix(name, "temp-") ||
			strings.HasPrefix(name, "appendonly") || filepath.Base(dir) == appendDir
		if !known {
			continue
		}
		path := filepath.Join(dir, name)
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) { // the server has just renamed or removed it
			continue
		}
		if err != nil {
			return fmt.Errorf("look at the files of the store: %w", err)
		}
		stat, _ := info.Sys().(*syscall.Stat_t)
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			return fmt.Errorf("%w: %s is a link; take it away and try again", ErrNotPrivate, path)
		case ownerOf(info) != os.Geteuid():
			return ours(path, path)
		case info.Mode().IsRegular() && stat != nil && stat.Nlink > 1:
			return fmt.Errorf("%w: %s has a second name elsewhere (a hard link); take it away and try again", ErrNotPrivate, path)
		case info.IsDir() && name == appendDir:
			below, err := os.ReadDir(path)
			if err != nil {
				return fmt.Errorf("read the directory of the store: %w", err)
			}
			if err := trusted(path, below); err != nil {
				return err
			}
		}
	}
	return nil
}
