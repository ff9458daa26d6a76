//go:build unix

package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// The names of the files in the directory.
const (
	socketName = "redis.sock"
	logName    = "redis.log"
	pidName    = "redis.pid"
	usersName  = "users.lock"
	startName  = "start.lock"
	serverName = "server.lock"
)

const (
	pollEvery     = 5 * time.Millisecond // while waiting for a lock or for the server
	answerWithin  = 5 * time.Second      // one question to a server that is there
	silentAtMost  = 3 * time.Second      // a server that lives but has no socket, before we give up
	stopWithin    = 60 * time.Second     // a server that writes out its data
	restartWithin = 2 * time.Minute      // a server that loads its data after it died
)

// Server is one process's use of the directory's server. It is safe for concurrent use.
type Server struct {
	dir    string
	users  *os.File        // holds the share of users.lock
	base   context.Context // never ends; for leaving, which has no context of its own
	closed atomic.Bool
}

// Open finds or starts the server of the directory, makes the directory if there is none, and waits until the
// server has loaded its data. Its user must Close it.
func Open(ctx context.Context, dir string) (*Server, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open directory store: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of the store: %w", err)
	}
	s := &Server{dir: dir, base: context.WithoutCancel(ctx)}
	if err := s.join(ctx); err != nil {
		return nil, fmt.Errorf("open directory store %s: %w", dir, err)
	}
	return s, nil
}

// join takes a share of the users' lock and sees to it that the server runs.
func (s *Server) join(ctx context.Context) error {
	start, err := lock(ctx, s.file(startName))
	if err != nil {
		return err
	}
	defer start.Close()
	if s.users, err = openLock(s.file(usersName)); err != nil {
		return err
	}
	if err := share(s.users); err != nil {
		return errors.Join(err, s.users.Close())
	}
	if err := s.ensure(ctx); err != nil {
		return errors.Join(err, s.leave())
	}
	return nil
}

// Close leaves the server and stops it if nobody else uses it. Calling it again does nothing.
func (s *Server) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.base, stopWithin)
	defer cancel()
	start, err := lock(ctx, s.file(startName))
	if err != nil {
		return errors.Join(fmt.Errorf("leave directory store %s: %w", s.dir, err), s.users.Close())
	}
	defer start.Close()
	if err := s.leave(); err != nil {
		return fmt.Errorf("leave directory store %s: %w", s.dir, err)
	}
	return nil
}

// leave gives the share of the users' lock up, and stops the server when it was the last one. The caller holds
// the start lock, so nobody can join meanwhile.
func (s *Server) leave() error {
	defer s.users.Close()
	last, err := tryAlone(s.users)
	if err != nil || !last {
		return err
	}
	return s.stop()
}

// Dial connects to the server, which it starts again if it has died. The arguments network and address are
// ignored; they are there so that it fits as a client's dialer.
func (s *Server) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if s.closed.Load() {
		return nil, net.ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, restartWithin)
	defer cancel()
	if conn, err := s.connect(ctx); err == nil {
		return conn, nil
	}
	start, err := lock(ctx, s.file(startName))
	if err != nil {
		return nil, err
	}
	defer start.Close()
	if s.closed.Load() { // closed while we waited; a server started now would have no user
		return nil, net.ErrClosed
	}
	if err := s.ensure(ctx); err != nil {
		return nil, err
	}
	return s.connect(ctx)
}

func (s *Server) file(name string) string { return filepath.Join(s.dir, name) }

// ensure returns when the server answers. It starts one if none lives. The caller holds the start lock.
func (s *Server) ensure(ctx context.Context) error {
	silent := time.Duration(0)
	for {
		conn, err := s.connect(ctx)
		switch {
		case err == nil:
			return conn.Close()
		case errors.Is(err, errLoading): // it lives, and may take as long as it needs
		case !absent(err):
			return err
		default:
			alive, err := s.start(ctx)
			if err != nil {
				return err
			}
			if silent += pollEvery; alive && silent > silentAtMost {
				return fmt.Errorf("the store's server (process %s) lives but its socket %s is gone; stop that process and try again",
					s.pid(), s.file(socketName))
			}
		}
		if err := wait(ctx); err != nil {
			return fmt.Errorf("wait for the store's server: %w", err)
		}
	}
}

