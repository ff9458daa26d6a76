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
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// longestSocketPath is what fits on every system: 104 bytes with a zero at the end on macOS, 108 on Linux.
const longestSocketPath = 103

var errLoading = errors.New("the store's server is loading its data")

// absent reports whether an error of dial or connect means that nobody listens, or that who listened ended just then.
func absent(err error) bool {
	for _, known := range []error{syscall.ECONNREFUSED, os.ErrNotExist, syscall.ECONNRESET, syscall.EPIPE, io.EOF} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// dial connects to the socket, whatever the server says.
func (s *Server) dial(ctx context.Context) (net.Conn, error) {
	path := s.file(socketName)
	if len(path) > longestSocketPath {
		// A link with a short name leads to the directory, just while connecting.
		short, err := os.MkdirTemp("", "crm")
		if err != nil {
			return nil, fmt.Errorf("connect to %s: %w", path, err)
		}
		defer func() { _ = os.RemoveAll(short) }() // what is left is an empty directory among the temporary ones
		link := filepath.Join(short, "d")
		if err := os.Symlink(s.dir, link); err != nil {
			return nil, fmt.Errorf("connect to %s: %w", path, err)
		}
		path = filepath.Join(link, socketName)
	}
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}

// connect is a connection to a server that has loaded its data; errLoading when it has not yet.
func (s *Server) connect(ctx context.Context) (net.Conn, error) {
	conn, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	reply, err := ask(ctx, conn, "PING")
	switch {
	case err != nil:
		err = fmt.Errorf("ask the store's server: %w", err)
	case strings.HasPrefix(reply, "-LOADING"):
		err = errLoading
	case reply != "+PONG":
		err = fmt.Errorf("ask the store's server: it says %q", reply)
	default:
		return conn, nil
	}
	return nil, errors.Join(err, conn.Close())
}

// ask sends a command without arguments of its own and reads the first line of the answer; nothing may be under
// way on the connection.
func ask(ctx context.Context, conn net.Conn, command string) (string, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write([]byte(command + "\r\n")); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil && ctx.Err() != nil {
		return "", ctx.Err()
	}
	return strings.TrimRight(line, "\r\n"), err
}
