package crmstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// loss is what is missing of one thing that is counted, over all partitions.
type loss struct {
	want, missing, surplus int64
	partitions, moved      int
	uncounted              int       // partitions in which the counter is lost too
	first                  record.ID // of records
	earlier                int64     // missing then, and accepted
}

// noCounters is the name under which partitions are counted that have lost their counters.
const noCounters = "counters"

func (d *doctor) loss(name string) *loss {
	if d.losses[name] == nil {
		d.losses[name] = &loss{}
	}
	return d.losses[name]
}

// findExtra finds the counters of lists and enrollments that nothing else knows of: the name of the list, or the
// workflow, was lost.
func (d *doctor) findExtra(ctx context.Context) error {
	known := map[string]bool{}
	for _, l := range d.lists {
		known[listCounter(l.Number)] = true
	}
	for _, name := range d.workflows {
		known[enrollmentCounter(name)] = true
	}
	left, err := d.store.unlisted(ctx, d.object)
	if err != nil {
		return err
	}
	for _, number := range left {
		known[listCounter(number)] = true
	}
	return inChunks(0, d.partitions, redisdb.ReadsPerWindow, func(from, to int) error {
		names := make([]*redis.StringSliceCmd, 0, to-from)
		_, err := d.store.db.Redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for p := from; p < to; p++ {
				names = append(names, pipe.HKeys(ctx, d.store.partition(d.object, p).cnt()))
			}
			return nil
		})
		if err != nil && !redis.HasErrorPrefix(err, "WRONGTYPE") {
			return d.store.db.Explain(err)
		}
		for _, command := range names {
			for _, name := range command.Val() {
				if counted := strings.HasPrefix(name, countList) || strings.HasPrefix(name, countEnrollment); counted && !known[name] {
					known[name] = true
					d.extra = append(d.extra, name)
				}
			}
		}
		return nil
	})
}

// shortfall is what a partition holds less than it must, or more.
type shortfall struct {
	name             string // of the counter
	want, there      int64
	missing, surplus int64
	moved            bool // as many as were put there, but not the same ones
	uncounted        bool // not those that were put there, and the counter is lost too
	first            record.ID
}

// compareSizes compares what is counted with its counters. A key that has no counter, of an older version or since it was lost, is counted by a
// repair.
func (x *examination) compareSizes() {
	if x.noCounters() {
		x.short = append(x.short, shortfall{name: noCounters})
		if !x.doctor.order.AcceptLoss {
			return
		}
	}
	for _, name := range slices.Sorted(maps.Keys(x.sizes)) {
		there, strangers := x.sizes[name], x.strangers[name]
		text, counted := x.counters[name]
		lostLog := name == countLog && x.noLog && len(x.body.records) > 0 && !x.noCounters() // each record began with an event
		if !counted && (lostLog || x.moved(name, true) && x.moved(name, false)) {
			x.short = append(x.short, shortfall{name: name, there: there, missing: 1, uncounted: true})
			if x.doctor.order.AcceptLoss {
				x.recount(name, there-strangers, 1)
			}
			continue
		}
		if !counted {
			if there > strangers {
				x.foundf(problemCount, 0, "partition %d: %d entries of %s are not counted, so that a loss of them would not be noticed", x.partition, there-strangers, name)
				x.recount(name, there-strangers, 0)
			}
			continue
		}
		want, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			x.foundf(problemCount, 0, "partition %d: the counter %s cannot be read", x.partition, name)
			x.recount(name, there-strangers, 0)
			continue
		}
		if x.moved(name, want == there) && (want == there || want == there-strangers) {
			x.short = append(x.short, shortfall{name: name, want: want, there: there, missing: 1, surplus: 1, moved: true})
			if x.doctor.order.AcceptLoss {
				x.recount(name, there-strangers, 1)
			}
			continue
		}
		if want == there {
			x.uncount(name, strangers)
			x.sumAnew(name)
			continue
		}
		if want == there-strangers {
			x.sumAnew(name)
			continue // nobody ever counted them
		}
		s := shortfall{name: name, want: want, there: there, missing: max(want-there, 0), surplus: max(there-want, 0)}
		x.short = append(x.short, s)
		if x.doctor.order.AcceptLoss {
			x.recount(name, there-strangers, s.missing)
		} else {
			x.uncount(name, strangers)
		}
	}
}

