package redisdb

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Script is one Lua script: one atomic act on the keys of one hash tag.
type Script struct {
	name   string
	Source string
	Sha    string
}

// MustScript reads <name>.lua. In front of it come lib/check.lua, the libraries of a header line "-- Uses: x y",
// and the check of the keys that the header line "-- Types: …" asks for. It panics when a file is missing: scripts are part of
// the program.
func MustScript(files fs.FS, name string) *Script {
	text := MustLua(files, name+".lua")
	return NewScript(files, name, text, KeysCheck(HeaderLine(text, "Types")))
}

// NewScript puts libraries, the check of the keys and a script's own text together.
func NewScript(files fs.FS, name, text, check string) *Script {
	var all strings.Builder
	all.WriteString(MustLua(files, "lib/check.lua"))
	libs := strings.Fields(HeaderLine(text, "Uses"))
	slices.Reverse(libs) // a library may use those that the header names after it
	for _, lib := range libs {
		all.WriteString(MustLua(files, "lib/"+lib+".lua"))
	}
	all.WriteString(check + text)
	source := all.String()
	sum := sha1.Sum([]byte(source))
	return &Script{name: name, Source: source, Sha: hex.EncodeToString(sum[:])}
}

// HeaderLine is what stands behind a word in a script's header.
func HeaderLine(text, word string) string {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "-- "+word+": "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// probe is the cheapest question that a key of another type answers with an error; one that is not there has every type.
func probe(kind, key string) string {
	ask := map[string]string{
		"hash": "'HSTRLEN', KEY, ''", "string": "'STRLEN', KEY", "list": "'LLEN', KEY", "set": "'SISMEMBER', KEY, ''", "zset": "'ZCARD', KEY",
		"stream": "'XREVRANGE', KEY, '+', '-', 'COUNT', 1",
	}[kind]
	if ask == "" {
		return ""
	}
	return "    call(" + strings.Replace(ask, "KEY", key, 1) + ")\n"
}

// KeysCheck is the Lua that refuses, before a script does anything, keys that hold something else than they should. Types
// are those of KEYS in order: hash, string, list, set, zset, stream, or log for a stream that gets events. The last may
// end in ".." and stand for all further keys too; * leaves a key, and "*.." all further ones, to the script. Insert has a key for each column, so
// the questions are asked in a row, and only when one fails the library finds out which.
func KeysCheck(types string) string {
	var kinds []string
	var asked, logs strings.Builder
	rest := "nil"
	for kind := range strings.FieldsSeq(types) {
		key := "KEYS[" + strconv.Itoa(len(kinds)+1) + "]"
		switch last, further := strings.CutSuffix(kind, ".."); {
		case kind == "log":
			logs.WriteString("  refused = refused or full_log(" + key + ")\n")
			kinds = append(kinds, "'log'")
		case kind == "*":
			kinds = append(kinds, "false")
		case !further:
			asked.WriteString(probe(kind, key))
			kinds = append(kinds, "'"+kind+"'")
		case last != "*":
			asked.WriteString("    for i = " + strconv.Itoa(len(kinds)+1) + ", #KEYS do\n  " + probe(last, "KEYS[i]") + "    end\n")
			rest = "'" + last + "'"
		}
	}
	return "do\n  local call, refused = redis.call, nil\n  local good = pcall(function()\n" + asked.String() + "  end)\n" +
		"  refused = not good and wrong_keys({" + strings.Join(kinds, ", ") + "}, " + rest + ") or nil\n" +
		logs.String() + "  if refused then\n    return refused\n" + "  end\n" + "end\n"
}

// MustLua is the text of a Lua file. It panics when the file is missing: scripts are part of the program.
func MustLua(files fs.FS, path string) string {
	b, err := fs.ReadFile(files, path)
	if err != nil {
		panic("redisdb: " + err.Error())
	}
	return string(b)
}

// Call is one script with its keys (all of one hash tag) and arguments.
type Call struct {
	Script *Script
	Keys   []string
	Args   []any
}

// once is a command that the client must not send again by itself after it may have been carried out:
// a second execution of a compare-and-set would report a conflict with itself.
type once struct{ *redis.Cmd }

// NoRetry tells the client not to repeat the command.
func (once) NoRetry() bool { return true }

func (c *Call) command(ctx context.Context, text bool) once {
	args := make([]any, 0, 3+len(c.Keys)+len(c.Args))
	if text {
		args = append(args, "eval", c.Script.Source)
	} else {
		args = append(args, "evalsha", c.Script.Sha)
	}
	args = append(args, len(c.Keys))
	for _, k := range c.Keys {
		args = append(args, k)
	}
	return once{redis.NewCmd(ctx, append(args, c.Args...)...)}
}

// Run carries out one script and returns what it returned (int64, string, []any or nil).
func (d *DB) Run(ctx context.Context, sc *Script, keys []string, args ...any) (any, error) {
	replies, err := d.RunAll(ctx, []Call{{Script: sc, Keys: keys, Args: args}})
	return replies[0], err
}

// The times that calls are sent again which the server certainly did not carry out.
const (
	sendAgain      = 4
	sendAgainAfter = 50 * time.Millisecond // doubles each time
)

// RunAll sends calls in one pipeline and returns their replies in order. Scripts that a server does not know are
// sent again as text, to that server alone, which also makes it know them: after a restart, a failover or in
// a cluster this needs nothing else. The first error is returned, in words, one that leaves open what was done before others; the replies of other calls are good
// all the same (a failed call's reply is nil), because each call is atomic on its own.
func (d *DB) RunAll(ctx context.Context, calls []Call) ([]any, error) {
	replies := make([]any, len(calls))
	errs := make([]error, len(calls))
	todo := make([]int, len(calls))
	for i := range todo {
		todo[i] = i
	}
	text := make([]bool, len(calls))
	pause := sendAgainAfter
	for attempt := 0; len(todo) > 0; attempt++ {
		d.send(ctx, calls, todo, text, replies, errs)
		var again []int
		wait := false
		for _, i := range todo {
			switch {
			case errs[i] == nil:
			case redis.HasErrorPrefix(errs[i], "NOSCRIPT") && !text[i]:
				text[i] = true
				again = append(again, i)
			case notCarriedOut(errs[i]) && attempt < sendAgain:
				wait = true
				again = append(again, i)
			}
		}
		if wait {
			if err := Sleep(ctx, pause); err != nil {
				return replies, err
			}
			pause *= 2
		}
		todo = again
	}
	var first error
	for _, err := range errs {
		if err != nil && (first == nil || Answered(first) && !Answered(err)) {
			first = err
		}
	}
	return replies, d.Explain(first)
}

// Answered reports whether the server said the error itself: what it refuses like this is not carried out later.
func Answered(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

// send sends the calls named in todo in one pipeline and files their replies and errors.
func (d *DB) send(ctx context.Context, calls []Call, todo []int, text []bool, replies []any, errs []error) {
	commands := make([]once, len(todo))
	if len(todo) == 1 {
		commands[0] = calls[todo[0]].command(ctx, text[todo[0]])
		_ = d.Redis.Process(ctx, commands[0]) // the command carries its error
	} else {
		pipe := d.Redis.Pipeline()
		for j, i := range todo {
			commands[j] = calls[i].command(ctx, text[i])
			_ = pipe.Process(ctx, commands[j])
		}
		_, _ = pipe.Exec(ctx) // each command carries its own error
	}
	for j, i := range todo {
		replies[i], errs[i] = commands[j].Result()
		if errors.Is(errs[i], redis.Nil) {
			replies[i], errs[i] = nil, nil // a script that returns nothing is no error
		}
	}
}

// notCarriedOut reports whether the error proves that the server did not start the command, and a little
// patience may help: it is starting up, failing over, or was not reached at all.
func notCarriedOut(err error) bool {
	for _, prefix := range []string{"LOADING", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN", "BUSY "} {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// Sleep waits, or returns the context's error when that ends first.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
