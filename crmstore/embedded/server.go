//go:build unix

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	startWithin   = 60 * time.Second     // a server that we started, until it listens
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
	if err := private(dir); err != nil {
		return nil, fmt.Errorf("open directory store %s: %w", dir, err)
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
	defer release(start)
	if s.users, err = openLock(s.file(usersName)); err != nil {
		return err
	}
	if err := share(s.users); err != nil {
		return errors.Join(err, s.users.Close())
	}
	if err := s.ensure(ctx); err != nil {
		return errors.Join(err, s.leave(context.WithoutCancel(ctx))) // also when it was the context that ended
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
	defer release(start)
	if err := s.leave(ctx); err != nil {
		return fmt.Errorf("leave directory store %s: %w", s.dir, err)
	}
	return nil
}

// leave gives the share of the users' lock up, and stops the server when it was the last one. The caller holds
// the start lock, so nobody can join meanwhile.
func (s *Server) leave(ctx context.Context) error {
	defer release(s.users)
	last, err := tryAlone(s.users)
	if err != nil || !last {
		return err
	}
	return s.stop(ctx)
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
	defer release(start)
	if s.closed.Load() { // closed while we waited; a server started now would have no user
		return nil, net.ErrClosed
	}
	if err := s.ensure(ctx); err != nil {
		return nil, err
	}
	return s.connect(ctx)
}

func (s *Server) file(name string) string { return filepath.Join(s.dir, name) }

// ensure returns when the server answers. It starts one if none lives, once. The caller holds the start lock.
func (s *Server) ensure(ctx context.Context) error {
	var started string
	var silent time.Duration
	for {
		conn, err := s.connect(ctx)
		switch {
		case err == nil:
			return conn.Close()
		case absent(err):
			if started, err = s.absentServer(ctx, started, silent); err != nil {
				return err
			}
			silent += pollEvery
		case !errors.Is(err, errLoading): // a server that loads may take as long as it needs
			return err
		}
		if err := wait(ctx); err != nil {
			return fmt.Errorf("wait for the store's server: %w", err)
		}
	}
}

// absentServer decides what to do when nobody listens: wait, start a server, or give up. started is the program
// that was started already, if any; silent is how long nobody has listened.
func (s *Server) absentServer(ctx context.Context, started string, silent time.Duration) (string, error) {
	alive, err := s.alive()
	switch {
	case err != nil:
		return started, err
	case alive && started != "" && silent > startWithin:
		return started, fmt.Errorf("%s does not listen; the end of %s says: %s", started, s.file(logName), s.lastWords())
	case alive && started == "" && silent > silentAtMost:
		return started, fmt.Errorf("the store's server (process %s) lives but its socket %s is gone; stop that process and try again",
			s.pid(), s.file(socketName))
	case alive: // it is about to listen, or about to end
		return started, nil
	case started != "":
		return started, fmt.Errorf("%s ended at once; the end of %s says: %s", started, s.file(logName), s.lastWords())
	}
	return s.start(ctx)
}

// start starts a server and returns the name of its program. The caller knows that none lives; should one appear
// all the same, the server's lock keeps it the only one.
func (s *Server) start(ctx context.Context) (program string, err error) {
	held, err := openLock(s.file(serverName))
	if err != nil {
		return "", err
	}
	defer release(held) // the server has a copy by then, and with it the lock
	if free, err := tryAlone(held); err != nil || !free {
		return "", err
	}
	if program, err = findProgram(); err != nil {
		return "", err
	}
	if err := os.Remove(s.file(socketName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("remove the socket of a server that died: %w", err)
	}
	return program, s.launch(ctx, program, held)
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

// release closes a lock or a connection that is no longer needed; nothing depends on how that ends.
func release(c io.Closer) { _ = c.Close() }

// alive reports whether a server holds its lock.
func (s *Server) alive() (bool, error) {
	f, err := openLock(s.file(serverName))
	if err != nil {
		return false, err
	}
	defer release(f)
	free, err := tryAlone(f)
	return !free, err
}

// stop lets the server write out everything and end, and waits until it is gone.
func (s *Server) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	conn, err := s.dial(ctx)
	switch {
	case absent(err):
		return nil // it died before
	case err != nil:
		return fmt.Errorf("stop the store's server: %w", err)
	}
	defer release(conn)
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
