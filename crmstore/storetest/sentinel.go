package storetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"
)

// sentinelMaster is the name that the sentinel knows the master by.
const sentinelMaster = "main"

// Sentinel is a master with a replica, and a sentinel that makes one out of the other.
type Sentinel struct {
	t        testing.TB
	nodes    []*node
	sentinel *node
	asked    *redis.SentinelClient
}

// StartSentinel starts a master and a replica with the given arguments, and a sentinel that replaces a master which is silent for four
// seconds: not so soon that it takes a busy one for a dead one, and makes a replica the master that is not up to date.
func StartSentinel(t testing.TB, args ...string) *Sentinel {
	t.Helper()
	master := startNode(t, FreePort(t), args...)
	return startSentinel(t, master, startNode(t, FreePort(t), follow(master, args...)...))
}

// StartSentinelOfTwoClocks is [StartSentinel] with a relay before the replica, through which all others speak with it: so its clock
// can be another than the master's.
func StartSentinelOfTwoClocks(t testing.TB) (*Sentinel, *Relay) {
	t.Helper()
	port := FreePort(t)
	relay, known := relayTo(t, port)
	master := startNode(t, FreePort(t))
	replica := startNode(t, port, follow(master, "--replica-announce-ip", "127.0.0.1", "--replica-announce-port", known)...)
	replica.known = known
	return startSentinel(t, master, replica), relay
}

// follow gives a server a master.
func follow(master *node, args ...string) []string {
	return append([]string{"--replicaof", "127.0.0.1", master.port}, args...)
}

// startSentinel starts a sentinel for two servers.
func startSentinel(t testing.TB, master, replica *node) *Sentinel {
	t.Helper()
	s := &Sentinel{t: t, nodes: []*node{master, replica}}
	config := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor %[1]s 127.0.0.1 %[2]s 1\nsentinel down-after-milliseconds %[1]s 4000\nsentinel failover-timeout %[1]s 10000\n",
		sentinelMaster, master.port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal("storetest: ", err)
	}
	port := FreePort(t)
	s.sentinel = &node{Server: StartProcess(t, port, config, "--port", port, "--sentinel"), port: port}
	s.asked = redis.NewSentinelClient(&redis.Options{Addr: s.sentinel.Address, DisableIdentity: true})
	t.Cleanup(func() { _ = s.asked.Close() })
	s.untilPaired()
	return s
}

// Nodes are the addresses of master and replica.
func (s *Sentinel) Nodes() []string { return []string{s.nodes[0].Address, s.nodes[1].Address} }

// URL is the address of the master behind the sentinel for a user, such as "" or "anna:secret@".
func (s *Sentinel) URL(user string) string {
	return "redis+sentinel://" + user + s.sentinel.Address + "/" + sentinelMaster
}

// pair is the master, as the sentinel has it, and the replica.
func (s *Sentinel) pair() (master, replica *node) {
	at, _ := s.asked.GetMasterAddrByName(context.Background(), sentinelMaster).Result() // whoever asks asks again
	if len(at) == 2 && at[1] == s.nodes[1].known {
		return s.nodes[1], s.nodes[0]
	}
	return s.nodes[0], s.nodes[1]
}

// untilPaired waits until the sentinel's master is one, its replica follows it, and the sentinel knows it.
func (s *Sentinel) untilPaired() {
	s.t.Helper()
	until(s.t, "the master has its replica", func() bool {
		master, replica := s.pair()
		known, _ := s.asked.Replicas(context.Background(), sentinelMaster).Result()
		return master.replication("role") == "master" && replica.follows() && replica.replication("master_port") == master.known &&
			len(known) == 1 && known[0]["flags"] == "slave"
	})
}

// Synced waits until the replica has what was written until now.
func (s *Sentinel) Synced() {
	s.t.Helper()
	master, replica := s.pair()
	untilSynced(s.t, master, replica)
}

// FailOver has the sentinel make the replica the master.
func (s *Sentinel) FailOver() {
	s.t.Helper()
	_, replica := s.pair()
	until(s.t, "the sentinel fails over", func() bool {
		_ = s.asked.Failover(context.Background(), sentinelMaster).Err() // refused while another one is on its way
		now, _ := s.pair()
		return now == replica
	})
	s.untilPaired()
}

// KillMaster ends the master as a crash would, waits until the sentinel has replaced it, and starts it again.
func (s *Sentinel) KillMaster() {
	s.t.Helper()
	master, replica := s.pair()
	master.Kill()
	until(s.t, "the sentinel has replaced the master", func() bool {
		now, _ := s.pair()
		return now == replica && replica.replication("role") == "master"
	})
	master.again(s.t)
	s.untilPaired()
}
