//go:build unix

package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// These tests run real processes: the test binary starts itself again as a user of the store in $EMBEDDED_USER,
// who does what the lines on its standard input say.
func TestMain(m *testing.M) {
	if dir := os.Getenv("EMBEDDED_USER"); dir != "" {
		if err := beUser(dir); err != nil {
			fmt.Fprintln(os.Stdout, "error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// beUser opens the store, says so, and answers each line that is a command with the first line of the reply.
// At the end of the input it leaves.
func beUser(dir string) error {
	ctx := context.Background()
	s, err := Open(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "open")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		conn, err := s.Dial(ctx, "", "")
		if err != nil {
			return err
		}
		reply, err := ask(ctx, conn, in.Text())
		fmt.Fprintln(os.Stdout, reply, err)
		conn.Close()
	}
	if err := s.Close(); err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "closed")
	return nil
}

// user is a process that uses the store.
type user struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func newUser(t *testing.T, dir string) *user {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	u := &user{t: t, cmd: exec.Command(self)}
	u.cmd.Env = append(os.Environ(), "EMBEDDED_USER="+dir)
	u.cmd.Stderr = os.Stderr
	if u.in, err = u.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := u.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	u.out = bufio.NewScanner(out)
	if err := u.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.kill)
	return u
}

// expect reads a line of the user and compares it.
func (u *user) expect(want string) {
	u.t.Helper()
	if !u.out.Scan() || u.out.Text() != want {
		u.t.Fatalf("user %d says %q, %v; want %q", u.cmd.Process.Pid, u.out.Text(), u.out.Err(), want)
	}
}

// do sends a command and compares the first line of its reply.
func (u *user) do(command, want string) {
	u.t.Helper()
	if _, err := fmt.Fprintln(u.in, command); err != nil {
		u.t.Fatal(err)
	}
	u.expect(want + " <nil>")
}

// close lets the user leave.
func (u *user) close() {
	u.t.Helper()
	u.in.Close()
	u.expect("closed")
	if err := u.cmd.Wait(); err != nil {
		u.t.Fatal(err)
	}
}

func (u *user) kill() {
	_ = u.cmd.Process.Kill()
	_ = u.cmd.Wait()
}

// newStoreDir is a directory for a store; at the end of the test its server must be gone, or is ended.
func newStoreDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	t.Cleanup(func() {
		s := &Server{dir: dir}
		if alive, _ := s.alive(); alive {
			t.Errorf("the server of %s, process %s, is still there", dir, s.pid())
			killServer(t, dir)
		}
	})
	return dir
}

