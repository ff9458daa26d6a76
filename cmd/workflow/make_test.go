package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// chooseServer is what make test SERVER=... does before the tests begin.
func chooseServer(t *testing.T, server string) (said, dir string, err error) {
	t.Helper()
	dir = t.TempDir()
	out, err := exec.Command(filepath.Join("..", "..", ".make", "server.sh"), server, dir).CombinedOutput()
	return string(out), dir, err
}

// `make test SERVER=PATH` tests that server and no other: whatever is none ends it, instead of leaving the tests to the one on PATH.
func TestMake_ServerIsTheOneThatWasAskedFor(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	plant := func(name, says string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+says+"'\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	server := plant("valkey-server", "Valkey server v=8.0.1 sha=00000000:0 malloc=libc")
	for _, asked := range []string{server, folder} {
		out, dir, err := chooseServer(t, asked)
		found, _ := filepath.EvalSymlinks(filepath.Join(dir, "redis-server"))
		if err != nil || out != "the tests use Valkey server v=8.0.1\n" || found != server {
			t.Errorf("SERVER=%s: %v, %q, the tests find %q", asked, err, out, found)
		}
	}
	closed := plant("closed-server", "Redis server v=7.0.15")
	if err := os.Chmod(closed, 0o600); err != nil {
		t.Fatal(err)
	}
	for asked, want := range map[string]string{
		filepath.Join(folder, "none"):            "is neither a server program nor a folder",
		t.TempDir():                              "is neither a server program nor a folder",
		closed:                                   "is neither a server program nor a folder",
		plant("redis-cli", "redis-cli 7.0.15"):   "is no Redis or Valkey server",
		plant("two", "first line\nand a second"): "calls itself first line\n",
	} {
		if out, _, err := chooseServer(t, asked); err == nil || !strings.Contains(out, want) {
			t.Errorf("SERVER=%s: %v, %q; want %q", asked, err, out, want)
		}
	}
}

// Each server of the GitHub workflow's matrix is one that make server knows, with a pinned archive.
func TestMake_BuildsTheServersOfTheWorkflow(t *testing.T) {
	t.Parallel()
	read := func(parts ...string) string {
		text, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, parts...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	matrix := regexp.MustCompile(`(?m)^ +server: \[(.*)\]$`).FindStringSubmatch(read(".github", "workflows", "ci.yml"))
	if matrix == nil {
		t.Fatal("ci.yml has no matrix of servers")
	}
	var known []string
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z0-9.-]+)\) url=\S+\.tar\.gz sum=[0-9a-f]{64} ;;$`).FindAllStringSubmatch(read(".make", "build-server.sh"), -1) {
		known = append(known, m[1])
	}
	slices.Sort(known)
	wanted := strings.Split(matrix[1], ", ")
	slices.Sort(wanted)
	if !slices.Equal(wanted, known) {
		t.Errorf("ci.yml wants %v, build-server.sh builds %v", wanted, known)
	}
	for _, want := range []string{"redis-6.2", "redis-7.4", "valkey-8.0"} {
		if !slices.Contains(wanted, want) {
			t.Errorf("the matrix has no %s", want)
		}
	}
	if !slices.ContainsFunc(wanted, func(s string) bool { return strings.HasPrefix(s, "redis-8") }) {
		t.Error("the matrix has no Redis 8")
	}
}
