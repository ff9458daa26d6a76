//go:build !unix

package embedded

import (
	"context"
	"errors"
	"net"
)

// Server stands for the real thing, which needs unix sockets and flock.
type Server struct{}

var errSystem = errors.New("a store in a directory needs Linux, macOS or another unix; " +
	"name another store: --store redis://HOST:PORT, or --store memory")

// Open always fails on this system.
func Open(context.Context, string) (*Server, error) { return nil, errSystem }

// Dial always fails on this system.
func (*Server) Dial(context.Context, string, string) (net.Conn, error) { return nil, errSystem }

// Close does nothing on this system.
func (*Server) Close() error { return nil }
