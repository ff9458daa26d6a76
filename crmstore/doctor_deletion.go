package crmstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// An older version could leave a record in the bin without its audit event, without its enrollment, or without its place
// among its run's matches: the server refused a write in the middle of the script. The record itself knows all that is
// needed: when, by whom, by which run and why it was deleted. Doctor writes the rest anew from there.

// binned is a record in the bin, and what must be there beside it.
type binned struct {
	record  *record.Record
	version uint64
	facts   string // of the deletion, as they stand in the record
	enroll  string // the name under which it must be enrolled; "" = under none

	noEvent, noEnrollment, noMatch bool
}

// sound reports whether nothing is missing.
func (b *binned) sound() bool { return !b.noEvent && !b.noEnrollment && !b.noMatch }

// examineDeletions looks for what must stand beside the records in the bin of one partition, and writes it.
func (d *doctor) examineDeletions(ctx context.Context, x *examination) error {
	bin := d.binOf(x)
	if len(bin) == 0 {
		return nil
	}
	k := d.store.partition(d.object, x.partition)
	for _, b := range bin {
		b.noEvent = b.noEvent && d.adds(x, countLog)
	}
	if err := d.findEvents(ctx, k, bin); err != nil {
		return err
	}
	if err := d.findEnrollments(ctx, k, x, bin); err != nil {
		return err
	}
	if err := d.findMatches(ctx, x.partition, bin); err != nil {
		return err
	}
	bin = slices.DeleteFunc(bin, (*binned).sound)
	bin, err := d.unchanged(ctx, k, bin)
	if err != nil || len(bin) == 0 {
		return err
	}
	if d.repair && !x.blocked() {
		if err := d.mendDeletions(ctx, x.partition, bin); err != nil {
			return err
		}
	}
	return d.reportDeletions(x, bin)
}

// binOf are the records in the bin that the audit log and the run may still know.
func (d *doctor) binOf(x *examination) []*binned {
	var bin []*binned
	for _, r := range x.records {
		if r.Deletion == nil {
			continue
		}
		h := x.headers[r.ID]
		text := x.body.records[idFields([]record.ID{r.ID})[0]]
		b := &binned{record: r, version: h.Version, facts: text[record.HeaderSize : record.HeaderSize+h.FactsLen]}
		run, known := d.runs[r.Deletion.Run]
		switch {
		case known && !d.now.Before(run.StartedAt.Add(matchesKept)): // its enrollments by hand, and its matches, may be gone
		case known:
			b.enroll = run.EnrollsIn()
			b.noMatch = run.State.Over()
		case r.Deletion.Run != "":
			b.enroll = r.Deletion.Workflow
		}
		if r.Deletion.Workflow == "" && !known {
			b.enroll = ""
		} else if r.Deletion.Workflow != "" && !slices.Contains(d.workflows, r.Deletion.Workflow) {
			b.enroll = ""
		}
		b.noEvent = r.Deletion.At.After(d.now.Add(-d.audited))
		b.noEnrollment = b.enroll != ""
		bin = append(bin, b)
	}
	return bin
}

// adds reports whether a counted key of the partition holds what its counter says, or is counted anew by this
// examination: what the server has lost is another finding's.
func (d *doctor) adds(x *examination, name string) bool {
	return d.order.AcceptLoss || !slices.ContainsFunc(x.short, func(s shortfall) bool { return s.name == name || s.name == noCounters })
}

// eventsPerLook is how many events of a log are read at a time, newest first.
const eventsPerLook = 256

// findEvents reads the log backwards until each record's deletion was met.
func (d *doctor) findEvents(ctx context.Context, k partitionKeys, bin []*binned) error {
	wanted := make(map[record.ID]*binned, len(bin))
	for _, b := range bin {
		if b.noEvent {
			wanted[b.record.ID] = b
		}
	}
	for from := "+"; len(wanted) > 0; {
		events, err := d.store.db.Redis.XRevRangeN(ctx, k.log(), from, "-", eventsPerLook).Result()
		if err != nil {
			return d.store.db.Explain(err)
		}
		for _, e := range events {
			if e.Values["o"] == "delete" {
				meet(e, wanted)
			}
		}
		if len(events) < eventsPerLook {
			return nil
		}
		from = "(" + events[len(events)-1].ID
	}
	return nil
}

