package storetest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Relay passes commands on to a server, and answers those itself that it is told to.
type Relay struct {
	Address string // host:port

	mu     sync.Mutex
	answer func(command string) string
	ahead  time.Duration
	server string
	conns  sync.Map // all that were ever made
}

// hangUp ends all connections.
func (r *Relay) hangUp() {
	r.conns.Range(func(conn, _ any) bool { return conn.(net.Conn).Close() == nil || true })
}

// StartRelay starts a relay in front of the server at host:port, which passes everything on until it is told otherwise.
func StartRelay(t testing.TB, server string) *Relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal("storetest: ", err)
	}
	r := &Relay{Address: l.Addr().String(), server: server}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		r.hangUp()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", r.upstream())
			if err != nil {
				_ = client.Close()
				continue
			}
			r.conns.Store(client, nil)
			r.conns.Store(upstream, nil)
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

// Ahead lets the server's clock show that much more than it does; less below 0.
func (r *Relay) Ahead(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ahead = d
}

// FailOver has the relay lead to another server, and ends all connections to the one before.
func (r *Relay) FailOver(server string) {
	r.mu.Lock()
	r.server = server
	r.mu.Unlock()
	r.hangUp()
}

func (r *Relay) upstream() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.server
}

// shifted is the server's answer to TIME, as its clock would give it.
func (r *Relay) shifted(reply []byte) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	parts := strings.Split(string(reply), "\r\n") // *2 $10 seconds $6 microseconds
	if len(parts) < 5 {
		return reply
	}
	seconds, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return reply
	}
	parts[2] = strconv.FormatInt(seconds+int64(r.ahead/time.Second), 10)
	parts[1] = "$" + strconv.Itoa(len(parts[2]))
	return []byte(strings.Join(parts, "\r\n"))
}

func (r *Relay) answerTo(command string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answer == nil {
		return ""
	}
	return r.answer(command)
}

// streams are commands after which a server says what it wants, when it wants: replicas and sentinels send them.
func streams(command string) bool {
	return slices.Contains([]string{"psync", "sync", "subscribe", "psubscribe", "monitor"}, command)
}

// stream passes on what comes from either side, until one of them hangs up.
func stream(client, server net.Conn, commands, replies io.Reader) {
	var sending sync.WaitGroup
	sending.Go(func() {
		_, _ = io.Copy(server, commands)
		_ = server.Close()
	})
	_, _ = io.Copy(client, replies)
	_ = client.Close()
	_ = server.Close()
	sending.Wait()
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
		if streams(name) {
			if _, err := server.Write(command.Bytes()); err == nil {
				stream(client, server, commands, replies)
			}
			return
		}
		if text := r.answerTo(name); text != "" {
			reply.WriteString("-" + text + "\r\n")
		} else if _, err := server.Write(command.Bytes()); err != nil || copyValue(&reply, replies) != nil {
			return
		}
		told := reply.Bytes()
		if name == "time" {
			told = r.shifted(told)
		}
		if _, err := client.Write(told); err != nil {
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
