package wire

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"
)

// Far stands between clients and a server as a long way would: what is said arrives after a delay, in both directions.
type Far struct {
	listener net.Listener
	delay    time.Duration
}

// chunk is what was said at once, and when it may arrive.
type chunk struct {
	bytes []byte
	at    time.Time
}

const (
	chunkBytes = 1 << 16
	onTheWay   = 1 << 10 // chunks
)

// Away listens on socket and passes everything on to the server's socket, delay later each way. Its user must Close it.
func Away(ctx context.Context, socket, server string, delay time.Duration) (*Far, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("listen far away: %w", err)
	}
	f := &Far{listener: l, delay: delay}
	go between(ctx, l, server, func(client, server net.Conn) {
		go f.pass(server, client)
		go f.pass(client, server)
	})
	return f, nil
}

// Close stops listening; connections end with their clients.
func (f *Far) Close() error { return f.listener.Close() }

// pass passes on what from says until it ends, and then ends to.
func (f *Far) pass(to io.WriteCloser, from io.Reader) {
	way := make(chan chunk, onTheWay)
	go func() {
		for c := range way {
			<-time.After(time.Until(c.at))
			if _, err := to.Write(c.bytes); err != nil {
				break
			}
		}
		_ = to.Close()
		for range way { // whoever reads must not wait for one that is gone
			continue
		}
	}()
	defer close(way)
	for {
		b := make([]byte, chunkBytes)
		n, err := from.Read(b)
		if n > 0 {
			way <- chunk{b[:n], time.Now().Add(f.delay)}
		}
		if err != nil {
			return
		}
	}
}
