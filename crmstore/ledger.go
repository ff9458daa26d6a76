package crmstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// The ledger says of each partition how many records it held when somebody looked last, and how many it had given up for good
// by then: the sum of both never falls, whatever is imported, deleted, restored, quarantined, purged or deleted permanently. A
// sum that has fallen means that the server lost records. The account itself has the sum of each window. The ledger stands in the hash crm:{account}:ledger, in fields
// <object>/<window> of ledgerWindow partitions each, with ledgerEntry bytes a partition.
const (
	ledgerWindow = 1024
	ledgerEntry  = 12
)

func (s *Store) keyLedger() string { return s.accountKey("ledger") }

func ledgerField(o record.ObjectType, window int) string {
	return string(o) + "/" + strconv.Itoa(window)
}

// holding is what a partition holds.
type holding struct {
	records, aside uint32 // there, in quarantine
	purged         uint32 // given up for good, ever
	gap            uint32 // records that its counters say it has, and that are not there
	surplus        bool   // it holds more records than its counters say: another process writes, or they were lost and began anew
	damaged        bool   // a key has a wrong type, which is for doctor to say: nothing is compared
}

// sum is what never falls.
func (h holding) sum() uint32 { return h.records + h.aside + h.purged }

// append writes an entry of the ledger.
func (h holding) append(b []byte) []byte {
	for _, n := range []uint32{h.records + h.aside, h.purged, h.gap} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}

// readHolding reads an entry of the ledger; one that is not there expects nothing.
func readHolding(ledger string, i int) holding {
	if len(ledger) < (i+1)*ledgerEntry {
		return holding{}
	}
	b := record.BytesOf(ledger)[i*ledgerEntry:]
	return holding{records: binary.LittleEndian.Uint32(b), purged: binary.LittleEndian.Uint32(b[4:]), gap: binary.LittleEndian.Uint32(b[8:])}
}

// missing is how many records of a partition are gone that nothing explains, given what the ledger says.
func (h holding) missing(before holding) int64 {
	return max(int64(before.sum())-int64(h.sum()), int64(h.gap)-int64(before.gap), 0)
}

// The times that partitions are looked at again in which something seems to be missing: a purge between two answers looks like it.
const (
	lookAgain      = 4
	lookAgainAfter = 50 * time.Millisecond
)

var (
	scriptSaveLedger = mustLuaScript("save_ledger")
	scriptAcceptLoss = mustLuaScript("accept_loss")
)

// LookForLoss compares how many records the partitions of a window (1,024 of them; from 0) hold with the ledger. What is missing
// without a purge, a permanent deletion or a quarantine that explains it, is marked in the store, so that [Store.Health] says it to every
// process until a person accepts it; else the ledger is brought up to date. Partitions that have lost their counters are marked
// too, until they have them again. It returns how many are missing, and whether there
// are further windows. It costs three short questions for each partition. Where the server's ACL forbids to count, nothing is found.
func (s *Store) LookForLoss(ctx context.Context, o record.ObjectType, window int) (missing int64, more bool, err error) {
	if err := s.require(ctx, ""); err != nil {
		return 0, false, err
	}
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return 0, false, err
	}
	more = (window+1)*ledgerWindow < partitions
	pause := lookAgainAfter
	for attempt := range lookAgain {
		var ledger, sum string
		var now []holding
		if ledger, sum, now, err = s.readHoldings(ctx, o, window, partitions); err != nil {
			if strings.HasPrefix(err.Error(), "NOPERM") {
				return 0, more, nil
			}
			return 0, more, fmt.Errorf("look for lost %s: %w", o.Plural(), s.db.Explain(err))
		}
		if attempt == 0 {
			if err := s.markUncounted(ctx, o, window, now); err != nil {
				return 0, more, err
			}
		}
		if missing = missingOf(ledger, sum, now); missing == 0 && ledger == "" && sum != "" {
			return 0, more, s.markLedger(ctx, o, window)
		}
		if missing == 0 {
			return 0, more, s.saveLedger(ctx, ledgerField(o, window), ledger, sum, now)
		}
		if attempt < lookAgain-1 {
			if err := redisdb.Sleep(ctx, pause); err != nil {
				return 0, more, err
			}
			pause *= 2
		}
	}
	if err := s.db.Redis.HSet(ctx, s.keyHealth(), markLost+ledgerField(o, window), missing).Err(); err != nil {
		return missing, more, fmt.Errorf("mark %d lost %s: %w", missing, o.Plural(), s.db.Explain(err))
	}
	return missing, more, nil
}

