package suite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"

	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/rivals"
)

// server is a redis-server of our own on a socket, which writes to disk only when it is told to.
type server struct {
	socket string
	cmd    *exec.Cmd
	direct *rivals.Hashes // for what is no business of the store: FLUSHALL, INFO
}

// startWithin is how long a server may take until it answers.
const startWithin = 20 * time.Second

func startServer(ctx context.Context, dir, name string) (*server, error) {
	program, err := findServer()
	if err != nil {
		return nil, err
	}
	home := filepath.Join(dir, name)
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of a server: %w", err)
	}
	s := &server{socket: filepath.Join(home, "s")}
	args := []string{
		"--port", "0", "--unixsocket", s.socket, "--save", "", "--appendonly", "no",
		"--dir", home, "--logfile", filepath.Join(home, "log"), "--daemonize", "no",
	}
	version, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("ask %s for its version: %w", program, err)
	}
	if !bytes.Contains(version, []byte("v=6.")) { // which allows DEBUG, for rewind, and does not know the setting
		args = append(args, "--enable-debug-command", "yes")
	}
	s.cmd = exec.CommandContext(ctx, program, args...)
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	s.direct = rivals.OpenHashes(s.socket)
	limit := time.NewTimer(startWithin)
	defer limit.Stop()
	for {
		err := s.direct.Do(ctx, "ping")
		if err == nil {
			return s, nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-limit.C:
			return nil, errors.Join(fmt.Errorf("%s does not answer: %w", program, err), s.stop())
		}
	}
}

func findServer() (string, error) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("redis-server or valkey-server must be on PATH")
}

func (s *server) stop() error {
	err := s.direct.Close()
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // says that it was killed
	return err
}

func (s *server) url() string { return "unix://" + s.socket }

func (s *server) empty(ctx context.Context) error { return s.direct.Do(ctx, "flushall") }

// keep writes down what is there, for rewind.
func (s *server) keep(ctx context.Context) error { return s.direct.Do(ctx, "save") }

// rewind brings back what was there at keep.
func (s *server) rewind(ctx context.Context) error {
	return s.direct.Do(ctx, "debug", "reload", "nosave")
}

// user acts in all accounts that are measured.
const user = "benchmark"

// open opens an account of the server, which need not exist.
func (s *server) open(ctx context.Context, account string) (*crmstore.Store, error) {
	return crmstore.Open(ctx, crmstore.Config{URL: s.url(), Account: account, User: user})
}
