package crmstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// examineWorkflows looks at what belongs to the workflows of the object type: their keys, their revisions, and where their runs
// are listed.
func (d *doctor) examineWorkflows(ctx context.Context) error {
	for i := range d.published {
		w := &d.published[i]
		wrong, err := d.ofWrongType(ctx, []wrongKey{
			{key: d.store.keyRevisions(w.Name), want: typeHash},
			{key: d.store.keyRunsOf(w.Name), want: typeSorted},
			{key: d.store.keyDeletedBy(d.object, w.Name), want: typeHash},
		})
		if err == nil {
			err = d.reportTypes(wrong)
		}
		if err == nil && !slices.ContainsFunc(wrong, func(k wrongKey) bool { return k.moved == "" }) {
			if err = d.examineRevisions(ctx, w); err == nil {
				err = d.examineListing(ctx, w)
			}
		}
		if err != nil {
			return err
		}
	}
	if err := d.examineLately(ctx); err != nil {
		return err
	}
	return d.examineNames(ctx)
}

// examineLately compares what the limits of 24 hours count with itself, and with what runs deleted.
func (d *doctor) examineLately(ctx context.Context) error {
	if d.isWrong(d.store.keyDeleted(d.object)) || d.isWrong(d.store.keyAside(d.object)) || d.isWrong(d.store.keyRuns()) || d.isWrong(d.store.keyWorkflows()) {
		return nil // it was reported
	}
	lately, err := d.store.DeletedLately(ctx, d.object, d.store.Now())
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		return nil // it was reported
	}
	n := lately.Forgotten()
	if err != nil || n == 0 {
		return err
	}
	detail := fmt.Sprintf("the counts for the limits of 24 hours have lost %d of %d deletions of %s; the limits count them all the same, until the 24 hours are over",
		n, max(lately.All.Deleted+lately.All.Forgotten, n), d.object.Plural())
	return d.gone(ctx, "deleted:"+string(d.object), n, detail)
}

// examineRevisions compares the revisions of a workflow with its number: each is kept for good.
func (d *doctor) examineRevisions(ctx context.Context, w *Workflow) error {
	numbers, err := d.store.db.Redis.HKeys(ctx, d.store.keyRevisions(w.Name)).Result()
	if err != nil {
		return d.store.db.Explain(err)
	}
	missing := int64(0)
	for number := 1; number <= w.Revision; number++ {
		if !slices.Contains(numbers, strconv.Itoa(number)) {
			missing++
		}
	}
	if missing == 0 {
		return nil
	}
	return d.gone(ctx, "rev:"+w.Name, missing, fmt.Sprintf("workflow %s has lost %d of %d revisions", w.Name, missing, w.Revision))
}

// examineListing compares the two lists that name the runs of a workflow: those of the account, and its own.
func (d *doctor) examineListing(ctx context.Context, w *Workflow) error {
	own, err := d.store.db.Redis.ZRangeWithScores(ctx, d.store.keyRunsOf(w.Name), 0, -1).Result()
	if err != nil {
		return d.store.db.Explain(err)
	}
	if d.isWrong(d.store.keyRuns()) {
		return nil // it was reported
	}
	listed := map[string]bool{}
	lists := map[string][]redis.Z{} // by the key of the list in which they must be and are not
	for _, z := range own {
		id, _ := z.Member.(string)
		if listed[id] = true; !slices.ContainsFunc(d.listed, func(z redis.Z) bool { return z.Member == id }) {
			lists[d.store.keyRuns()] = append(lists[d.store.keyRuns()], z)
		}
	}
	for _, z := range d.listed {
		if id, _ := z.Member.(string); d.runs[id].Workflow == w.Name && !listed[id] {
			listed[id] = true
			lists[d.store.keyRunsOf(w.Name)] = append(lists[d.store.keyRunsOf(w.Name)], z)
		}
	}
	for key, runs := range lists {
		p := Problem{Code: problemCount, Detail: fmt.Sprintf("%d runs of workflow %s stand in one list of runs and not in the other", len(runs), w.Name)}
		if d.repair {
			if err := d.store.db.Redis.ZAdd(ctx, key, runs...).Err(); err != nil {
				return d.store.db.Explain(err)
			}
			p.Repaired = true
		}
		if err := d.report(p); err != nil {
			return err
		}
	}
	if w.LastRun == "" || listed[w.LastRun] {
		return nil
	}
	there, err := d.store.db.Redis.Exists(ctx, d.store.keyRun(w.LastRun)).Result()
	if err != nil || there == 0 { // a run that is long over is forgotten
		return d.store.db.Explain(err)
	}
	return d.gone(ctx, "runs:"+w.Name, 1, fmt.Sprintf("the runs of workflow %s are listed nowhere any more; the last is %s", w.Name, w.LastRun))
}