// missingOf is how many records of a window are gone that nothing explains. Where the ledger is lost, their sum alone tells.
func missingOf(ledger, sum string, now []holding) (missing int64) {
	there := int64(0)
	for i, h := range now {
		missing += h.missing(readHolding(ledger, i))
		if there += int64(h.sum()); h.damaged && ledger == "" {
			return missing // nobody knows how many it holds
		}
	}
	if ledger == "" {
		missing = max(missing, wholeNumber(sum)-there)
	}
	return missing
}

// markLedger marks in the store that the ledger of a window is lost. It is not made anew before a person accepts that.
func (s *Store) markLedger(ctx context.Context, o record.ObjectType, window int) error {
	if err := s.db.Redis.HSet(ctx, s.keyHealth(), markLedger+ledgerField(o, window), 1).Err(); err != nil {
		return fmt.Errorf("mark the lost ledger of %s: %w", o.Plural(), s.db.Explain(err))
	}
	return nil
}

// LookForLossOf is LookForLoss of all windows of an object type.
func (s *Store) LookForLossOf(ctx context.Context, o record.ObjectType) (missing int64, err error) {
	if err := s.require(ctx, ""); err != nil {
		return 0, err
	}
	for window, more := 0, true; more; window++ {
		var n int64
		if n, more, err = s.LookForLoss(ctx, o, window); err != nil {
			return missing, err
		}
		missing += n
	}
	return missing, nil
}

// markUncounted marks in the store how many partitions of a window have lost their counters, and takes the mark away when they have
// them again. Those in which records may have come between two answers are asked once more.
func (s *Store) markUncounted(ctx context.Context, o record.ObjectType, window int, now []holding) error {
	field, n := markUncounted+ledgerField(o, window), 0
	for i, h := range now {
		if h.surplus && !h.damaged {
			lost, err := s.uncounted(ctx, o, window*ledgerWindow+i)
			if err != nil {
				return fmt.Errorf("look for lost counters of %s: %w", o.Plural(), err)
			}
			if lost {
				n++
			}
		}
	}
	marked, err := s.db.Redis.HGet(ctx, s.keyHealth(), field).Result()
	switch {
	case err != nil && !errors.Is(err, redis.Nil):
	case n > 0 && wholeNumber(marked) != int64(n):
		err = s.db.Redis.HSet(ctx, s.keyHealth(), field, n).Err()
	case n == 0 && err == nil:
		err = s.db.Redis.HDel(ctx, s.keyHealth(), field).Err()
	default:
		err = nil
	}
	if err != nil {
		return fmt.Errorf("mark lost counters of %s: %w", o.Plural(), s.db.Explain(err))
	}
	return nil
}

// uncounted reports whether a partition has lost its counters: they count fewer records than it holds.
func (s *Store) uncounted(ctx context.Context, o record.ObjectType, p int) (bool, error) {
	k := s.partition(o, p)
	var counters *redis.MapStringStringCmd
	var names *redis.StringSliceCmd
	err := s.atOnce(ctx, func(pipe redis.Pipeliner) error {
		counters, names = pipe.HGetAll(ctx, k.cnt()), pipe.HKeys(ctx, k.rec())
		return nil
	})
	if err != nil {
		return false, err
	}
	partitions, err := s.Partitions(ctx)
	return countersLost(counters.Val(), ownRecords(names.Val(), p, partitions)), err
}

// ownRecords is how many of these names of records belong in a partition; another name was put there by a hand.
func ownRecords(names []string, p, partitions int) (n int64) {
	for _, name := range names {
		if len(name) == 8 && record.IDFromBytes(record.BytesOf(name)).Partition(partitions) == p {
			n++
		}
	}
	return n
}

