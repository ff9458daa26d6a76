package crmstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Problem is one thing Doctor found. Cells of one column that differ in one partition are one Problem.
type Problem struct {
	Code      string            `json:"code"` // column, slot, free, count, archived, email, list, enrollment, erasure, record, association, type, deletion, lost, accepted, quarantined, property
	Object    record.ObjectType `json:"object"`
	ID        record.ID         `json:"id,omitempty"` // the record, or the first of several; 0 when it is about none
	Detail    string            `json:"detail"`       // no property values
	Repaired  bool              `json:"repaired"`
	Count     int64             `json:"count,omitempty"`    // of deletion: how many records it is about
	Lost      int64             `json:"lost,omitempty"`     // of lost, accepted, records-missing and evicted: how many entries are not there any more
	OfRecords bool              `json:"-"`                  // of lost: the entries are the records themselves
	Accepted  bool              `json:"accepted,omitempty"` // of lost: a person said so be it, with DoctorOrder.AcceptLoss; it is not back
}

// Known reports whether this is no news: a loss that was accepted earlier, or a record that was moved aside earlier.
func (p *Problem) Known() bool { return p.Code == problemAccepted || p.Code == problemQuarantined }

// DoctorOrder says what Examine does beside looking. The zero order only looks.
type DoctorOrder struct {
	Repair     bool // put right what can be derived from records
	AcceptLoss bool // count lists, enrollments, records and the log anew, as they are; audited
	Quarantine bool // move records that cannot be read, and keys of a wrong type, aside; audited
	Cause      record.Cause
	At         time.Time
}

// Doctor compares derived data with records over all partitions, one at a time, and repairs it when asked: ids, free
// slots, archived-at and property columns, counters, lists' bits of free slots, enrollments of no record, e-mail claims,
// associations that are half-written (whoever is writing them has a second to finish), and the counter that ids are taken from. It is safe while others write. Records are never changed, but for a
// record that shares its slot with another: one of the two gets a slot of its own. A record that cannot be decoded, and
// two live contacts with one e-mail, are reported and left alone. Repairing also drops dead e-mail claims
// and compacts columns, which are no problem in themselves. Run it with repair after a property has got a column that it did not have.
//
// What the server has lost is reported and stays lost: see [Store.Examine].
func (s *Store) Doctor(ctx context.Context, o record.ObjectType, repair bool, fn func(Problem) error) error {
	return s.Examine(ctx, o, DoctorOrder{Repair: repair}, fn)
}

// Examine is [Store.Doctor], and what a person orders beside. Records, members of lists, enrollments and audit events that
// the server has lost are a problem "lost", which no repair ends: with AcceptLoss they are counted anew as they are, their
// loss is audited, and every later examination says so (accepted). With Quarantine, a record that cannot be read is moved out of
// the way of everything else; [Store.PutBack] puts it back. Anything but looking needs super-admin.
func (s *Store) Examine(ctx context.Context, o record.ObjectType, order DoctorOrder, fn func(Problem) error) error {
	may := CanView
	if order.Repair || order.AcceptLoss || order.Quarantine {
		may = IsSuperAdmin
	}
	if err := s.require(ctx, o, may); err != nil {
		return err
	}
	d, err := s.newDoctor(ctx, o, order)
	if err != nil {
		return err
	}
	repair := d.repair
	d.report = func(p Problem) error {
		p.Object = o
		if err := fn(p); err != nil {
			return callerError{err}
		}
		return nil
	}
	err = d.examineErasures(ctx)
	if err == nil {
		err = d.examineAccount(ctx)
	}
	if err == nil {
		err = d.examinePending(ctx)
	}
	if err == nil {
		err = d.examineRuns(ctx)
	}
	if err == nil {
		err = d.examineWorkflows(ctx)
	}
	if err == nil {
		err = redisdb.Prefetch(ctx, d.partitions, d.read, func(b *body) error { return d.examine(ctx, b) })
	}
	if err == nil {
		err = d.examineSuspects(ctx)
	}
	if err == nil {
		err = d.mendRuns(ctx)
	}
	if err == nil {
		err = d.reportLosses(ctx)
	}
	if err == nil {
		err = d.examineIDs(ctx)
	}
	if err == nil {
		err = d.examineUnlisted(ctx)
	}
	if err == nil && repair && d.email != nil && !d.noClaims {
		err = d.dropDeadClaims(ctx)
	}
	if err == nil && repair && !d.blocked {
		err = s.compact(ctx, o)
	}
	var own callerError
	if errors.As(err, &own) {
		return own.error
	}
	if err != nil {
		return fmt.Errorf("examine %s: %w", o.Plural(), err)
	}
	return nil
}

