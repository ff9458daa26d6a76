package storetest

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Rewindable is a server of a test's own that can go back to what it was, as one does that lost power or that a replica has taken
// over from.
type Rewindable struct {
	URL string

	t      testing.TB
	client *redis.Client
}

// StartRewindable starts one.
func StartRewindable(t testing.TB) *Rewindable {
	t.Helper()
	program, err := findServer()
	if err != nil {
		t.Fatal("storetest: ", err)
	}
	var args []string
	if version, err := exec.Command(program, "--version").Output(); err == nil && !strings.Contains(string(version), "v=6.") {
		args = []string{"--enable-debug-command", "yes"} // Redis 6 allows it, and does not know the setting
	}
	at := StartServer(t, args...)
	r := &Rewindable{URL: "redis://" + at, t: t, client: redis.NewClient(&redis.Options{Addr: at, DisableIdentity: true})}
	t.Cleanup(func() { _ = r.client.Close() })
	return r
}

// Keep remembers what there is.
func (r *Rewindable) Keep() {
	r.t.Helper()
	if err := r.client.Save(context.Background()).Err(); err != nil {
		r.t.Fatal("storetest: ", err)
	}
}

// Rewind goes back to what was there at Keep, and closes all connections. Nobody is served in between.
func (r *Rewindable) Rewind() {
	r.t.Helper()
	pipe := r.client.Pipeline()
	pipe.Do(context.Background(), "client", "kill", "type", "normal", "skipme", "yes")
	pipe.Do(context.Background(), "debug", "reload", "nosave")
	if _, err := pipe.Exec(context.Background()); err != nil {
		r.t.Fatal("storetest: ", err)
	}
}

// Lose takes away the keys that match the patterns, as happens in a cluster when the replica of one master only is behind.
func (r *Rewindable) Lose(patterns ...string) {
	r.t.Helper()
	for _, pattern := range patterns {
		keys, err := r.client.Keys(context.Background(), pattern).Result()
		if err == nil && len(keys) > 0 {
			err = r.client.Del(context.Background(), keys...).Err()
		}
		if err != nil {
			r.t.Fatal("storetest: ", err)
		}
	}
}
