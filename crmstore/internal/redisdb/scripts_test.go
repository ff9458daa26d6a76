package redisdb

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// oddServer answers scripts with the given replies, one after the other; "" closes the connection instead.
type oddServer struct {
	mu      sync.Mutex
	replies []string
	scripts []string // the commands that brought scripts: evalsha or eval
}

// open starts the server and a client of it.
func (o *oddServer) open(t *testing.T) *DB {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() { o.serve(conn) })
		}
	})
	s, err := connectSingle("redis://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		l.Close()
		served.Wait()
	})
	return s
}

func (o *oddServer) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		command, err := readCommand(in)
		if err != nil {
			return
		}
		reply := "-ERR unknown command"
		if name := strings.ToLower(command); strings.HasPrefix(name, "eval") {
			o.mu.Lock()
			o.scripts = append(o.scripts, name)
			reply, o.replies = o.replies[0], o.replies[1:]
			o.mu.Unlock()
		}
		if reply == "" {
			return
		}
		if _, err := io.WriteString(conn, reply+"\r\n"); err != nil {
			return
		}
	}
}

// readCommand reads one command and returns its name.
func readCommand(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
	if err != nil {
		return "", err
	}
	var name string
	for i := range n {
		size, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		length, err := strconv.Atoi(strings.TrimSpace(size[1:]))
		if err != nil {
			return "", err
		}
		arg := make([]byte, length+2)
		if _, err := io.ReadFull(in, arg); err != nil {
			return "", err
		}
		if i == 0 {
			name = string(arg[:length])
		}
	}
	return name, nil
}

// A script whose reply was lost may have been carried out, so it is never sent twice; one that the server
// certainly did not start is.
func TestScriptsAreSentAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		replies []string
		calls   int
		want    string // replies and error
		scripts string
	}{
		"done":               {[]string{":7"}, 1, "[7] <nil>", "evalsha"},
		"nothing":            {[]string{"$-1"}, 1, "[<nil>] <nil>", "evalsha"},
		"unknown":            {[]string{"-NOSCRIPT No matching script.", ":7"}, 1, "[7] <nil>", "evalsha eval"},
		"unknown for ever":   {[]string{"-NOSCRIPT a", "-NOSCRIPT b"}, 1, "[<nil>] NOSCRIPT b", "evalsha eval"},
		"loading":            {[]string{"-LOADING a", "-LOADING b", ":7"}, 1, "[7] <nil>", "evalsha evalsha evalsha"},
		"lost":               {[]string{""}, 1, "[<nil>] the connection to the store broke off", "evalsha"},
		"refused":            {[]string{"-ERR no"}, 1, "[<nil>] ERR no", "evalsha"},
		"one of three fails": {[]string{":1", "-ERR no", ":3"}, 3, "[1 <nil> 3] ERR no", "evalsha evalsha evalsha"},
		"two unknown":        {[]string{"-NOSCRIPT a", ":2", "-NOSCRIPT b", ":1", ":3"}, 3, "[1 2 3] <nil>", "evalsha evalsha evalsha eval eval"},
		"lost in a pipeline": {[]string{""}, 3, "[<nil> <nil> <nil>] the connection to the store broke off", "evalsha"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &oddServer{replies: c.replies}
			s := o.open(t)
			calls := make([]Call, c.calls)
			for i := range calls {
				calls[i] = Call{Script: &Script{name: "one", Source: "return 1", Sha: "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"}, Keys: []string{"a", "b"}, Args: []any{i}}
			}
			replies, err := s.RunAll(t.Context(), calls)
			if got := fmt.Sprint(replies, " ", err); !strings.HasPrefix(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
			o.mu.Lock()
			defer o.mu.Unlock()
			if got := strings.Join(o.scripts, " "); got != c.scripts || len(o.replies) != 0 {
				t.Errorf("sent %s, want %s", got, c.scripts)
			}
		})
	}
}
