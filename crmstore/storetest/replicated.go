package storetest

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// node is one server of several, which starts again as what it was.
type node struct {
	*Server
	port   string
	known  string // the port that others know it by: its own, or that of its relay
	args   []string
	client *redis.Client
}

func startNode(t testing.TB, port string, args ...string) *node {
	t.Helper()
	args = append([]string{"--port", port, "--dir", t.TempDir(), "--repl-diskless-sync-delay", "0"}, args...)
	n := &node{Server: StartProcess(t, port, args...), port: port, known: port, args: args}
	n.client = redis.NewClient(&redis.Options{Addr: n.Address, DisableIdentity: true})
	t.Cleanup(func() { _ = n.client.Close() })
	return n
}

// relayTo starts a relay to a server that will listen at a port, and returns its port.
func relayTo(t testing.TB, port string) (r *Relay, known string) {
	t.Helper()
	r = StartRelay(t, net.JoinHostPort("127.0.0.1", port))
	_, known, err := net.SplitHostPort(r.Address)
	if err != nil {
		t.Fatal("storetest: ", err)
	}
	return r, known
}

// again starts a server that was killed.
func (n *node) again(t testing.TB) {
	t.Helper()
	n.Server = StartProcess(t, n.port, n.args...)
}

// replication is a field of what the server says of its replication; "" when it says nothing.
func (n *node) replication(field string) string {
	text, _ := n.client.Info(context.Background(), "replication").Result() // whoever asks asks again
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), field+":"); ok {
			return value
		}
	}
	return ""
}

// follows reports whether the server is a replica that has all that its master had when it was asked last.
func (n *node) follows() bool {
	return n.replication("role") == "slave" && n.replication("master_link_status") == "up"
}

// untilSynced waits until the replica has all that the master has now.
func untilSynced(t testing.TB, master, replica *node) {
	t.Helper()
	want, err := strconv.ParseInt(master.replication("master_repl_offset"), 10, 64)
	if err != nil {
		t.Fatalf("storetest: offset of %s: %v", master.Address, err)
	}
	until(t, "the replica has what its master has", func() bool {
		has, err := strconv.ParseInt(replica.replication("slave_repl_offset"), 10, 64)
		return err == nil && has >= want
	})
}

// until waits until something outside this process has come true.
func until(t testing.TB, what string, come func() bool) {
	t.Helper()
	for deadline := time.After(60 * time.Second); !come(); {
		select {
		case <-deadline:
			t.Fatalf("storetest: after a minute it is not true that %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