// start starts a server, unless one lives (then alive is true: it may be about to listen or about to end).
// It returns when the new server listens, or with its last words.
func (s *Server) start(ctx context.Context) (alive bool, err error) {
	held, err := openLock(s.file(serverName))
	if err != nil {
		return false, err
	}
	defer held.Close() // the server has a copy by then, and with it the lock
	if free, err := tryAlone(held); err != nil || !free {
		return err == nil, err
	}
	program, err := findProgram()
	if err != nil {
		return false, err
	}
	if err := os.Remove(s.file(socketName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, fmt.Errorf("remove the socket of a server that died: %w", err)
	}
	if err := s.launch(ctx, program, held); err != nil {
		return false, err
	}
	if err := held.Close(); err != nil {
		return false, err
	}
	return false, s.listening(ctx, program)
}

// launch runs the server program, which makes itself a daemon. Redis has no option for the mode of its files,
// so a shell sets it.
func (s *Server) launch(ctx context.Context, program string, held *os.File) error {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", `umask 077; exec "$@"`, "sh", program,
		"--port", "0", "--unixsocket", socketName, "--unixsocketperm", "700",
		"--daemonize", "yes", "--pidfile", pidName, "--logfile", logName, "--dir", ".", "--databases", "1",
		"--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction")
	cmd.Dir = s.dir // names are relative to it: the path of a socket has a limit of about 100 bytes
	cmd.ExtraFiles = []*os.File{held}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("start %s: %w: %s", program, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// listening waits until the server that was just started accepts connections.
func (s *Server) listening(ctx context.Context, program string) error {
	for {
		conn, err := s.connect(ctx)
		if err == nil {
			return conn.Close()
		}
		if !absent(err) { // loading, or it says what is wrong: for the caller
			return nil //nolint:nilerr // the caller asks again and tells the two apart
		}
		alive, err := s.alive()
		if err != nil {
			return err
		}
		if !alive {
			return fmt.Errorf("%s ended at once; the end of %s says: %s", program, s.file(logName), s.lastWords())
		}
		if err := wait(ctx); err != nil {
			return fmt.Errorf("wait for %s: %w", program, err)
		}
	}
}

// alive reports whether a server holds its lock.
func (s *Server) alive() (bool, error) {
	f, err := openLock(s.file(serverName))
	if err != nil {
		return false, err
	}
	defer f.Close()
	free, err := tryAlone(f)
	return !free, err
}

// stop lets the server write out everything and end, and waits until it is gone.
func (s *Server) stop() error {
	ctx, cancel := context.WithTimeout(s.base, stopWithin)
	defer cancel()
	conn, err := s.dial(ctx)
	switch {
	case absent(err):
		return nil // it died before
	case err != nil:
		return fmt.Errorf("stop the store's server: %w", err)
	}
	defer conn.Close()
	reply, err := ask(ctx, conn, "SHUTDOWN NOSAVE") // the append-only file is completed in any case
	if err == nil {
		return fmt.Errorf("stop the store's server (process %s): it says %q", s.pid(), reply)
	}
	for {
		alive, err := s.alive()
		if err != nil || !alive {
			return err
		}
		if err := wait(ctx); err != nil {
			return fmt.Errorf("stop the store's server (process %s): it does not end: %w", s.pid(), err)
		}
	}
}

// pid is the server's process id as a text, for people.
func (s *Server) pid() string {
	b, err := os.ReadFile(s.file(pidName))
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}

// lastWords is the end of the server's log.
func (s *Server) lastWords() string {
	b, err := os.ReadFile(s.file(logName))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// findProgram finds the server program on PATH.
func findProgram() (string, error) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return filepath.Abs(path) // it runs in another directory
		}
	}
	return "", ErrNoProgram
}
