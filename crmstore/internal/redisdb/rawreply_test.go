package redisdb

import (
	"bufio"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	for reply, want := range map[string][][]byte{
		"*0\r\n":                                         nil,
		"*2\r\n$1\r\na\r\n$-1\r\n":                       {[]byte("a"), nil},
		"*2\r\n_\r\n$4\r\n\r\n*1\r\n":                    {nil, []byte("\r\n*1")},
		"~1\r\n$0\r\n\r\n":                               {{}},
		"*1\r\n$12\r\nabcdefghijkl\r\n":                  {[]byte("abcdefghijkl")},
		"*3\r\n$1\r\n1\r\n$1\r\n2\r\n$2\r\n\x00\xff\r\n": {[]byte("1"), []byte("2"), {0, 255}},
	} {
		a := RawReply{[]byte(reply)}
		got, err := a.Values(nil)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", reply, err, diff)
		}
		var list []any
		for _, v := range got {
			if v == nil {
				list = append(list, nil)
			} else {
				list = append(list, string(v))
			}
		}
		again := RawReply{appendReply(nil, list)}
		if second, err := again.Values(nil); err != nil || !cmp.Equal(want, second) {
			t.Errorf("%q written again is %q, %v", reply, again.Bytes, err)
		}
		for cut := range len(reply) {
			short := RawReply{[]byte(reply[:cut])}
			if got, err := short.Values(nil); err == nil {
				t.Errorf("%q, cut off, is read as %q", reply[:cut], got)
			}
		}
	}
	for _, odd := range []string{"", "-ERR no\r\n", "+OK\r\n", ":1\r\n", "$3\r\nabc\r\n", "*1\r\n:5\r\n", "*x\r\n", "*99999999999999\r\n", "$-2\r\n"} {
		a := RawReply{[]byte(odd)}
		if got, err := a.Values(nil); err == nil {
			t.Errorf("%q is read as %q", odd, got)
		}
	}
	if a := (RawReply{[]byte("-LOADING\r\n")}); !a.failed() || !(&RawReply{}).failed() {
		t.Error("an error is taken for an answer")
	}
}

// A value is taken out of the connection's buffer as long as the client says it is, whatever follows.
func TestAnswerReadsValues(t *testing.T) {
	t.Parallel()
	in := bufio.NewReader(strings.NewReader(strings.Repeat("x", 5000) + "rest"))
	var a RawReply
	for range 2 {
		a.Bytes = a.Bytes[:0]
		if n, err := io.CopyN(&a, in, 2500); n != 2500 || err != nil || len(a.Bytes) != 2500 {
			t.Fatalf("%d bytes, %v", n, err)
		}
	}
	if n, err := io.CopyN(&a, in, 10); n != 4 || err == nil {
		t.Errorf("%d bytes of 4, %v", n, err)
	}
	if n, err := io.Copy(&a, io.MultiReader(strings.NewReader("ab"), strings.NewReader("c"))); n != 3 || err != nil || !strings.HasSuffix(string(a.Bytes), "restabc") {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte("*2\r\n$1\r\na\r\n$-1\r\n"))
	f.Add([]byte("$3\r\nabc\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a := RawReply{b}
		got, err := a.Values(nil)
		size := 0
		for _, v := range got {
			size += len(v)
		}
		if size > len(b) {
			t.Errorf("%d bytes of values in %d", size, len(b))
		}
		if v, oneErr := a.Value(); err == nil && oneErr == nil {
			t.Errorf("%q is both %q and %q", b, got, v)
		}
	})
}