// doctor carries one examination through.
type doctor struct {
	store      *Store
	object     record.ObjectType
	schema     *record.Schema
	partitions int
	email      *record.Property // nil when the object type has no unique e-mail
	repair     bool
	order      DoctorOrder
	columns    []*record.Property
	lists      []List
	workflows  []string
	published  []Workflow          // the same
	listed     []redis.Z           // runs of the account: which, and when they started
	types      []record.ObjectType // of the account
	suspects   []*tie              // halves of associations that may be wrong
	extra      []string            // counters of lists and enrollments that are known by no other name
	losses     map[string]*loss
	lostIDs    map[record.ID]bool
	wrong      []wrongKey      // keys of the account of a wrong type
	acts       []accountNote   // for the audit log
	runs       map[string]Run  // of the object type
	lostRuns   []string        // listed, and not there
	badRuns    []string        // cannot be read
	recounted  map[string]bool // runs whose records lacked what an older version left out
	now        time.Time       // what is older than the audit log reaches back is told by it
	audited    time.Duration   // how far the audit log reaches back
	blocked    bool            // keys of partitions have a wrong type
	noClaims   bool            // e-mail claims, or contacts, cannot be read since keys have a wrong type
	highest    record.ID       // seen in any partition
	report     func(Problem) error
}

func (s *Store) newDoctor(ctx context.Context, o record.ObjectType, order DoctorOrder) (*doctor, error) {
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	schema, err := s.schema(ctx, o)
	if err != nil {
		return nil, err
	}
	d := &doctor{
		store: s, object: o, schema: schema, partitions: partitions, email: emailProperty(schema), repair: order.Repair || order.AcceptLoss,
		order: order, losses: map[string]*loss{}, lostIDs: map[record.ID]bool{},
	}
	if d.wrong, err = d.ofWrongType(ctx, d.accountKeys()); err != nil {
		return nil, err
	}
	for i := range d.wrong {
		if w := &d.wrong[i]; w.moved == "" && (w.key == s.keyLists(o) || w.key == s.keyUnlisted(o) || w.key == s.keyWorkflows()) {
			return nil, fmt.Errorf("examine %s: %s", o.Plural(), w)
		}
	}
	for i := range schema.Properties {
		if p := &schema.Properties[i]; !p.Removed && p.Columnar() {
			d.columns = append(d.columns, p)
		}
	}
	if d.types, err = s.objectTypes(ctx); err != nil {
		return nil, err
	}
	lists, err := s.lists(ctx, o)
	if err != nil {
		return nil, err
	}
	for _, l := range lists {
		if !l.Active() {
			d.lists = append(d.lists, l)
		}
	}
	workflows, err := s.Workflows(ctx)
	if err != nil {
		return nil, err
	}
	for _, w := range workflows {
		if w.Object == o {
			d.workflows, d.published = append(d.workflows, w.Name), append(d.published, w)
		}
	}
	if err := d.findExtra(ctx); err != nil {
		return nil, err
	}
	err = d.prepareDeletions(ctx)
	return d, err
}

// body is all that a partition holds at one instant, the log aside.
type body struct {
	partition    int
	records      map[string]string
	ids          []byte
	archived     []byte
	columns      [][]byte            // as doctor.columns
	lists        [][]byte            // as doctor.lists
	enrollments  []map[string]string // as doctor.workflows, by id
	holds        map[string]string   // by id
	free         []string            // slots
	tombs        []string            // ids
	counts       Counts
	associations map[string]string
	uncounted    bool              // the counters of records cannot be read
	noLog        bool              // there is no audit log, not even an empty one
	counters     map[string]string // all of them
	sizes        map[string]int64  // of what is counted, by the name of its counter
	aside        map[string]string // records in quarantine
	wrong        []wrongKey        // keys of a wrong type
}