// countersLost reports whether a partition that holds so many records has lost its counters. Every script that adds a record or
// takes one away counts it, so that counters which were lost, and began anew with the next write, count fewer than there are.
// Counters that cannot be read were not lost.
func countersLost(counters map[string]string, records int64) bool {
	counts, err := countsOf(counters)
	return err == nil && counts.Live+counts.Archived < records
}

// readHoldings reads the ledger of a window with its sum, and then what its partitions hold. The counters are read before the records: a
// purge in between makes records look lost, which is looked at again, and never the other way round.
func (s *Store) readHoldings(ctx context.Context, o record.ObjectType, window, partitions int) (ledger, sum string, now []holding, err error) {
	from, to := window*ledgerWindow, min((window+1)*ledgerWindow, partitions)
	first := s.db.Redis.Pipeline()
	field := ledgerField(o, window)
	known, total := first.HGet(ctx, s.keyLedger(), field), first.HGet(ctx, s.keyAccount(), markLedger+field)
	_, _ = first.Exec(ctx) // each command carries its own error
	for _, reply := range []*redis.StringCmd{known, total} {
		if err := reply.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return "", "", nil, err
		}
	}
	ledger, sum = known.Val(), total.Val()
	counters := make([]*redis.SliceCmd, 0, to-from)
	records, aside := make([]*redis.IntCmd, 0, to-from), make([]*redis.IntCmd, 0, to-from)
	pipe := s.db.Redis.Pipeline()
	for p := from; p < to; p++ {
		k := s.partition(o, p)
		counters = append(counters, pipe.HMGet(ctx, k.cnt(), countLive, "archived", countPurged))
		records, aside = append(records, pipe.HLen(ctx, k.rec())), append(aside, pipe.HLen(ctx, k.bad()))
	}
	_, _ = pipe.Exec(ctx) // each command carries its own error
	now = make([]holding, to-from)
	for i := range now {
		if err := errors.Join(counters[i].Err(), records[i].Err(), aside[i].Err()); err != nil {
			if !strings.Contains(err.Error(), "WRONGTYPE") {
				return "", "", nil, cmp.Or(counters[i].Err(), records[i].Err(), aside[i].Err())
			}
			now[i] = readHolding(ledger, i)
			now[i].damaged = true
			continue
		}
		counts := make([]int64, 3)
		for j, v := range counters[i].Val() {
			if text, ok := v.(string); ok {
				counts[j] = wholeNumber(text)
			}
		}
		n := records[i].Val()
		now[i] = holding{
			records: uint32(n), aside: uint32(aside[i].Val()), purged: uint32(max(counts[2], 0)), gap: uint32(max(counts[0]+counts[1]-n, 0)),
			surplus: counts[0]+counts[1] < n,
		}
	}
	return ledger, sum, now, nil
}

// entriesOf is a window of the ledger, and its sum.
func entriesOf(now []holding) (entries []byte, sum int64) {
	for _, h := range now {
		entries = h.append(entries)
		sum += int64(h.sum())
	}
	return entries, sum
}

// saveLedger writes a window of the ledger, unless it is as it was, or somebody else wrote it meanwhile.
func (s *Store) saveLedger(ctx context.Context, field, before, known string, now []holding) error {
	after, sum := entriesOf(now)
	if string(after) == before && known != "" || before == "" && !slices.ContainsFunc(now, func(h holding) bool { return h.sum() > 0 || h.gap > 0 }) {
		return nil
	}
	key := s.key.Load()
	_, err := s.db.Run(ctx, scriptSaveLedger, []string{s.keyLedger(), s.keyAccount()}, field, before, after, key[:], sum)
	if err != nil {
		return fmt.Errorf("save the ledger of records: %w", err)
	}
	return nil
}

// Accepted is what a person accepted as lost.
type Accepted struct {
	Missing map[record.ObjectType]int64 `json:"missing"` // records, by object type; those with none are left out
	Dropped int64                       `json:"dropped"` // keys that servers dropped by themselves
	Ledgers []record.ObjectType         `json:"ledgers"` // object types whose ledger is lost
}

// Nothing reports whether nothing was lost.
func (a Accepted) Nothing() bool { return len(a.Missing) == 0 && a.Dropped == 0 && len(a.Ledgers) == 0 }

