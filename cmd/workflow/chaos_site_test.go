package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// site is where a store is.
type site interface {
	url() string            // for the test
	daemonURL(n int) string // for the daemon of that number
	faults() []fault        // that happen to its servers and its network
	synced()                // waits until nothing that was written before can be lost any more
	refused() []string      // what the servers refused to the daemons' user
}

// oneServer is a server with an append-only file, which each daemon reaches over a network of its own.
type oneServer struct {
	t      *testing.T
	random *rand.Rand
	port   string
	args   []string
	server *storetest.Server

	dir     string
	power   bool // may be cut
	written fileSizes
	safe    int64 // of the append-only file that this test does not lose

	proxies *toxiproxy.ApiServer
	nets    []*toxiproxy.Proxy // one for each daemon
	healing sync.WaitGroup
}

func newOneServer(t *testing.T, random *rand.Rand, fsync string) *oneServer {
	t.Helper()
	s := &oneServer{t: t, random: random, port: storetest.FreePort(t), dir: t.TempDir(), power: fsync == "everysec"}
	s.args = []string{"--port", s.port, "--dir", s.dir, "--appendonly", "yes", "--appendfsync", fsync, "--auto-aof-rewrite-percentage", "0"}
	s.server = storetest.StartProcess(t, s.port, s.args...)
	s.written.watch(t, s.appendOnly)
	s.proxies = toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	t.Cleanup(func() {
		s.healing.Wait()
		for _, n := range s.nets {
			n.Stop()
		}
	})
	return s
}

func (s *oneServer) url() string { return "redis://" + s.server.Address }

func (s *oneServer) daemonURL(n int) string {
	s.t.Helper()
	proxy := toxiproxy.NewProxy(s.proxies, fmt.Sprintf("daemon-%d", n), "127.0.0.1:0", s.server.Address)
	if err := proxy.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.nets = append(s.nets, proxy)
	return "redis://" + proxy.Listen
}

func (s *oneServer) synced()         { s.safe = sizeOf(s.appendOnly()) }
func (*oneServer) refused() []string { return nil }

// appendOnly is the file that the server appends to; "" before it is there.
func (s *oneServer) appendOnly() string {
	for _, pattern := range []string{"appendonlydir/*.incr.aof", "appendonly.aof"} { // Redis 7, Redis 6
		if found, err := filepath.Glob(filepath.Join(s.dir, pattern)); err == nil && len(found) > 0 {
			return found[len(found)-1]
		}
	}
	return ""
}

func (s *oneServer) faults() []fault {
	last := func() []*toxiproxy.Proxy { return s.nets[max(len(s.nets)-2*chaosDaemons, 0):] }
	var faults []fault
	if s.power {
		faults = append(faults, fault{name: "cut the power", happen: s.cutPower, mayLose: true})
	}
	return append(faults, []fault{
		{name: "kill the server", happen: s.kill, mayLose: true},
		{name: "freeze the server", happen: s.freeze},
		{name: "cut the network", happen: func() { s.cut(s.nets, time.Second) }},
		{name: "cut one daemon off", happen: func() {
			one := last()
			one = one[s.random.IntN(len(one)):][:1]
			s.healing.Go(func() { s.cut(one, chaosFrozen) })
		}},
		{name: "slow the network", happen: func() {
			s.toxic(s.nets, `{"name": "x", "type": "latency", "attributes": {"latency": 40, "jitter": 30}}`, 4*time.Second)
		}},
		{name: "swallow what servers say", happen: func() {
			one := last()
			s.toxic(one[s.random.IntN(len(one)):], `{"name": "x", "type": "timeout", "attributes": {"timeout": 0}}`, 2*time.Second)
		}},
	}...)
}

func (s *oneServer) kill() {
	s.t.Helper()
	s.server.Kill()
	s.start()
}

// cutPower ends the server, and with it what it had not made the disk keep: with everysec, up to a second's worth.
func (s *oneServer) cutPower() {
	s.t.Helper()
	s.server.Kill()
	file := s.appendOnly()
	kept := max(s.written.ago(time.Duration(s.random.Int64N(int64(time.Second)))), s.safe)
	s.t.Logf("lost the last %d bytes", sizeOf(file)-kept)
	if err := os.Truncate(file, kept); err != nil {
		s.t.Fatal(err)
	}
	s.written.cut(kept)
	s.start()
}

func (s *oneServer) start() {
	s.t.Helper()
	s.server = storetest.StartProcess(s.t, s.port, s.args...)
	for deadline := time.Now().Add(30 * time.Second); !strings.HasPrefix(ask(s.t, "tcp", s.server.Address, "PING"), "+PONG"); {
		if time.Now().After(deadline) {
			s.t.Fatal("the server does not come back")
		}
	}
}

