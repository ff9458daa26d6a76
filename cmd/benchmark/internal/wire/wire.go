// Package wire is the limit: bytes to and from a Redis server without a client library and without looking at them.
//
// Nothing that reads the same replies can be faster than [Ask] by more than noise. The package decodes no reply
// beyond what it needs to find its end, and keeps none.
package wire

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"

	"golang.org/x/sync/errgroup"
)

// readBuffer is the size of the buffer that replies are read through and dropped from.
const readBuffer = 256 << 10

// Command is a command as it goes over the wire.
func Command(args ...string) []byte {
	b := append([]byte{'*'}, strconv.Itoa(len(args))...)
	for _, a := range args {
		b = append(b, "\r\n$"...)
		b = strconv.AppendInt(b, int64(len(a)), 10)
		b = append(b, "\r\n"...)
		b = append(b, a...)
	}
	return append(b, "\r\n"...)
}

// Batch is commands that travel in one pipeline.
type Batch struct {
	Bytes    []byte
	Commands int
}

// Add appends a command.
func (b *Batch) Add(args ...string) {
	b.Bytes = append(b.Bytes, Command(args...)...)
	b.Commands++
}

// Ask sends batches over as many connections as there are lists of batches, one batch under way on each, and drops
// the replies. It returns how many bytes of values they held. An error reply ends it.
func Ask(ctx context.Context, socket string, lanes [][]Batch) (int64, error) {
	sizes := make([]int64, len(lanes))
	g, ctx := errgroup.WithContext(ctx)
	for i, batches := range lanes {
		g.Go(func() error {
			conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
			if err != nil {
				return fmt.Errorf("connect to the server: %w", err)
			}
			defer conn.Close() //nolint:errcheck // nothing is buffered
			in := bufio.NewReaderSize(conn, readBuffer)
			for _, b := range batches {
				if sizes[i], err = exchange(ctx, conn, in, b, sizes[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := g.Wait()
	var sum int64
	for _, n := range sizes {
		sum += n
	}
	return sum, err
}

// exchange writes a batch while it reads the replies, so that neither side can block the other.
func exchange(ctx context.Context, out io.Writer, in *bufio.Reader, b Batch, size int64) (int64, error) {
	g, _ := errgroup.WithContext(ctx)
	g.Go(func() error {
		_, err := out.Write(b.Bytes)
		return err
	})
	var err error
	for range b.Commands {
		var n int64
		if n, err = skip(in); err != nil {
			break
		}
		size += n
	}
	if err != nil {
		return size, err // the connection is closed by the caller, which ends the writing
	}
	return size, g.Wait()
}

// skip reads one reply to its end and returns how many bytes of values it held.
func skip(in *bufio.Reader) (int64, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return 0, fmt.Errorf("read a reply: %w", err)
	}
	kind, rest := line[0], bytes.TrimSpace(line[1:])
	switch kind {
	case '-':
		return 0, fmt.Errorf("the server answered: %s", rest)
	case '$', '=', '*', '%', '~':
	default:
		return 0, nil
	}
	n, err := strconv.Atoi(string(rest))
	if err != nil {
		return 0, fmt.Errorf("read a reply: %w", err)
	}
	switch {
	case n < 0: // nothing there
		return 0, nil
	case kind == '$' || kind == '=':
		if _, err := in.Discard(n + 2); err != nil {
			return 0, fmt.Errorf("read a reply: %w", err)
		}
		return int64(n), nil
	case kind == '%':
		n *= 2
	}
	var size int64
	for range n {
		one, err := skip(in)
		if err != nil {
			return size, err
		}
		size += one
	}
	return size, nil
}