// meet takes the records off whose deletion an event is about.
func meet(e redis.XMessage, wanted map[record.ID]*binned) {
	ids, _ := e.Values["i"].(string)
	text, _ := e.Values["f"].(string)
	facts, err := record.ParseFacts(record.BytesOf(text))
	if err != nil {
		return
	}
	for ; len(ids) >= 8; ids = ids[8:] {
		id := record.IDFromBytes(record.BytesOf(ids))
		if b := wanted[id]; b != nil && facts.Run == b.record.Deletion.Run && facts.At.Equal(b.record.Deletion.At) {
			b.noEvent = false
			delete(wanted, id)
		}
	}
}

// findEnrollments reads the enrollments that the records must have.
func (d *doctor) findEnrollments(ctx context.Context, k partitionKeys, x *examination, bin []*binned) error {
	byName := map[string][]*binned{}
	for _, b := range bin {
		if b.noEnrollment = b.noEnrollment && d.adds(x, enrollmentCounter(b.enroll)); b.noEnrollment {
			byName[b.enroll] = append(byName[b.enroll], b)
		}
	}
	for name, group := range byName {
		for part := range slices.Chunk(group, recordsPerCall) {
			ids := make([]record.ID, len(part))
			for i, b := range part {
				ids[i] = b.record.ID
			}
			found, err := d.store.db.Redis.HMGet(ctx, k.enr(name), idFields(ids)...).Result()
			if err != nil {
				return d.store.db.Explain(err)
			}
			for i, b := range part {
				text, _ := found[i].(string)
				e, err := record.ParseEnrollment(text)
				b.noEnrollment = err != nil || e.State != record.Completed || e.Run != b.record.Deletion.Run
			}
		}
	}
	return nil
}

// findMatches reads the matches of the runs that deleted the records.
func (d *doctor) findMatches(ctx context.Context, partition int, bin []*binned) error {
	among := map[string]map[record.ID]bool{}
	for _, b := range bin {
		run := b.record.Deletion.Run
		if !b.noMatch {
			continue
		}
		if among[run] == nil {
			among[run] = map[record.ID]bool{}
			matches, err := d.store.Matches(ctx, d.object, run, partition, partition+1)
			if err != nil {
				return err
			}
			for _, m := range matches {
				for _, id := range m.IDs {
					among[run][id] = true
				}
			}
		}
		b.noMatch = !among[run][b.record.ID]
	}
	return nil
}

// unchanged keeps the records that are still as they were when the partition was read: so was all that was read since.
func (d *doctor) unchanged(ctx context.Context, k partitionKeys, bin []*binned) (kept []*binned, err error) {
	for part := range slices.Chunk(bin, recordsPerCall) {
		ids := make([]record.ID, len(part))
		for i, b := range part {
			ids[i] = b.record.ID
		}
		texts, err := d.store.db.Redis.HMGet(ctx, k.rec(), idFields(ids)...).Result()
		if err != nil {
			return nil, d.store.db.Explain(err)
		}
		for i, b := range part {
			text, _ := texts[i].(string)
			if h, err := record.ParseHeader(record.BytesOf(text)); err == nil && h.Version == b.version {
				kept = append(kept, b)
			}
		}
	}
	return kept, nil
}

var scriptMendDeletion = mustLuaScript("mend_deletion")

// mendedWords is the detail of an audit event that doctor wrote.
const mendedWords = "written by doctor from the record in the bin: the event was missing"

// mendDeletions writes events, enrollments and matches of records of one partition.
func (d *doctor) mendDeletions(ctx context.Context, partition int, bin []*binned) error {
	k := d.store.partition(d.object, partition)
	groups := map[string][]*binned{} // of one script: the same facts and name
	for _, b := range bin {
		key := b.enroll + "\x00" + b.facts
		groups[key] = append(groups[key], b)
	}
	for _, group := range groups {
		for part := range slices.Chunk(group, targetsPerCall) {
			deletion := part[0].record.Deletion
			e := record.Enrollment{State: record.Completed, Revision: deletion.Revision, Run: deletion.Run}
			var events, enrollments []byte
			for _, b := range part {
				id := b.record.ID.Bytes()
				target := binary.LittleEndian.AppendUint64(id[:], b.version)
				if b.noEvent {
					events = append(events, target...)
				}
				if b.noEnrollment {
					enrollments = append(enrollments, target...)
				}
			}
			keep := any("")
			if run := d.runs[deletion.Run]; run.State.Over() {
				keep = matchesKeptSeconds
			}
			_, err := d.store.db.Run(ctx, scriptMendDeletion, []string{k.rec(), k.cnt(), k.log(), k.enr(part[0].enroll), k.run(deletion.Run)},
				d.store.wall(), part[0].facts, mendedWords, e.Encode(), events, enrollments, keep)
			if err != nil {
				return err
			}
		}
	}
	for _, run := range runsAmong(bin) {
		if err := d.mendMatches(ctx, partition, run, bin); err != nil {
			return err
		}
	}
	return nil
}