// examineNames reports the workflows that runs name and that are lost. Those that have enrollments are reported with these.
func (d *doctor) examineNames(ctx context.Context) error {
	lost := map[string]int64{}
	for _, r := range d.runs {
		if r.Workflow != "" && !slices.Contains(d.workflows, r.Workflow) && !slices.Contains(d.extra, enrollmentCounter(r.Workflow)) {
			lost[r.Workflow]++
		}
	}
	for name, runs := range lost {
		if err := d.gone(ctx, "workflow:"+name, 1, fmt.Sprintf("workflow %s is lost; %d runs of it are there", name, runs)); err != nil {
			return err
		}
	}
	return nil
}

// gone reports a loss in what belongs to the account as a whole. When a person accepts it, the account's counters remember how much
// was accepted, and only more than that is a loss again.
func (d *doctor) gone(ctx context.Context, name string, n int64, detail string) error {
	counters := countersOf(d.store.keyAccountLog())
	text, err := d.store.db.Redis.HGet(ctx, counters, countAccepted+name).Result()
	if err != nil && !errors.Is(err, redis.Nil) && !redis.HasErrorPrefix(err, "WRONGTYPE") {
		return d.store.db.Explain(err)
	}
	if wholeNumber(text) >= n {
		return d.report(Problem{Code: problemAccepted, Lost: n, Accepted: true, Detail: detail + ", and the loss was accepted (workflow audit --action accept-loss)"})
	}
	if d.order.AcceptLoss {
		if err := d.store.db.Redis.HSet(ctx, counters, countAccepted+name, n).Err(); err != nil {
			return d.store.db.Explain(err)
		}
		d.note(opAcceptLoss, detail)
	}
	return d.report(Problem{Code: problemLost, Lost: n, Detail: detail, Accepted: d.order.AcceptLoss})
}

// countAccountLog counts the events of the account's own log, which has no counter.
func (d *doctor) countAccountLog(ctx context.Context, events int64) error {
	log := d.store.keyAccountLog()
	p := Problem{Code: problemCount, Detail: fmt.Sprintf("%d events of the account's audit log are not counted, so that a loss of them would not be noticed", events)}
	if d.repair {
		err := d.store.db.Redis.Watch(ctx, func(tx *redis.Tx) error {
			n, err := tx.XLen(ctx, log).Result()
			if err != nil {
				return err
			}
			_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
				pipe.HSet(ctx, countersOf(log), countLog, n)
				return nil
			})
			return err
		}, log, countersOf(log))
		if err != nil && !errors.Is(err, redis.TxFailedErr) { // an event that comes meanwhile counts the log
			return d.store.db.Explain(err)
		}
		p.Repaired = true
	}
	return d.report(p)
}

// unreadable takes entries whose values cannot be read for lost: nothing can be asked of them. Until a person accepts that, they stay.
func (x *examination) unreadable(name string, key func(partitionKeys) string, entries map[string]string, read func(name, text string) error) {
	var bad []string
	for field, text := range entries {
		if read(field, text) != nil {
			bad = append(bad, field)
		}
	}
	if len(bad) == 0 {
		return
	}
	x.sizes[name] -= int64(len(bad))
	sum := x.sums[name]
	sum.all -= sumOfIDs(bad)
	x.sums[name] = sum
	if _, counted := x.counters[name]; !counted {
		x.foundf(problemRecord, 0, "partition %d: %d entries of %s cannot be read", x.partition, len(bad), name)
	}
	if x.doctor.order.AcceptLoss {
		x.cures = append(x.cures, func(ctx context.Context, pipe redis.Pipeliner, k partitionKeys) { pipe.HDel(ctx, key(k), bad...) })
	}
}

// compareValues looks for enrollments and legal holds that cannot be read.
func (x *examination) compareValues() {
	for i, workflow := range x.doctor.workflows {
		x.unreadable(enrollmentCounter(workflow), func(k partitionKeys) string { return k.enr(workflow) }, x.body.enrollments[i], func(_, text string) error {
			_, err := record.ParseEnrollment(text)
			return err
		})
	}
	x.unreadable(countHold, partitionKeys.hold, x.body.holds, func(name, text string) error {
		_, err := parseHold(name, text)
		return err
	})
}