func (d *doctor) stringKeys(k partitionKeys) []string {
	keys := []string{k.ids(), k.arch()}
	for _, p := range d.columns {
		keys = append(keys, k.col(p.Number))
	}
	for _, l := range d.lists {
		keys = append(keys, k.list(l.Number))
	}
	return keys
}

// read reads a partition in one transaction.
func (d *doctor) read(ctx context.Context, partition int) (*body, error) {
	b, err := d.readWith(ctx, partition, d.store.db.Redis.TxPipelined)
	if err == nil && len(b.wrong) > 0 && d.order.Quarantine {
		if err = d.moveAside(ctx, b.wrong); err == nil {
			moved := b.wrong
			if b, err = d.readWith(ctx, partition, d.store.db.Redis.TxPipelined); err == nil {
				b.wrong = append(moved, b.wrong...)
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read partition %d: %w", partition, d.store.db.Explain(err))
	}
	return b, nil
}

// sender sends commands in one pipeline; it is a method of a client or of a transaction.
type sender func(context.Context, func(redis.Pipeliner) error) ([]redis.Cmder, error)

func (d *doctor) readWith(ctx context.Context, partition int, send sender) (*body, error) {
	k := d.store.partition(d.object, partition)
	var records, associations *redis.MapStringStringCmd
	var counters, aside *redis.MapStringStringCmd
	var texts *redis.SliceCmd
	var free, tombs *redis.StringSliceCmd
	var events *redis.IntCmd
	var holds *redis.MapStringStringCmd
	enrolled := make([]*redis.MapStringStringCmd, len(d.workflows))
	extra := make([]*redis.IntCmd, len(d.extra))
	keys := d.typedKeys(k)
	types := make([]*redis.StatusCmd, len(keys))
	sent, err := send(ctx, func(pipe redis.Pipeliner) error {
		for i := range keys {
			types[i] = pipe.Type(ctx, keys[i].key)
		}
		records, associations = pipe.HGetAll(ctx, k.rec()), pipe.HGetAll(ctx, k.assoc())
		texts = pipe.MGet(ctx, d.stringKeys(k)...)
		counters, aside = pipe.HGetAll(ctx, k.cnt()), pipe.HGetAll(ctx, k.bad())
		events, holds = pipe.XLen(ctx, k.log()), pipe.HGetAll(ctx, k.hold())
		for i, name := range d.extra {
			if extra[i] = pipe.HLen(ctx, string(k)+name); strings.HasPrefix(name, countList) {
				extra[i] = pipe.BitCount(ctx, string(k)+name, nil)
			}
		}
		free = pipe.LRange(ctx, k.free(), 0, -1)
		tombs = pipe.HKeys(ctx, k.tomb())
		for i, name := range d.workflows {
			enrolled[i] = pipe.HGetAll(ctx, k.enr(name))
		}
		return nil
	})
	if err != nil && !redis.HasErrorPrefix(err, "WRONGTYPE") {
		return nil, whyOf(sent, err)
	}
	b := &body{
		partition: partition, records: records.Val(), free: free.Val(), tombs: tombs.Val(), associations: associations.Val(),
		counters: counters.Val(), aside: aside.Val(), sizes: map[string]int64{countLog: events.Val(), countHold: int64(len(holds.Val()))}, holds: holds.Val(),
	}
	for i, name := range d.extra {
		b.sizes[name] = extra[i].Val()
	}
	for i, t := range types {
		b.noLog = b.noLog || keys[i].key == k.log() && t.Val() == "none"
		if is := t.Val(); is != "none" && is != keys[i].want {
			keys[i].is = is
			b.wrong = append(b.wrong, keys[i])
		}
	}
	values := texts.Val()
	next := func() []byte {
		text, _ := values[0].(string)
		values = values[1:]
		return record.BytesOf(text)
	}
	b.ids, b.archived = next(), next()
	for range d.columns {
		b.columns = append(b.columns, next())
	}
	for _, l := range d.lists {
		b.lists = append(b.lists, next())
		b.sizes[listCounter(l.Number)] = bitCount(b.lists[len(b.lists)-1])
	}
	for i, e := range enrolled {
		b.enrollments = append(b.enrollments, e.Val())
		b.sizes[enrollmentCounter(d.workflows[i])] = int64(len(e.Val()))
	}
	b.counts, err = countsOf(b.counters)
	b.uncounted = err != nil
	return b, nil
}

// examine reports what is wrong in a partition, repaired or not.
func (d *doctor) examine(ctx context.Context, b *body) error {
	if err := d.reportTypes(b.wrong); err != nil {
		return err
	}
	d.blocked = d.blocked || b.blocked()
	d.noClaims = d.noClaims || b.blocked() // contacts that cannot be read may have some
	x := d.diagnose(b)
	if len(x.cures) > 0 {
		var err error
		if x, err = d.cure(ctx, b.partition); err != nil {
			return err
		}
	}
	for _, p := range x.problems {
		if err := d.report(p); err != nil {
			return err
		}
	}
	if d.order.Quarantine {
		d.noteQuarantined(x)
	}
	d.sumUp(x)
	d.highest = max(d.highest, x.highest)
	if b.blocked() {
		return nil
	}
	if err := d.suspectAssociations(ctx, x); err != nil {
		return err
	}
	if err := d.examineDeletions(ctx, x); err != nil {
		return err
	}
	if d.email != nil && !d.noClaims {
		return d.examineEmails(ctx, x.records)
	}
	return nil
}

// cureTries is how often a repair is tried again because somebody wrote to the partition meanwhile.
const cureTries = 50

// cure repairs a partition in one transaction that only happens if nobody writes to the partition meanwhile.
func (d *doctor) cure(ctx context.Context, partition int) (x *examination, err error) {
	k := d.store.partition(d.object, partition)
	keys := append(d.stringKeys(k), k.rec(), k.cnt(), k.free(), k.assoc(), k.log(), k.bad(), k.hold())
	for _, name := range d.workflows {
		keys = append(keys, k.enr(name))
	}
	for range cureTries {
		err = d.store.db.Redis.Watch(ctx, func(tx *redis.Tx) error {
			b, err := d.readWith(ctx, partition, tx.Pipelined)
			if err != nil {
				return err
			}
			x = d.diagnose(b)
			_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
				for _, cure := range x.cures {
					cure(ctx, pipe, k)
				}
				return nil
			})
			return err
		}, keys...)
		if err == nil {
			for i := range x.problems {
				x.problems[i].Repaired = x.problems[i].Repaired || d.repair && x.problems[i].curable()
			}
			return x, nil
		}
		if !errors.Is(err, redis.TxFailedErr) {
			return nil, fmt.Errorf("repair partition %d: %w", partition, d.store.db.Explain(err))
		}
	}
	return nil, fmt.Errorf("repair partition %d: %w", partition, record.ErrConflict)
}

