package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The size of a [Cluster].
const (
	clusterMasters = 3
	clusterSlots   = 16384
)

// Cluster is a Redis Cluster of a test's own: three masters with a replica each.
type Cluster struct {
	t     testing.TB
	nodes []*node // in pairs: i and i+3 have the same slots
}

// StartCluster starts a cluster whose nodes have the given arguments, and waits until it works. A master that is silent for two
// seconds is replaced by its replica.
func StartCluster(t testing.TB, args ...string) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	for range 2 * clusterMasters {
		c.nodes = append(c.nodes, startNode(t, clusterPort(t), clustered(args...)...))
	}
	c.join()
	return c
}

// StartClusterOfManyClocks is [StartCluster] with a relay before each node, through which all others speak with it: so each has a clock
// of its own. The relays come in the order of [Cluster.Nodes].
func StartClusterOfManyClocks(t testing.TB) (*Cluster, []*Relay) {
	t.Helper()
	c := &Cluster{t: t}
	var relays []*Relay
	for range 2 * clusterMasters {
		port := clusterPort(t)
		relay, known := relayTo(t, port)
		number, err := strconv.Atoi(port)
		c.must(err)
		n := startNode(t, port, clustered("--cluster-announce-ip", "127.0.0.1", "--cluster-announce-port", known,
			"--cluster-announce-bus-port", strconv.Itoa(number+10_000))...)
		n.known = known
		c.nodes, relays = append(c.nodes, n), append(relays, relay)
	}
	c.join()
	return c, relays
}

func clustered(args ...string) []string {
	return append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "2000"}, args...)
}

// join makes a cluster of the nodes.
func (c *Cluster) join() {
	c.t.Helper()
	ctx := c.t.Context()
	host, port, _ := net.SplitHostPort(c.nodes[0].Address)
	for i, n := range c.nodes {
		if i > 0 {
			c.must(n.client.ClusterMeet(ctx, host, port).Err())
		}
		if i < clusterMasters {
			c.must(n.client.ClusterAddSlotsRange(ctx, i*clusterSlots/clusterMasters, (i+1)*clusterSlots/clusterMasters-1).Err())
		}
	}
	c.untilWorks()
	for i, n := range c.nodes[clusterMasters:] {
		id := c.id(c.nodes[i])
		until(c.t, "a replica knows its master", func() bool { return n.client.ClusterReplicate(ctx, id).Err() == nil })
	}
	c.untilPaired()
}

// MasterOf is the number among [Cluster.Nodes] of the master that has a key, and that of its replica.
func (c *Cluster) MasterOf(key string) (master, replica int) {
	c.t.Helper()
	slot, err := c.nodes[0].client.ClusterKeySlot(c.t.Context(), key).Result()
	c.must(err)
	third := 0
	for int(slot) >= (third+1)*clusterSlots/clusterMasters {
		third++
	}
	m, r := c.pair(third)
	return slices.Index(c.nodes, m), slices.Index(c.nodes, r)
}

// FailOverOf makes the replica of the master that has a key the master, with nothing lost.
func (c *Cluster) FailOverOf(key string) {
	c.t.Helper()
	_, replica := c.MasterOf(key)
	c.failOverTo(c.nodes[replica])
}

// clusterPort is a free port whose port for the nodes among themselves, 10,000 above it, is free too.
func clusterPort(t testing.TB) string {
	t.Helper()
	for range 1000 {
		port, err := strconv.Atoi(FreePort(t))
		if err != nil {
			t.Fatal("storetest: ", err)
		}
		if port > 55_000 {
			continue
		}
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+10_000)); err == nil {
			_ = l.Close()
			return strconv.Itoa(port)
		}
	}
	t.Fatal("storetest: no free port for the node of a cluster")
	return ""
}

func (c *Cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal("storetest: cluster: ", err)
	}
}

// Nodes are the addresses of all nodes.
func (c *Cluster) Nodes() []string {
	var all []string
	for _, n := range c.nodes {
		all = append(all, n.Address)
	}
	return all
}

// URL is the address of the cluster for a user, such as "" or "anna:secret@".
func (c *Cluster) URL(user string) string {
	return "redis+cluster://" + user + strings.Join(c.Nodes(), ",")
}

func (c *Cluster) id(n *node) string {
	c.t.Helper()
	id, err := n.client.ClusterMyID(context.Background()).Result()
	c.must(err)
	return id
}

