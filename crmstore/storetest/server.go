package storetest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// StartServer starts a server of the test's own with the given arguments, such as "--requirepass", "x", listening
// on 127.0.0.1. It returns host:port once the port is open. Nothing is on disk unless the arguments say so.
func StartServer(t testing.TB, args ...string) string {
	t.Helper()
	port := FreePort(t)
	return StartServerAt(t, port, append([]string{"--port", port}, args...)...)
}

// StartServerAt is [StartServer] for arguments that name the port themselves (it is what we wait for).
func StartServerAt(t testing.TB, port string, args ...string) string {
	t.Helper()
	return StartProcess(t, port, args...).Address
}

// Server is a server process of a test's own.
type Server struct {
	Address string      // host:port
	Process *os.Process // for signals

	ended chan struct{} // closed when the process has ended
}

// Kill ends the server as a crash would, and waits until it is gone.
func (s *Server) Kill() {
	_ = s.Process.Kill() // one that has ended is as good
	<-s.ended
}

// StartProcess is [StartServerAt] for tests that need the process too.
func StartProcess(t testing.TB, port string, args ...string) *Server {
	t.Helper()
	program, err := findServer()
	if err != nil {
		t.Fatal("storetest: ", err)
	}
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	fixed := []string{"--bind", "127.0.0.1", "--save", "", "--dir", dir, "--logfile", log, "--daemonize", "no"}
	if len(args) > 0 && filepath.IsAbs(args[0]) { // a configuration file comes first
		fixed = append([]string{args[0]}, fixed...)
		args = args[1:]
	}
	cmd := exec.Command(program, append(fixed, args...)...)
	endWithParent(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal("storetest: ", err)
	}
	var why error // of its end; set before ended is closed
	s := &Server{Address: net.JoinHostPort("127.0.0.1", port), Process: cmd.Process, ended: make(chan struct{})}
	go func() {
		why = cmd.Wait()
		close(s.ended)
	}()
	t.Cleanup(s.Kill)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		var d net.Dialer
		if conn, err := d.DialContext(ctx, "tcp", s.Address); err == nil {
			_ = conn.Close()
			return s
		}
		select {
		case <-s.ended:
			words, _ := os.ReadFile(log)
			t.Fatalf("storetest: %s ended at once: %v\n%s", program, why, words)
		case <-ctx.Done():
			t.Fatalf("storetest: %s does not listen at %s", program, s.Address)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// FreePort is a TCP port that nobody used a moment ago.
func FreePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal("storetest: ", err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}