// runsAmong are the runs by which records were deleted that lack an enrollment or a place among matches.
func runsAmong(bin []*binned) []string {
	var runs []string
	for _, b := range bin {
		if run := b.record.Deletion.Run; run != "" && (b.noEnrollment || b.noMatch) {
			runs = append(runs, run)
		}
	}
	slices.Sort(runs)
	return slices.Compact(runs)
}

// mendMatches puts the records back among the matches of their run, which is over, and counts what it deleted.
func (d *doctor) mendMatches(ctx context.Context, partition int, id string, bin []*binned) error {
	run, known := d.runs[id]
	if !known || !run.State.Over() {
		return nil
	}
	d.recounted[id] = true
	all, err := d.store.Matches(ctx, d.object, id, partition, partition+1)
	if err != nil {
		return err
	}
	m := Matches{Partition: partition, Done: true}
	if len(all) > 0 {
		m = all[0]
	}
	before := len(m.IDs)
	for _, b := range bin {
		if b.noMatch && b.record.Deletion.Run == id {
			m.IDs = append(m.IDs, b.record.ID)
		}
	}
	deleted, err := d.enrolledBy(ctx, run, partition, partition+1)
	if err != nil {
		return err
	}
	if len(m.IDs) == before && (!m.Done || m.Deleted >= deleted) {
		return nil
	}
	if m.Done && m.Deleted < deleted { // what the run found in the bin already it had counted as changed
		m.Changed = max(m.Changed-(deleted-m.Deleted), 0)
		m.Deleted = deleted
	}
	if err := d.store.SaveMatches(ctx, RunMatches{Object: d.object, Run: id}, []Matches{m}); err != nil || !m.Done {
		return err
	}
	return d.store.FinishMatches(ctx, RunMatches{Object: d.object, Run: id}, []Matches{m})
}

// enrolledBy counts whom a run enrolled in partitions: whom it deleted there.
func (d *doctor) enrolledBy(ctx context.Context, run Run, from, to int) (n int64, err error) {
	parts, err := d.store.EnrolledBy(ctx, d.object, run.EnrollsIn(), run.ID, from, to)
	for _, part := range parts {
		n += int64(len(part.IDs))
	}
	if lost := (*LostError)(nil); errors.As(err, &lost) {
		return 0, nil // it is reported, and counted when it is accepted
	}
	return n, err
}

// mendRuns counts anew what runs deleted whose records lacked their enrollments.
func (d *doctor) mendRuns(ctx context.Context) error {
	for id := range d.recounted {
		run, err := d.store.readRun(ctx, id)
		if err != nil {
			return err
		}
		deleted, err := d.enrolledBy(ctx, run, 0, d.partitions)
		if err != nil {
			return err
		}
		if !run.State.Over() || run.Deleted >= deleted {
			continue
		}
		detail := fmt.Sprintf("deleted: %d, not %d; counted by doctor", deleted, run.Deleted)
		run.Changed = max(run.Changed-(deleted-run.Deleted), 0)
		run.Deleted = deleted
		if _, _, err := d.store.saveRun(ctx, run, keepsFence, []record.Event{{Op: opRepair, At: d.order.At, Cause: d.order.Cause, Detail: detail}}); err != nil {
			return err
		}
	}
	return nil
}

// opRepair is what the audit log calls what doctor wrote anew.
const opRepair = "repair"

// namedRecords is how many records a problem names.
const namedRecords = 10

