package redisdb

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// RawReply is one reply as it came over the wire, in memory that is used again: large replies cost no garbage and are
// copied once. Values that are taken out share its bytes, so they are good until the next question.
type RawReply struct{ Bytes []byte }

// Write appends what the client read.
func (a *RawReply) Write(p []byte) (int, error) {
	a.Bytes = append(a.Bytes, p...)
	return len(p), nil
}

// ReadFrom takes a value straight out of the connection's buffer. The client says how long it is by a LimitedReader.
func (a *RawReply) ReadFrom(r io.Reader) (int64, error) {
	l, ok := r.(*io.LimitedReader)
	if !ok {
		return io.Copy(struct{ io.Writer }{a}, r)
	}
	at, n := len(a.Bytes), int(l.N)
	a.Bytes = slices.Grow(a.Bytes, n)[:at+n]
	read, err := io.ReadFull(l.R, a.Bytes[at:])
	a.Bytes = a.Bytes[:at+read]
	l.N -= int64(read)
	return int64(read), err
}

// failed reports whether the server answered with an error, or not at all.
func (a *RawReply) failed() bool { return len(a.Bytes) == 0 || a.Bytes[0] == '-' || a.Bytes[0] == '!' }

// ErrOddReply says that a reply has another form than the command asks for.
var ErrOddReply = errors.New("the server answered in a form that this program does not know")

// Values appends the values of an array of texts to dst; nil stands for one that is not there.
func (a *RawReply) Values(dst [][]byte) ([][]byte, error) {
	rest := a.Bytes
	kind, n, rest := ReplyHead(rest)
	if kind != '*' && kind != '~' || n < 0 {
		return dst, ErrOddReply
	}
	for range n {
		var v []byte
		var ok bool
		if v, rest, ok = replyValue(rest); !ok {
			return dst, ErrOddReply
		}
		dst = append(dst, v)
	}
	return dst, nil
}

// Value is the one text of the answer; nil when it is not there.
func (a *RawReply) Value() ([]byte, error) {
	v, _, ok := replyValue(a.Bytes)
	if !ok {
		return nil, ErrOddReply
	}
	return v, nil
}

// Number is the one whole number of the answer.
func (a *RawReply) Number() (int64, bool) {
	if len(a.Bytes) < 4 || a.Bytes[0] != ':' {
		return 0, false
	}
	n, err := strconv.ParseInt(string(a.Bytes[1:len(a.Bytes)-2]), 10, 64)
	return n, err == nil
}

// ReplyHead reads a line such as *12 or $5. Kind 0 says that there is none.
func ReplyHead(b []byte) (kind byte, n int, rest []byte) {
	if len(b) < 3 {
		return 0, 0, nil
	}
	n, at := 0, 1
	for ; at < len(b) && b[at] >= '0' && b[at] <= '9' && at < 12; at++ {
		n = 10*n + int(b[at]-'0')
	}
	if b[0] == '_' || bytes.HasPrefix(b[1:], []byte("-1\r\n")) {
		n, at = -1, bytes.IndexByte(b, '\r')
	}
	if at < 1 || at+2 > len(b) || b[at] != '\r' || b[at+1] != '\n' {
		return 0, 0, nil
	}
	return b[0], n, b[at+2:]
}

// replyValue reads a text, or nil for one that is not there.
func replyValue(b []byte) (v, rest []byte, ok bool) {
	kind, n, rest := ReplyHead(b)
	switch {
	case kind == '_', kind == '$' && n < 0:
		return nil, rest, true
	case kind != '$' || n+2 > len(rest):
		return nil, nil, false
	}
	return rest[:n:n], rest[n+2:], true
}

// Ask sends commands in one pipeline and keeps their replies as they come, into as many answers. What fails is sent
// again in the client's own way, which follows a cluster's redirections, connects anew and says what is wrong. So
// only commands that change nothing may be asked.
func (d *DB) Ask(ctx context.Context, commands [][]any, into []RawReply) error {
	if len(commands) == 0 {
		return nil
	}
	pipe := d.Redis.Pipeline()
	for i, args := range commands {
		into[i].Bytes = into[i].Bytes[:0]
		_ = pipe.Process(ctx, redis.NewRawWriteToCmd(ctx, &into[i], args...))
	}
	_, broken := pipe.Exec(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	pipe = d.Redis.Pipeline()
	again := map[int]*redis.Cmd{}
	for i, args := range commands {
		if broken != nil || into[i].failed() {
			again[i] = pipe.Do(ctx, args...)
		}
	}
	if len(again) == 0 {
		return nil
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return d.Explain(err)
	}
	for i, command := range again {
		into[i].Bytes = appendReply(into[i].Bytes[:0], command.Val())
	}
	return nil
}

// appendReply writes a reply that the client has decoded as it would come over the wire.
func appendReply(b []byte, reply any) []byte {
	switch v := reply.(type) {
	case []any:
		b = append(strconv.AppendInt(append(b, '*'), int64(len(v)), 10), "\r\n"...)
		for _, item := range v {
			b = appendReply(b, item)
		}
		return b
	case map[any]any: // a hash, as newer servers answer
		b = append(strconv.AppendInt(append(b, '*'), int64(2*len(v)), 10), "\r\n"...)
		for field, value := range v {
			b = appendReply(appendReply(b, field), value)
		}
		return b
	case string:
		b = append(strconv.AppendInt(append(b, '$'), int64(len(v)), 10), "\r\n"...)
		return append(append(b, v...), "\r\n"...)
	case int64:
		return append(strconv.AppendInt(append(b, ':'), v, 10), "\r\n"...)
	default:
		return append(b, "$-1\r\n"...)
	}
}