// untilWorks waits until every node says that all slots are served, and knows all nodes.
func (c *Cluster) untilWorks() {
	c.t.Helper()
	for _, n := range c.nodes {
		until(c.t, "the cluster works", func() bool {
			info, err := n.client.ClusterInfo(context.Background()).Result()
			return err == nil && strings.Contains(info, "cluster_state:ok") &&
				strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", len(c.nodes)))
		})
	}
}

// untilPaired waits until every pair is a master and a replica that follows it, and all know it.
func (c *Cluster) untilPaired() {
	c.t.Helper()
	for i := range clusterMasters {
		a, b := c.nodes[i], c.nodes[i+clusterMasters]
		until(c.t, "each master has its replica", func() bool {
			return a.replication("role") == "master" && b.follows() || b.replication("role") == "master" && a.follows()
		})
	}
	c.untilWorks()
}

// pair is the master and the replica of a third of the slots, as they are now.
func (c *Cluster) pair(i int) (master, replica *node) {
	a, b := c.nodes[i], c.nodes[i+clusterMasters]
	if a.replication("role") == "master" {
		return a, b
	}
	return b, a
}

// Synced waits until the replicas have what was written until now.
func (c *Cluster) Synced() {
	c.t.Helper()
	for i := range clusterMasters {
		master, replica := c.pair(i)
		untilSynced(c.t, master, replica)
	}
}

// FailOver makes a replica the master of its pair, with nothing lost: what an operator does before he restarts a machine.
func (c *Cluster) FailOver(random *rand.Rand) {
	c.t.Helper()
	_, replica := c.pair(random.IntN(clusterMasters))
	c.failOverTo(replica)
}

func (c *Cluster) failOverTo(replica *node) {
	c.t.Helper()
	until(c.t, "the replica takes over", func() bool {
		_ = replica.client.ClusterFailover(context.Background()).Err() // refused while another one is on its way
		return replica.replication("role") == "master"
	})
	c.untilPaired()
}

// KillMaster ends a master as a crash would, waits until its replica has taken over, and starts it again.
func (c *Cluster) KillMaster(random *rand.Rand) {
	c.t.Helper()
	master, replica := c.pair(random.IntN(clusterMasters))
	master.Kill()
	until(c.t, "the replica takes over", func() bool { return replica.replication("role") == "master" })
	master.again(c.t)
	c.untilPaired()
}

// MoveSlots moves so many slots that hold keys from one master to another, key by key, while others use them. It returns
// how many keys were moved.
func (c *Cluster) MoveSlots(random *rand.Rand, slots int) int {
	c.t.Helper()
	from := random.IntN(clusterMasters)
	source, _ := c.pair(from)
	target, _ := c.pair((from + 1 + random.IntN(clusterMasters-1)) % clusterMasters)
	moved := 0
	for _, slot := range c.used(source, slots) {
		moved += c.moveSlot(slot, source, target)
	}
	return moved
}

// used are slots of a master that hold keys, at most so many.
func (c *Cluster) used(master *node, most int) []int {
	c.t.Helper()
	ctx := context.Background()
	var slots []int
	keys := master.client.Scan(ctx, 0, "", 1000).Iterator()
	for keys.Next(ctx) && len(slots) < most {
		slot, err := master.client.ClusterKeySlot(ctx, keys.Val()).Result()
		c.must(err)
		if !slices.Contains(slots, int(slot)) {
			slots = append(slots, int(slot))
		}
	}
	c.must(keys.Err())
	return slots
}

func (c *Cluster) moveSlot(slot int, source, target *node) (moved int) {
	c.t.Helper()
	ctx := context.Background()
	sourceID, targetID := c.id(source), c.id(target)
	c.must(target.client.Do(ctx, "cluster", "setslot", slot, "importing", sourceID).Err())
	c.must(source.client.Do(ctx, "cluster", "setslot", slot, "migrating", targetID).Err())
	for {
		keys, err := source.client.ClusterGetKeysInSlot(ctx, slot, 3).Result() // few, so that others meet a slot that is half moved
		c.must(err)
		if len(keys) == 0 {
			break
		}
		command := []any{"migrate", "127.0.0.1", target.port, "", 0, 10_000, "keys"}
		for _, k := range keys {
			command = append(command, k)
		}
		c.must(source.client.Do(ctx, command...).Err())
		moved += len(keys)
	}
	c.must(target.client.Do(ctx, "cluster", "setslot", slot, "node", targetID).Err())
	c.must(source.client.Do(ctx, "cluster", "setslot", slot, "node", targetID).Err())
	return moved
}