// some is the first of many names.
func some[T any](names []T) string {
	words := make([]string, 0, namedRecords+1)
	for _, name := range names[:min(len(names), namedRecords)] {
		words = append(words, fmt.Sprint(name))
	}
	if more := len(names) - len(words); more > 0 {
		words = append(words, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(words, ", ")
}

// reportDeletions reports what is missing in one partition, a problem for each kind and name.
func (d *doctor) reportDeletions(x *examination, bin []*binned) error {
	found := map[string][]record.ID{}
	for _, b := range bin {
		if b.noEvent {
			found["no audit event of their deletion"] = append(found["no audit event of their deletion"], b.record.ID)
		}
		if b.noEnrollment {
			what := "no enrollment in workflow " + b.enroll + ", which deleted them"
			if b.enroll == b.record.Deletion.Run {
				what = "no enrollment of run " + b.enroll + ", which deleted them"
			}
			found[what] = append(found[what], b.record.ID)
		}
		if b.noMatch {
			what := "no place among the matches of run " + b.record.Deletion.Run + ", which deleted them"
			found[what] = append(found[what], b.record.ID)
		}
	}
	kinds := make([]string, 0, len(found))
	for what := range found {
		kinds = append(kinds, what)
	}
	slices.Sort(kinds)
	repaired := d.repair && !x.blocked()
	for _, what := range kinds {
		ids := found[what]
		p := Problem{
			Code: problemDeletion, ID: ids[0], Count: int64(len(ids)), Repaired: repaired,
			Detail: fmt.Sprintf("partition %d: %d %s in the bin have %s: %s", x.partition, len(ids), d.object.Plural(), what, some(ids)),
		}
		if repaired {
			p.Detail += "; doctor wrote it from the records"
			d.note(opRepair, p.Detail)
		}
		if err := d.report(p); err != nil {
			return err
		}
	}
	return nil
}

// prepareDeletions reads what the search for what older versions left out goes by.
func (d *doctor) prepareDeletions(ctx context.Context) error {
	d.runs, d.recounted = map[string]Run{}, map[string]bool{}
	if d.now = d.order.At; d.now.IsZero() {
		d.now = d.store.Now()
	}
	days, err := d.store.auditDays(ctx)
	if err != nil {
		return err
	}
	d.audited = time.Duration(days-1) * 24 * time.Hour // a day for clocks that differ
	return d.readRuns(ctx)
}

// readRuns reads the runs of the object type. Runs that are listed and not there are lost, which is said once.
func (d *doctor) readRuns(ctx context.Context) error {
	listed, err := d.store.db.Redis.ZRangeWithScores(ctx, d.store.keyRuns(), 0, -1).Result()
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		return nil // it is reported with the contacts
	}
	if err != nil {
		return d.store.db.Explain(err)
	}
	d.listed = listed
	ids := make([]string, len(listed))
	for i, z := range listed {
		ids[i], _ = z.Member.(string)
	}
	for part := range slices.Chunk(ids, runsAtOnce) {
		keys := make([]string, len(part))
		for i, id := range part {
			keys[i] = d.store.keyRun(id)
		}
		texts, err := d.store.db.Redis.MGet(ctx, keys...).Result()
		if err != nil {
			return d.store.db.Explain(err)
		}
		for i, text := range texts {
			text, there := text.(string)
			r, err := parseRun(part[i], text)
			switch {
			case !there:
				d.lostRuns = append(d.lostRuns, part[i])
			case err != nil:
				d.badRuns = append(d.badRuns, part[i])
			case r.Object == d.object:
				d.runs[r.ID] = r
			}
		}
	}
	return nil
}

// examineRuns reports the runs that are listed and cannot be read; it is done once, with the contacts.
func (d *doctor) examineRuns(context.Context) error {
	if d.object != record.Contact {
		return nil
	}
	if len(d.lostRuns) > 0 {
		p := Problem{Code: problemLost, Lost: int64(len(d.lostRuns)), Detail: fmt.Sprintf("%d runs are listed and not there any more: %s", len(d.lostRuns), some(d.lostRuns))}
		if err := d.report(p); err != nil {
			return err
		}
	}
	if len(d.badRuns) > 0 {
		return d.report(Problem{Code: problemRecord, Detail: fmt.Sprintf("%d runs cannot be read: %s", len(d.badRuns), some(d.badRuns))})
	}
	return nil
}