// noCounters reports whether the partition has lost its counters, also when the next write made some of them anew.
func (x *examination) noCounters() bool {
	return countersLost(x.counters, ownRecords(slices.Collect(maps.Keys(x.body.records)), x.partition, x.doctor.partitions))
}

// uncount takes entries that a cure removes off their counter.
func (x *examination) uncount(name string, n int64) {
	if n > 0 {
		x.cures = append(x.cures, func(ctx context.Context, pipe redis.Pipeliner, k partitionKeys) { pipe.HIncrBy(ctx, k.cnt(), name, -n) })
	}
	sum, summed := x.sums[name]
	if _, kept := x.counters[countSum+name]; n > 0 && summed && kept {
		x.cures = append(x.cures, func(ctx context.Context, pipe redis.Pipeliner, k partitionKeys) {
			pipe.HIncrBy(ctx, k.cnt(), countSum+name, -sum.strange)
		})
	}
}

// memberSum is the sum of a list, of enrollments or of holds as they are.
type memberSum struct{ all, strange int64 } // of all members, and of those that are no record

// moved reports whether what is there has another sum than what was put there. counted says whether the members that are no
// record are among those that were counted.
func (x *examination) moved(name string, counted bool) bool {
	sum, summed := x.sums[name]
	text, kept := x.counters[countSum+name]
	if !summed || !kept {
		return false
	}
	is := sum.all
	if !counted {
		is -= sum.strange
	}
	return !addsUp(text, is)
}

// sumAnew gives what has no sum yet, since it is of an older version, the sum of what is there; a repair does that in silence.
func (x *examination) sumAnew(name string) {
	sum, summed := x.sums[name]
	_, kept := x.counters[countSum+name]
	want := sum.all - sum.strange
	if !summed || kept || sum.all == 0 {
		return
	}
	x.cures = append(x.cures, func(ctx context.Context, pipe redis.Pipeliner, k partitionKeys) {
		pipe.HSet(ctx, k.cnt(), countSum+name, want)
	})
}

// recount sets a counter to what is there, and remembers how many entries are not there any more.
func (x *examination) recount(name string, there, missing int64) {
	x.cures = append(x.cures, func(ctx context.Context, pipe redis.Pipeliner, k partitionKeys) {
		pipe.HSet(ctx, k.cnt(), name, there)
		if sum, summed := x.sums[name]; summed {
			pipe.HSet(ctx, k.cnt(), countSum+name, sum.all-sum.strange)
		}
		if missing > 0 {
			pipe.HIncrBy(ctx, k.cnt(), countAccepted+name, missing)
		}
	})
}

// findLostRecords finds the records that the ids column names and the counters count, and that are not there. Until a
// person accepts their loss they keep their slots, and with these their places on lists: they may be put back.
func (x *examination) findLostRecords() {
	x.lost = map[record.ID]bool{}
	taken := make(map[uint32]bool, len(x.records))
	for _, r := range x.records {
		taken[r.Slot] = true
	}
	var named []int // slots
	for at := 0; at+8 <= len(x.ids); at += 8 {
		id := record.IDFromBytes(x.ids[at:])
		name := idFields([]record.ID{id})[0]
		_, there := x.body.records[name]
		_, aside := x.aside[name]
		if id != 0 && !there && !aside && !taken[uint32(at/8)] && id.Partition(x.doctor.partitions) == x.partition {
			named = append(named, at/8)
		}
	}
	missing := x.counts.Live + x.counts.Archived - int64(len(x.body.records))
	if x.uncounted || x.noCounters() {
		missing = int64(len(named))
	}
	if missing <= 0 || len(named) == 0 && (len(x.body.records) > 0 && len(x.ids) > 0 || x.untouched()) {
		return // what the ids column names beside is its own damage, or the counter's
	}
	s := shortfall{name: countRecords, want: missing + int64(len(x.body.records)), there: int64(len(x.body.records)), missing: missing}
	for _, slot := range named {
		id := record.IDFromBytes(x.ids[8*slot:])
		if s.first == 0 {
			s.first = id
		}
		if !x.doctor.order.AcceptLoss {
			x.lost[id] = true
		}
	}
	x.short = append(x.short, s)
	if x.doctor.order.AcceptLoss {
		x.cures = append(x.cures, func(ctx context.Context, pipe redis.Pipeliner, k partitionKeys) {
			pipe.HIncrBy(ctx, k.cnt(), countAccepted+countRecords, missing)
		})
	} else {
		x.lostCount = missing
	}
}

