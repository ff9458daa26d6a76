package crmstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// The codes of troubles.
const (
	TroubleReadOnly     = "read-only"       // the address leads to a replica
	TroubleNotInSync    = "not-in-sync"     // it leads to a replica that does not know what its primary knows
	TroubleMemory       = "out-of-memory"   // the server takes no more data
	TroubleRefuses      = "refuses-writes"  // the server takes no writes for another reason: a disk, replicas, a permission
	TroubleAccountGone  = "account-gone"    // the account was there and is not there any more
	TroubleOtherAccount = "other-account"   // another account has the name by now
	TroubleEvicts       = "evicts"          // the server drops keys when its memory is full
	TroubleEvicted      = "evicted"         // the server dropped keys
	TroubleMissing      = "records-missing" // there are fewer records than there were, and nothing explains it
	TroubleUncounted    = "counters-lost"   // partitions have lost the counters of lists, enrollments, holds and the log
	TroubleLedger       = "ledger-lost"     // the ledger is lost, by which missing records are noticed

	TroubleClockDiffers  = "clock-differs"        // this process's clock and the store's differ
	TroubleClockServers  = "clock-servers-differ" // the clocks of the store's servers differ
	TroubleClockWentBack = "clock-went-back"      // the store's time went back
	TroubleClockLeapt    = "clock-leapt"          // the store's time leapt
	TroubleClockLost     = "clock-forgotten"      // what the account knew of the store's time is lost
)

// TroubleCodes are all codes that [Store.Health] can give, in the order in which it gives them.
func TroubleCodes() []string {
	return []string{
		TroubleAccountGone, TroubleOtherAccount, TroubleNotInSync, TroubleReadOnly, TroubleMemory, TroubleRefuses,
		TroubleEvicts, TroubleEvicted, TroubleMissing, TroubleUncounted, TroubleLedger,
		TroubleClockDiffers, TroubleClockServers, TroubleClockWentBack, TroubleClockLeapt, TroubleClockLost,
	}
}

// Trouble is a reason why nothing may be changed in the store at the moment.
type Trouble struct {
	Code    string `json:"code"`           // one of the Trouble constants
	Message string `json:"message"`        // what is wrong, on one line
	Help    string `json:"help,omitempty"` // what to do about it

	// Passing says that the store takes no changes, but has lost nothing: a fail-over looks like this. What is under way may
	// wait for its end; nothing new begins.
	Passing bool `json:"passing"`
}

// look is what Health has learned from the store, with one question to each of its servers.
type look struct {
	account map[string]string   // the account's fields; empty = there is none
	marks   map[string]string   // what was found wrong or accepted before; see keyHealth
	probe   error               // what a write that changes nothing met
	nodes   []map[string]string // what INFO says, of each primary; none = an ACL forbids it
}

// Health asks the store for every reason why nothing may be done with it: it cannot be written, the account is not the one that
// this process began with, keys are dropped or were dropped, records are missing, a clock is wrong. No trouble is an
// empty list. An error means that the store did not answer. It costs a pipeline and two questions about the time, writes nothing
// but what [Store.KeepClock] remembers, and may be asked once a second.
func (s *Store) Health(ctx context.Context) ([]Trouble, error) {
	l, err := s.lookAtStore(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask account %s for its health: %w", s.account, s.db.Explain(err))
	}
	var found []Trouble
	for _, check := range []func(*look) []Trouble{s.accountTroubles, s.writeTroubles, s.evictionTroubles, s.lossTroubles} {
		found = append(found, check(l)...)
	}
	clockOf := s.KeepClock
	if l.probe != nil || replicaBehind(l.nodes) {
		clockOf = s.Clock // a server that refuses writes would be asked again and again to remember the clock
	}
	clock, err := clockOf(ctx)
	if err != nil {
		return nil, err
	}
	return append(found, clock.Troubles()...), nil
}

// keyHealth is a hash of what was found wrong with the store or was accepted by a person:
// lost:<object>/<window> → how many records are missing; uncounted:<object>/<window> → how many partitions have lost their counters; ledger:<object>/<window> → 1 where the ledger is lost; evicted:<server's run> → dropped keys that a person has accepted.
func (s *Store) keyHealth() string { return s.accountKey("health") }