func serverPID(t *testing.T, dir string) int {
	t.Helper()
	pid, err := strconv.Atoi((&Server{dir: dir}).pid())
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// killServer kills the server and waits until it is gone.
func killServer(t *testing.T, dir string) {
	t.Helper()
	if err := syscall.Kill(serverPID(t, dir), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitGone(t, dir)
}

func waitGone(t *testing.T, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		alive, err := (&Server{dir: dir}).alive()
		if err != nil {
			t.Fatal(err)
		}
		if !alive {
			return
		}
		if err := wait(ctx); err != nil {
			t.Fatal("the server does not end")
		}
	}
}

func open(t *testing.T, dir string) *Server {
	t.Helper()
	s, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func do(t *testing.T, s *Server, command, want string) {
	t.Helper()
	conn, err := s.Dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got, err := ask(t.Context(), conn, command); got != want || err != nil {
		t.Fatalf("%s: %q, %v; want %q", command, got, err, want)
	}
}

func TestUsersShareAServer(t *testing.T) {
	t.Parallel()
	dir := newStoreDir(t)
	first := newUser(t, dir)
	first.expect("open")
	pid := serverPID(t, dir)
	ours, err1 := unix.Getsid(0)
	its, err2 := unix.Getsid(pid)
	if err1 != nil || err2 != nil || ours == its {
		t.Errorf("the server is in session %d, %v, the test in %d, %v: a Ctrl-C would end both", its, err2, ours, err1)
	}
	second := newUser(t, dir)
	second.expect("open")
	first.do("INCR n", ":1")
	second.do("INCR n", ":2")
	first.close() // who started it leaves first
	second.do("INCR n", ":3")
	if got := serverPID(t, dir); got != pid {
		t.Errorf("the server is process %d, was %d", got, pid)
	}
	for name, want := range map[string]os.FileMode{".": 0o700, socketName: 0o700, "appendonlydir": 0o700, logName: 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			if name == "appendonlydir" {
				continue // servers before 7.0 have none
			}
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got&^want != 0 {
			t.Errorf("%s has mode %o, want %o or less", name, got, want)
		}
	}
	second.close()
	waitGone(t, dir)
	again := newUser(t, dir)
	again.expect("open")
	again.do("INCR n", ":4")
	again.close()
}

func TestUsersOfOneProcess(t *testing.T) {
	t.Parallel()
	dir := newStoreDir(t)
	one, two := open(t, dir), open(t, dir)
	do(t, one, "INCR n", ":1")
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	do(t, two, "INCR n", ":2")
	if _, err := one.Dial(t.Context(), "", ""); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Dial after Close: %v, want net.ErrClosed", err)
	}
	if err := one.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
}

func TestUsersStartAtOnce(t *testing.T) {
	t.Parallel()
	dir := newStoreDir(t)
	users := make([]*user, 6)
	for i := range users {
		users[i] = newUser(t, dir)
	}
	for i, u := range users {
		u.expect("open")
		u.do("INCR n", fmt.Sprintf(":%d", i+1))
	}
	if log, err := os.ReadFile(filepath.Join(dir, logName)); err != nil || strings.Count(string(log), "Server initialized") != 1 {
		t.Errorf("more than one server started, or none: %v\n%s", err, log)
	}
	var wg sync.WaitGroup
	for _, u := range users { // and all leave at once
		wg.Go(func() { u.in.Close() })
	}
	wg.Wait()
	for _, u := range users {
		u.close()
	}
	waitGone(t, dir)
}

// Users come and go at the same time; nobody ever finds the server gone under their feet.
func TestUsersComeAndGo(t *testing.T) {
	t.Parallel()
	dir := newStoreDir(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				s, err := Open(t.Context(), dir)
				if err != nil {
					t.Error(err)
					return
				}
				if conn, err := s.Dial(t.Context(), "", ""); err != nil {
					t.Error(err)
				} else {
					if _, err := ask(t.Context(), conn, "INCR n"); err != nil {
						t.Error(err)
					}
					conn.Close()
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	do(t, open(t, dir), "GET n", "$2")
}

func TestUserIsKilled(t *testing.T) {
	t.Parallel()
	dir := newStoreDir(t)
	first := newUser(t, dir)
	first.expect("open")
	second := newUser(t, dir)
	second.expect("open")
	first.do("INCR n", ":1")
	pid := serverPID(t, dir)
	first.kill()
	second.do("INCR n", ":2")
	second.kill() // the last one: the server stays behind
	s := open(t, dir)
	do(t, s, "INCR n", ":3")
	if got := serverPID(t, dir); got != pid {
		t.Errorf("a server that was left behind is not used: process %d, was %d", got, pid)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	waitGone(t, dir)
}

func TestServerIsKilled(t *testing.T) {
	t.Parallel()
	dir := newStoreDir(t)
	users := []*user{newUser(t, dir), newUser(t, dir)}
	for _, u := range users {
		u.expect("open")
	}
	users[0].do("INCR n", ":1")
	killServer(t, dir)
	for _, u := range users { // both at once
		if _, err := fmt.Fprintln(u.in, "GET n"); err != nil {
			t.Fatal(err)
		}
	}
	for _, u := range users {
		u.expect("$1 <nil>")
	}
	users[1].do("INCR n", ":2")
	for _, u := range users {
		u.close()
	}
	waitGone(t, dir)
}

func TestStaleFiles(t *testing.T) {
	t.Parallel()
	dir := newStoreDir(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, socketName), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if err := os.WriteFile(filepath.Join(dir, pidName), []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	do(t, open(t, dir), "INCR n", ":1")
}

// A second server on the same data would destroy it, so one that cannot be reached is not replaced.
func TestSocketIsRemoved(t *testing.T) {
	t.Parallel()
	dir := newStoreDir(t)
	u := newUser(t, dir)
	u.expect("open")
	pid := serverPID(t, dir)
	if err := os.Remove(filepath.Join(dir, socketName)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d", pid)) {
		t.Errorf("Open: %v; want an error that names process %d", err, pid)
	}
	killServer(t, dir)
	u.do("INCR n", ":1")
	u.close()
}

func TestLongPath(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(newStoreDir(t), strings.Repeat("long", 20), strings.Repeat("path", 20))
	s := open(t, dir)
	do(t, s, "INCR n", ":1")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	waitGone(t, dir)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if _, err := Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("Open(%s): %v; want an error that names it", dir, err)
		}
	}
	if os.Geteuid() != 0 { // nothing is unwritable for root
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), dir); !errors.Is(err, os.ErrPermission) {
			t.Errorf("Open of an unwritable directory: %v, want a permission error", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, newStoreDir(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with an ended context: %v", err)
	}
}

// A damaged append-only file ends the server at once; its own words say why, and nothing is repaired silently.
func TestDamagedData(t *testing.T) {
	t.Parallel()
	dir := newStoreDir(t)
	s := open(t, dir)
	do(t, s, "INCR n", ":1")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "append*", "*.incr.aof"))
	older, err2 := filepath.Glob(filepath.Join(dir, "appendonly.aof")) // before Redis 7.0
	if files = append(files, older...); err != nil || err2 != nil || len(files) != 1 {
		t.Fatalf("%v, %v, %v: want one append-only file", files, err, err2)
	}
	if err := os.WriteFile(files[0], []byte("no append-only file\n*1\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "-check-aof") {
		t.Errorf("Open: %v; want the end of the server's log", err)
	}
}

// Not parallel: it changes PATH.
func TestNoProgram(t *testing.T) {
	dir := newStoreDir(t)
	t.Setenv("PATH", t.TempDir())
	if _, err := Open(t.Context(), dir); !errors.Is(err, ErrNoProgram) {
		t.Errorf("Open without a server on PATH: %v, want ErrNoProgram", err)
	}
}