// untouched reports whether nothing but a counter says that the partition ever had a record.
func (x *examination) untouched() bool {
	return len(x.body.records) == 0 && len(x.ids) == 0 && len(x.archived) == 0 && x.sizes[countLog] == 0 && x.counters[countLog] == "" &&
		!slices.ContainsFunc(x.columns, func(c []byte) bool { return len(c) > 0 })
}

// sumUp adds what was found in a partition to what is missing in others.
func (d *doctor) sumUp(x *examination) {
	for _, s := range x.short {
		l := d.loss(s.name)
		l.partitions++
		l.want += s.want
		l.missing += s.missing
		l.surplus += s.surplus
		if s.moved {
			l.moved++
		}
		if s.uncounted {
			l.uncounted++
		}
		if l.first == 0 {
			l.first = s.first
		}
	}
	for name, text := range x.counters {
		if name, accepted := strings.CutPrefix(name, countAccepted); accepted {
			if n, err := strconv.ParseInt(text, 10, 64); err == nil {
				d.loss(name).earlier += n
			}
		}
	}
	for id := range x.lost {
		d.lostIDs[id] = true
	}
}

// examineAccountLog compares the account's own audit log with its counter.
func (d *doctor) examineAccountLog(ctx context.Context) error {
	log := d.store.keyAccountLog()
	var counters *redis.MapStringStringCmd
	var events, there *redis.IntCmd
	err := d.store.atOnce(ctx, func(pipe redis.Pipeliner) error {
		counters, events, there = pipe.HGetAll(ctx, countersOf(log)), pipe.XLen(ctx, log), pipe.Exists(ctx, log)
		return nil
	})
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		return nil // it was reported
	}
	if err != nil {
		return err
	}
	const name = accountLog
	if text, ok := counters.Val()[countAccepted+countLog]; ok {
		d.loss(name).earlier, _ = strconv.ParseInt(text, 10, 64)
	}
	text, counted := counters.Val()[countLog]
	want, unread := strconv.ParseInt(text, 10, 64)
	if !counted && there.Val() == 0 { // an account begins with an event
		return d.loseAccountLog(ctx)
	}
	if !counted && events.Val() > 0 {
		return d.countAccountLog(ctx, events.Val())
	}
	if !counted || unread != nil || want == events.Val() {
		return nil //nolint:nilerr // a count that cannot be read is another finding's
	}
	l := d.loss(name)
	l.want, l.missing, l.surplus, l.partitions = want, max(want-events.Val(), 0), max(events.Val()-want, 0), 1
	if !d.order.AcceptLoss {
		return nil
	}
	// Events that were recorded since the log was read are counted already.
	return d.store.atOnce(ctx, func(pipe redis.Pipeliner) error {
		pipe.HIncrBy(ctx, countersOf(log), countLog, events.Val()-want)
		if l.missing > 0 {
			pipe.HIncrBy(ctx, countersOf(log), countAccepted+countLog, l.missing)
		}
		return nil
	})
}

// loseAccountLog notes that the account's own log is lost, with the count of its events. The event that accepts it begins a new one.
func (d *doctor) loseAccountLog(ctx context.Context) error {
	l := d.loss(accountLog)
	l.missing, l.partitions, l.uncounted = 1, 1, 1
	if !d.order.AcceptLoss {
		return nil
	}
	return d.store.db.Explain(d.store.db.Redis.HIncrBy(ctx, countersOf(d.store.keyAccountLog()), countAccepted+countLog, 1).Err())
}

// accountLog is the name under which losses of the account's own log are summed up.
const accountLog = "account log"