// lookAtStore asks. The write is one that changes nothing and creates no key: servers refuse it for the reasons for which they
// refuse others.
func (s *Store) lookAtStore(ctx context.Context) (*look, error) {
	l := &look{}
	pipe := s.db.Redis.Pipeline()
	account, marks := pipe.HGetAll(ctx, s.keyAccount()), pipe.HGetAll(ctx, s.keyHealth())
	var probes []*redis.IntCmd
	var info *redis.StringCmd
	_, cluster := s.db.Redis.(*redis.ClusterClient)
	if !s.db.Volatile { // miniredis takes every write, and would keep an empty key
		for _, key := range s.probeKeys(cluster) {
			probes = append(probes, pipe.SetRange(ctx, key, 0, ""))
		}
		if !cluster {
			info = pipe.Info(ctx)
		}
	}
	_, _ = pipe.Exec(ctx) // each command carries its own error
	if err := errors.Join(account.Err(), marks.Err()); err != nil {
		return nil, err
	}
	l.account, l.marks = account.Val(), marks.Val()
	for _, probe := range probes {
		if err := probe.Err(); err != nil {
			l.probe = err
			if redisdb.Unavailable(err) && redisdb.ExplainReply(err.Error()) == "" {
				return nil, err
			}
		}
	}
	if info != nil && info.Err() == nil {
		l.nodes = []map[string]string{redisdb.ParseInfo(info.Val())}
	}
	if cluster {
		l.nodes = s.infoOfMasters(ctx)
	}
	return l, nil
}

// probeKeys are keys to try a write with; of a cluster enough of them to meet every primary.
func (s *Store) probeKeys(cluster bool) []string {
	keys := []string{s.accountKey("probe")}
	if cluster {
		for p := range min(int(s.partitions.Load()), 64) {
			keys = append(keys, string(s.partition(record.Contact, p))+"probe")
		}
	}
	return keys
}

// infoOfMasters asks every primary of a cluster; those that do not say are left out.
func (s *Store) infoOfMasters(ctx context.Context) []map[string]string {
	c, ok := s.db.Redis.(*redis.ClusterClient)
	if !ok {
		return nil
	}
	answers := make(chan map[string]string, 1024)
	_ = c.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		if text, err := master.Info(ctx).Result(); err == nil {
			answers <- redisdb.ParseInfo(text)
		}
		return nil
	})
	close(answers)
	var nodes []map[string]string
	for n := range answers {
		nodes = append(nodes, n)
	}
	return nodes
}

// accountTroubles compares the account with the one that this process began with.
func (s *Store) accountTroubles(l *look) []Trouble {
	known := s.key.Load()
	switch {
	case len(l.account) == 0 && replicaBehind(l.nodes):
		return nil // writeTroubles says it: nothing is known of the account
	case len(l.account) == 0 && known != nil:
		return []Trouble{{
			Code: TroubleAccountGone, Message: fmt.Sprintf("account %s is gone: it was there, and the store at %s does not have it any more", s.account, s.db.Place),
			Help: "do not create it again; find out what emptied the store, bring a backup back, and start the daemons anew",
		}}
	case known != nil && l.account["key"] != string(known[:]):
		return []Trouble{{
			Code: TroubleOtherAccount, Message: fmt.Sprintf("account %s is not the one that this process began with: another was made under its name", s.account),
			Help: "if that is meant, start this process anew; else find out who emptied the store, and bring a backup back",
		}}
	}
	return nil
}

// replicaBehind reports whether the only server is a replica that does not have what its primary has.
func replicaBehind(nodes []map[string]string) bool {
	for _, n := range nodes {
		if n["role"] == "slave" && (n["master_link_status"] == "down" || n["master_sync_in_progress"] == "1") {
			return true
		}
	}
	return false
}