// examineIDs makes sure that ids are taken above the highest one there is.
func (d *doctor) examineIDs(ctx context.Context) error {
	if d.isWrong(d.store.keyNextID(d.object)) {
		return nil // it was reported
	}
	text, err := d.store.db.Redis.Get(ctx, d.store.keyNextID(d.object)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return d.store.db.Explain(err)
	}
	last, _ := strconv.ParseUint(text, 10, 64)
	if record.ID(last) >= d.highest {
		return nil
	}
	p := Problem{Code: problemCount, ID: d.highest, Detail: "new ids would be taken below the highest id"}
	if d.repair {
		if _, err := d.store.takeIDs(ctx, d.object, 0, d.highest); err != nil {
			return err
		}
		p.Repaired = true
	}
	return d.report(p)
}

// examineUnlisted looks for deleted lists whose bits an interruption left behind.
func (d *doctor) examineUnlisted(ctx context.Context) error {
	left, err := d.store.unlisted(ctx, d.object)
	if err != nil {
		return err
	}
	for _, number := range left {
		p := Problem{Code: problemList, Detail: "members of the deleted list number " + strconv.Itoa(number) + " are still there"}
		if d.repair {
			if err := d.store.dropUnlisted(ctx, d.object, []int{number}); err != nil {
				return err
			}
			p.Repaired = true
		}
		if err := d.report(p); err != nil {
			return err
		}
	}
	return nil
}