// thing says what a counter counts, and the entries of it.
func (d *doctor) thing(name string) (what, entries string) {
	switch name {
	case countRecords:
		return "the store", d.object.Plural()
	case accountLog:
		return "the account's audit log", "events"
	case countLog:
		return "the audit log of " + d.object.Plural(), "events"
	case countHold:
		return "the account", "legal holds of " + d.object.Plural()
	}
	if number, ok := strings.CutPrefix(name, countList); ok {
		for _, l := range d.lists {
			if strconv.Itoa(l.Number) == number {
				return fmt.Sprintf("list %q", l.Name), "members"
			}
		}
		return "list number " + number + ", whose name is lost too,", "members"
	}
	workflow := strings.TrimPrefix(name, countEnrollment)
	if slices.Contains(d.workflows, workflow) {
		return "workflow " + workflow, "enrollments"
	}
	return "workflow " + workflow + ", which is lost too,", "enrollments"
}

// reportLosses reports what is missing, one problem for each thing, and writes into the audit log what was accepted.
func (d *doctor) reportLosses(ctx context.Context) error {
	for _, name := range d.extra {
		if l := d.loss(name); l.partitions == 0 {
			l.partitions = -1 // all that it held is there; only its name is not
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.losses)) {
		l := d.losses[name]
		if l.partitions != 0 {
			p := Problem{Code: problemLost, ID: l.first, Lost: l.missing, OfRecords: name == countRecords, Detail: d.lossDetail(name, l), Accepted: d.order.AcceptLoss && l.partitions > 0}
			if p.Accepted {
				d.note(opAcceptLoss, p.Detail)
			}
			if err := d.report(p); err != nil {
				return err
			}
			if p.Accepted {
				l.earlier -= l.missing // it was counted among them a moment ago
			}
		}
		if l.earlier > 0 && !d.order.AcceptLoss {
			what, entries := d.thing(name)
			p := Problem{
				Code: problemAccepted, Lost: l.earlier, Accepted: true,
				Detail: fmt.Sprintf("%s lost %d %s earlier, and the loss was accepted (workflow audit --action accept-loss)", what, l.earlier, entries),
			}
			if err := d.report(p); err != nil {
				return err
			}
		}
	}
	return d.audit(ctx)
}

func (d *doctor) lossDetail(name string, l *loss) string {
	if name == noCounters {
		return fmt.Sprintf("%d partitions have lost their counters: nobody can tell whether lists, enrollments and the audit log are whole there", l.partitions)
	}
	what, entries := d.thing(name)
	places := ""
	if name != accountLog && d.partitions > 1 {
		places = fmt.Sprintf(", in %d of %d partitions", l.partitions, d.partitions)
	}
	switch {
	case l.partitions < 0:
		return fmt.Sprintf("%s has %s in the store all the same", strings.TrimSuffix(what, ","), entries)
	case l.uncounted == l.partitions:
		return fmt.Sprintf("%s has lost %s, at least %d, and the count of them%s", what, entries, l.missing, places)
	case l.moved == l.partitions:
		return fmt.Sprintf("%s holds as many %s as were put there, %d, but not the same ones: it has lost at least %d%s", what, entries, l.want, l.missing, places)
	case l.missing == 0:
		return fmt.Sprintf("%s holds %d %s that nobody put there%s", what, l.surplus, entries, places)
	}
	text := fmt.Sprintf("%s has lost %d of %d %s%s", what, l.missing, l.want, entries, places)
	if l.surplus > 0 {
		text += fmt.Sprintf(", and holds %d that nobody put there", l.surplus)
	}
	return text
}

// accountNote is an event for the account's audit log.
type accountNote struct{ op, detail string }

// note remembers what the audit log is to say.
func (d *doctor) note(op, detail string) { d.acts = append(d.acts, accountNote{op, detail}) }

// audit writes down what was ordered and cannot be taken back.
func (d *doctor) audit(ctx context.Context) error {
	for _, act := range d.acts {
		facts := record.AppendFacts(nil, d.order.At, d.store.by(d.order.Cause))
		detail := string(d.object) + ": " + act.detail
		if _, err := d.store.db.Run(ctx, scriptNote, []string{d.store.keyAccountLog()}, d.store.wall(), act.op, facts, detail); err != nil {
			return fmt.Errorf("write into the audit log: %s: %w", detail, err)
		}
	}
	d.acts = nil
	return nil
}

// What the audit log calls it.
const (
	opAcceptLoss = "accept-loss"
	opQuarantine = "quarantine"
)