// writeTroubles says why the store takes no writes.
func (s *Store) writeTroubles(l *look) []Trouble {
	if replicaBehind(l.nodes) {
		return []Trouble{{
			Code: TroubleNotInSync, Passing: true,
			Message: fmt.Sprintf("the store at %s is a replica that is not in sync with its primary", s.db.Place),
			Help:    "open the primary, or use redis+sentinel://; nothing that a replica says is sure until it is in sync",
		}}
	}
	if l.probe == nil {
		return nil
	}
	text := l.probe.Error()
	t := Trouble{Code: TroubleRefuses, Message: s.db.Explain(l.probe).Error(), Passing: true}
	switch {
	case strings.HasPrefix(text, "READONLY"):
		t.Code, t.Message, t.Help = TroubleReadOnly, fmt.Sprintf("the store at %s is a read-only replica", s.db.Place), "open the primary, or use redis+sentinel://"
	case strings.HasPrefix(text, "OOM"):
		t.Code, t.Message, t.Help = TroubleMemory, "the store is out of memory", "raise its maxmemory; the eviction policy must be noeviction"
	}
	return []Trouble{t}
}

// evictionTroubles says whether a server drops keys, or did since a person looked last.
func (s *Store) evictionTroubles(l *look) []Trouble {
	var found []Trouble
	for _, n := range l.nodes {
		if policy := redisdb.EvictionPolicy(n); policy != "" {
			found = append(found, Trouble{
				Code: TroubleEvicts, Message: fmt.Sprintf("the server has maxmemory-policy %s: when its memory is full it drops keys by itself", policy),
				Help: "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in its configuration file",
			})
			break
		}
	}
	if dropped := droppedKeys(l); dropped > 0 && len(l.account) > 0 {
		found = append(found, Trouble{
			Code: TroubleEvicted, Message: fmt.Sprintf("the server dropped %d keys by itself since it started, and any of them may be this account's", dropped),
			Help: "see what is missing with: workflow doctor; then bring a backup back, or go on without it: workflow account accept-loss",
		})
	}
	return found
}

// droppedKeys is how many keys servers dropped by themselves that no person has accepted.
func droppedKeys(l *look) int64 {
	dropped := int64(0)
	for _, n := range l.nodes {
		dropped += max(wholeNumber(n["evicted_keys"])-wholeNumber(l.marks[markEvicted+n["run_id"]]), 0)
	}
	return dropped
}

// The fields of keyHealth begin with these.
const (
	markEvicted = "evicted:"
	markLost    = "lost:"

	markUncounted = "uncounted:"
	markLedger    = "ledger:" // in the account hash, before the same name, the sum of the window
)

// wholeNumber reads a count; what is none is 0.
func wholeNumber(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// objectsOf are the object types that have a mark of a kind, in order.
func objectsOf(marks map[string]string, kind string) []record.ObjectType {
	var list []record.ObjectType
	for field := range marks {
		if name, ok := strings.CutPrefix(field, kind); ok {
			o, _, _ := strings.Cut(name, "/")
			list = append(list, record.ObjectType(o))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// sumOfMarks sums up the marks of a kind that an object type has, in all its windows.
func sumOfMarks(marks map[string]string, kind string, o record.ObjectType) (sum int64) {
	for field, n := range marks {
		if strings.HasPrefix(field, kind+string(o)+"/") {
			sum += wholeNumber(n)
		}
	}
	return sum
}

// lossTroubles says what was found missing and nobody has accepted.
func (s *Store) lossTroubles(l *look) []Trouble {
	var found []Trouble
	for _, o := range objectsOf(l.marks, markLost) {
		found = append(found, Trouble{
			Code:    TroubleMissing,
			Message: fmt.Sprintf("%d %s are missing: no run, no purge and no person removed them", sumOfMarks(l.marks, markLost, o), o.Plural()),
			Help:    "find out what emptied the store and bring a backup back; or go on without them: workflow account accept-loss",
		})
	}
	for _, o := range objectsOf(l.marks, markLedger) {
		found = append(found, Trouble{
			Code: TroubleLedger, Message: fmt.Sprintf("the ledger of %s is lost: nobody can tell of each partition whether it lost some", o.Plural()),
			Help: "find out what emptied the store and bring a backup back; or go on with what is there: workflow account accept-loss",
		})
	}
	for _, o := range objectsOf(l.marks, markUncounted) {
		found = append(found, Trouble{
			Code: TroubleUncounted,
			Message: fmt.Sprintf("%d partitions of %s have lost their counters: nobody can tell whether lists, enrollments, legal holds and the audit log are whole there",
				sumOfMarks(l.marks, markUncounted, o), o.Plural()),
			Help: "find out what emptied the store and bring a backup back; or go on with what is there: workflow account accept-loss",
		})
	}
	return found
}
