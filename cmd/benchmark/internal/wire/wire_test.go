package wire

import (
	"bufio"
	"strings"
	"testing"
)

func TestSkip(t *testing.T) {
	t.Parallel()
	for reply, want := range map[string]int64{
		"+OK\r\n": 0, ":12\r\n": 0, "$-1\r\n": 0, "$0\r\n\r\n": 0, "$5\r\na\r\nbc\r\n": 5,
		"*2\r\n$1\r\nx\r\n*1\r\n$3\r\nabc\r\n": 4, "%1\r\n$1\r\nk\r\n:1\r\n": 1, "*-1\r\n": 0,
	} {
		in := bufio.NewReader(strings.NewReader(reply + "+next\r\n"))
		got, err := skip(in)
		if err != nil || got != want {
			t.Errorf("skip(%q) = %d, %v; want %d", reply, got, err, want)
		}
		if rest, _ := in.ReadString('\n'); rest != "+next\r\n" {
			t.Errorf("skip(%q) left %q", reply, rest)
		}
	}
	if _, err := skip(bufio.NewReader(strings.NewReader("-ERR no\r\n"))); err == nil || !strings.Contains(err.Error(), "ERR no") {
		t.Errorf("an error reply gave %v", err)
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	stream := append(Command("EVALSHA", "a\r\n*b", ""), Command("PING")...)
	size, name, err := next(stream)
	if err != nil || string(name) != "EVALSHA" {
		t.Fatalf("next = %q, %v", name, err)
	}
	if _, name, err = next(stream[size:]); err != nil || string(name) != "PING" {
		t.Errorf("the second command is %q, %v", name, err)
	}
	if _, _, err = next(stream[:size-1]); err == nil {
		t.Error("a command that is cut off was taken for whole")
	}
}
