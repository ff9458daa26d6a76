package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
)

// Recorder stands between a client and a server and keeps what the client sends, so that it can be sent again without
// the work that made it.
type Recorder struct {
	listener net.Listener

	mu      sync.Mutex // guards streams and their bytes
	streams []*bytes.Buffer
}

// Record listens on socket and passes everything on to the server's socket. Its user must Close it.
func Record(ctx context.Context, socket, server string) (*Recorder, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("listen for a recording: %w", err)
	}
	r := &Recorder{listener: l}
	go between(ctx, l, server, r.keep)
	return r, nil
}

// Close stops listening; connections end with their clients.
func (r *Recorder) Close() error { return r.listener.Close() }

// keep passes on what both sides say, and keeps what the client does.
func (r *Recorder) keep(client, server net.Conn) {
	stream := &bytes.Buffer{}
	r.mu.Lock()
	r.streams = append(r.streams, stream)
	r.mu.Unlock()
	go func() {
		_, _ = io.Copy(io.MultiWriter(&locked{&r.mu, stream}, server), client)
		_ = server.Close()
	}()
	go func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}()
}

// between gives each client that comes to the listener a connection of its own to the server's socket, until it is closed.
func between(ctx context.Context, l net.Listener, socket string, join func(client, server net.Conn)) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		server, err := new(net.Dialer).DialContext(ctx, "unix", socket)
		if err != nil {
			_ = client.Close()
			continue
		}
		join(client, server)
	}
}

// locked writes under a lock.
type locked struct {
	mu *sync.Mutex
	w  io.Writer
}

// Write appends to the recording.
func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// Only returns the recorded commands of that name (in lower case) in batches of at most size, as they follow one another
// on a connection, dealt out to so many lanes in turns.
func (r *Recorder) Only(name string, size, lanes int) ([][]Batch, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	dealt, n := make([][]Batch, lanes), 0
	deal := func(b Batch) {
		if b.Commands > 0 {
			dealt[n%lanes] = append(dealt[n%lanes], b)
			n++
		}
	}
	for _, stream := range r.streams {
		var batch Batch
		for rest := stream.Bytes(); len(rest) > 0; {
			length, command, err := next(rest)
			if err != nil {
				return nil, err
			}
			if bytes.EqualFold(command, []byte(name)) {
				batch.Bytes = append(batch.Bytes, rest[:length]...)
				if batch.Commands++; batch.Commands == size {
					deal(batch)
					batch = Batch{}
				}
			}
			rest = rest[length:]
		}
		deal(batch)
	}
	return dealt, nil
}

var errCut = errors.New("the recording is cut off within a command")

// next finds the end of the first command, and its name.
func next(b []byte) (size int, name []byte, err error) {
	header := func(kind byte) (int, error) {
		end := bytes.IndexByte(b[size:], '\n')
		if end < 2 || b[size] != kind {
			return 0, errCut
		}
		n, err := strconv.Atoi(string(bytes.TrimSpace(b[size+1 : size+end])))
		size += end + 1
		return n, err
	}
	args, err := header('*')
	if err != nil {
		return 0, nil, err
	}
	for i := range args {
		n, err := header('$')
		if err != nil {
			return 0, nil, err
		}
		if size+n+2 > len(b) {
			return 0, nil, errCut
		}
		if i == 0 {
			name = b[size : size+n]
		}
		size += n + 2
	}
	return size, name, nil
}
