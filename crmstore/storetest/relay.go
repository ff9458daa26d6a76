package storetest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Relay passes commands on to a server, and answers those itself that it is told to.
type Relay struct {
	Address string // host:port

	mu     sync.Mutex
	answer func(command string) string
}

// StartRelay starts a relay in front of the server at host:port, which passes everything on until it is told otherwise.
func StartRelay(t testing.TB, server string) *Relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal("storetest: ", err)
	}
	r := &Relay{Address: l.Addr().String()}
	var serving sync.WaitGroup
	var conns sync.Map
	t.Cleanup(func() {
		_ = l.Close()
		conns.Range(func(conn, _ any) bool { return conn.(net.Conn).Close() == nil || true })
		serving.Wait()
	})
	serving.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				_ = client.Close()
				continue
			}
			conns.Store(client, nil)
			conns.Store(upstream, nil)
			serving.Go(func() {
				r.serve(client, upstream)
				_ = client.Close()
				_ = upstream.Close()
			})
		}
	})
	return r
}

// Answer tells the relay what to answer to a command, which comes by its name in small letters: an error of the server without the
// dash, or "" to pass the command on. nil passes everything on.
func (r *Relay) Answer(answer func(command string) string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *Relay) answerTo(command string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answer == nil {
		return ""
	}
	return r.answer(command)
}

// serve takes one command after the other, so that answers keep their order.
func (r *Relay) serve(client, server net.Conn) {
	commands, replies := bufio.NewReader(client), bufio.NewReader(server)
	for {
		var command, reply bytes.Buffer
		if copyValue(&command, commands) != nil {
			return
		}
		name := ""
		if lines := strings.SplitN(command.String(), "\r\n", 4); len(lines) > 2 {
			name = strings.ToLower(lines[2])
		}
		if text := r.answerTo(name); text != "" {
			reply.WriteString("-" + text + "\r\n")
		} else if _, err := server.Write(command.Bytes()); err != nil || copyValue(&reply, replies) != nil {
			return
		}
		if _, err := client.Write(reply.Bytes()); err != nil {
			return
		}
	}
}

// copyValue copies one value of the Redis protocol, with all that is in it.
func copyValue(to *bytes.Buffer, from *bufio.Reader) error {
	line, err := from.ReadString('\n')
	if err != nil {
		return err
	}
	to.WriteString(line)
	size := func() (int, error) { return strconv.Atoi(strings.TrimSpace(line[1:])) }
	switch line[0] {
	case '$', '=', '!': // text of a length
		n, err := size()
		if err != nil || n < 0 {
			return err
		}
		_, err = io.CopyN(to, from, int64(n)+2)
		return err
	case '*', '~', '>', '%': // so many values, or pairs
		n, err := size()
		if line[0] == '%' {
			n *= 2
		}
		for ; err == nil && n > 0; n-- {
			err = copyValue(to, from)
		}
		return err
	case '+', '-', ':', '_', ',', '#', '(':
		return nil
	default:
		return fmt.Errorf("no value begins with %q", line[0])
	}
}