// words are what was accepted, for the audit log.
func (a Accepted) words() string {
	var list []string
	for o, n := range a.Missing {
		list = append(list, fmt.Sprintf("%d %s", n, o.Plural()))
	}
	for _, o := range a.Ledgers {
		list = append(list, "the ledger of "+o.Plural())
	}
	slices.Sort(list)
	if a.Dropped > 0 {
		list = append(list, fmt.Sprintf("%d dropped keys", a.Dropped))
	}
	return strings.Join(list, ", ")
}

// Lost is what [Store.AcceptLoss] would accept. It looks at all records of the account.
func (s *Store) Lost(ctx context.Context) (Accepted, error) {
	if err := s.require(ctx, ""); err != nil {
		return Accepted{}, err
	}
	lost := Accepted{Missing: map[record.ObjectType]int64{}}
	objects, err := s.ObjectTypes(ctx)
	if err != nil {
		return lost, err
	}
	for _, o := range objects {
		if _, err := s.LookForLossOf(ctx, o); err != nil {
			return lost, err
		}
	}
	l, err := s.lookAtStore(ctx)
	if err != nil {
		return lost, fmt.Errorf("look for what was lost: %w", s.db.Explain(err))
	}
	for _, o := range objectsOf(l.marks, markLost) {
		lost.Missing[o] = sumOfMarks(l.marks, markLost, o)
	}
	lost.Dropped, lost.Ledgers = droppedKeys(l), objectsOf(l.marks, markLedger)
	return lost, nil
}

// AcceptLoss goes on without what was lost: the ledger begins anew with what is there, and keys that servers dropped until now are
// not spoken of again. Audited, unless nothing was lost. Only a super admin. ErrNoAccount.
func (s *Store) AcceptLoss(ctx context.Context, c record.Cause, at time.Time) (Accepted, error) {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return Accepted{}, err
	}
	lost, err := s.Lost(ctx)
	if err != nil || lost.Nothing() {
		return lost, err
	}
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return lost, err
	}
	l, err := s.lookAtStore(ctx)
	if err != nil {
		return lost, fmt.Errorf("accept the loss: %w", s.db.Explain(err))
	}
	var ledger []any
	for field := range l.marks {
		name, isLost := strings.CutPrefix(field, markLost)
		if _, both := l.marks[markLost+strings.TrimPrefix(field, markLedger)]; !isLost {
			if name, isLost = strings.CutPrefix(field, markLedger); !isLost || both {
				continue
			}
		}
		o, number, _ := strings.Cut(name, "/")
		_, _, now, err := s.readHoldings(ctx, record.ObjectType(o), int(wholeNumber(number)), partitions)
		if err != nil {
			return lost, fmt.Errorf("accept the loss: %w", s.db.Explain(err))
		}
		entries, sum := entriesOf(now)
		ledger = append(ledger, name, entries, sum)
	}
	args := append([]any{s.wall(), record.AppendFacts(nil, at, s.by(c)), lost.words(), len(ledger)}, ledger...)
	for _, n := range l.nodes {
		args = append(args, markEvicted+n["run_id"], wholeNumber(n["evicted_keys"]))
	}
	done, err := s.db.Run(ctx, scriptAcceptLoss, []string{s.keyAccount(), s.keyLedger(), s.keyHealth(), s.keyAccountLog()}, args...)
	if err != nil {
		return lost, fmt.Errorf("accept the loss: %w", err)
	}
	if done != int64(1) {
		return lost, fmt.Errorf("accept the loss of account %s: %w", s.account, record.ErrNoAccount)
	}
	return lost, nil
}

// acceptEarlier notes how many keys the servers had dropped before the account was made: none of them was its own. When it
// cannot, a person will be asked.
func (s *Store) acceptEarlier(ctx context.Context) {
	l, err := s.lookAtStore(ctx)
	if err != nil {
		return
	}
	for _, n := range l.nodes {
		if dropped := wholeNumber(n["evicted_keys"]); dropped > 0 {
			_ = s.db.Redis.HSet(ctx, s.keyHealth(), markEvicted+n["run_id"], dropped).Err()
		}
	}
}