func (s *oneServer) freeze() {
	s.t.Helper()
	if err := s.server.Process.Signal(syscall.SIGSTOP); err != nil {
		s.t.Fatal(err)
	}
	<-time.After(time.Second)
	if err := s.server.Process.Signal(syscall.SIGCONT); err != nil {
		s.t.Fatal(err)
	}
}

// cut closes all connections, and lets nobody connect for a while.
func (s *oneServer) cut(nets []*toxiproxy.Proxy, d time.Duration) {
	s.t.Helper()
	for _, n := range nets {
		n.Stop()
	}
	<-time.After(d)
	for _, n := range nets {
		if err := n.Start(); err != nil && !strings.Contains(err.Error(), "already started") {
			s.t.Error(err)
		}
	}
}

// toxic does something to what goes to the daemons, for a while.
func (s *oneServer) toxic(nets []*toxiproxy.Proxy, toxic string, d time.Duration) {
	s.t.Helper()
	for _, n := range nets {
		if _, err := n.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			s.t.Fatal(err)
		}
	}
	<-time.After(d)
	for _, n := range nets {
		if err := n.Toxics.RemoveToxic(s.t.Context(), "x"); err != nil {
			s.t.Fatal(err)
		}
	}
}

// fileSizes knows how large a file was a while ago.
type fileSizes struct {
	mu    sync.Mutex
	sizes []int64 // one each sizeEvery, the newest last
}

const sizeEvery = 20 * time.Millisecond

func sizeOf(file string) int64 {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return info.Size()
}

// watch looks at the file until the test ends.
func (f *fileSizes) watch(t *testing.T, file func() string) {
	t.Helper()
	ticker, ended := time.NewTicker(sizeEvery), make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-ticker.C:
			}
			size := sizeOf(file())
			f.mu.Lock()
			f.sizes = append(f.sizes, size)
			f.sizes = f.sizes[max(len(f.sizes)-int(2*time.Second/sizeEvery), 0):]
			f.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		ticker.Stop()
		close(ended)
		watching.Wait()
	})
}

// cut makes it as if the file had never been larger.
func (f *fileSizes) cut(size int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.sizes {
		f.sizes[i] = min(f.sizes[i], size)
	}
}

func (f *fileSizes) ago(d time.Duration) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sizes[max(len(f.sizes)-1-int(d/sizeEvery), 0)]
}

// asWorkflow gives servers the user that docs/OPERATING.md describes, and the further words for it.
func asWorkflow(t *testing.T, more ...string) []string {
	t.Helper()
	return append(append([]string{"--user"}, aclLine(t)[2:]...), more...)
}

// replicatedSite is servers with replicas.
type replicatedSite struct {
	t       *testing.T
	happens []fault
	servers interface {
		URL(user string) string
		Nodes() []string
		Synced()
	}
}

func (s *replicatedSite) url() string          { return s.servers.URL("") }
func (s *replicatedSite) daemonURL(int) string { return s.servers.URL("workflow:SECRET@") }
func (s *replicatedSite) faults() []fault      { return s.happens }
func (s *replicatedSite) synced()              { s.servers.Synced() }

func (s *replicatedSite) refused() []string {
	s.t.Helper()
	var all []string
	for _, node := range s.servers.Nodes() {
		if reply := ask(s.t, "tcp", node, "ACL", "LOG"); reply != "*0" {
			all = append(all, reply)
		}
	}
	return all
}

func newClusterSite(t *testing.T, random *rand.Rand) *replicatedSite {
	t.Helper()
	c := storetest.StartCluster(t, asWorkflow(t, clusterWords(t)...)...)
	return &replicatedSite{t: t, servers: c, happens: []fault{
		{name: "move slots", happen: func() { t.Logf("moved %d keys", c.MoveSlots(random, 20)) }},
		{name: "fail over", happen: func() { c.FailOver(random) }},
		{name: "kill a master", happen: func() { c.KillMaster(random) }, mayLose: true},
	}}
}

func newSentinelSite(t *testing.T) *replicatedSite {
	t.Helper()
	s := storetest.StartSentinel(t, asWorkflow(t)...)
	return &replicatedSite{t: t, servers: s, happens: []fault{
		{name: "fail over", happen: s.FailOver},
		{name: "kill the master", happen: s.KillMaster, mayLose: true},
		{name: "fail over again", happen: s.FailOver},
	}}
}
