package crmstore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// soul is a record as the plain model has it. It is never changed in place.
type soul struct {
	values   map[int]record.Value
	deletion *record.Deletion
	member   bool              // of the object type's one list
	enrolled record.Enrollment // in the one workflow
	person   int               // of a contact: who it is, see [person]
}

func (r *soul) live() bool   { return r != nil && r.deletion == nil }
func (r *soul) binned() bool { return r != nil && r.deletion != nil }
func (r *soul) there() bool  { return r != nil }

func (r *soul) email() string { return normal(r.values[record.PropertyEmail].Text()) }

func (r *soul) same(other *soul) bool {
	if r == nil || other == nil {
		return r == other
	}
	return maps.Equal(r.values, other.values) && fmt.Sprint(r.deletion) == fmt.Sprint(other.deletion) &&
		r.member == other.member && r.enrolled == other.enrolled
}

// mixed is an account with records of all kinds, on a server of its own, and a plain model of it. Each operation may be
// carried out by a victim, a process that dies at some command.
type mixed struct {
	t      *testing.T
	rng    *rand.Rand
	url    string
	sound  *crmstore.Store
	clock  time.Time
	batch  int // most records that one operation touches
	types  []record.ObjectType
	schema map[record.ObjectType]*record.Schema
	some   map[record.ObjectType][]*record.Property // that records get values of
	lists  map[record.ObjectType]crmstore.List

	records map[record.Ref]*soul
	ids     map[record.ObjectType][]record.ID // all there ever were
	holders map[string]record.ID              // live contacts, by e-mail address
	blocked map[string]bool
	persons int
	named   map[int][]record.Ref // whose deletion's reason names the person
	spoken  []record.ID          // contacts whom reasons name
	gone    map[int]bool         // persons that were deleted permanently
	tombs   map[record.ID]crmstore.Tombstone
	limbo   map[record.ID]crmstore.Tombstone // whose permanent deletion was interrupted
	tied    map[record.Ref]map[crmstore.Pair]bool
	doubt   map[crmstore.Pair]bool // a crash may have left them tied or not
	steps   map[string]int         // commands that an operation takes, by kind; the most seen
	done    map[string]int         // how many operations of a kind, and how many crashes
}

const mixedPartitions = 24

func newMixed(t *testing.T, seed uint64, batch int) *mixed {
	t.Helper()
	url := "redis://" + storetest.StartServer(t)
	w := &mixed{
		t: t, rng: rand.New(rand.NewPCG(seed, 0)), url: url, clock: noon, batch: batch,
		schema: map[record.ObjectType]*record.Schema{}, some: map[record.ObjectType][]*record.Property{},
		lists: map[record.ObjectType]crmstore.List{}, records: map[record.Ref]*soul{},
		ids: map[record.ObjectType][]record.ID{}, holders: map[string]record.ID{}, blocked: map[string]bool{},
		named: map[int][]record.Ref{}, gone: map[int]bool{}, tombs: map[record.ID]crmstore.Tombstone{},
		limbo: map[record.ID]crmstore.Tombstone{}, tied: map[record.Ref]map[crmstore.Pair]bool{},
		doubt: map[crmstore.Pair]bool{}, steps: map[string]int{}, done: map[string]int{},
	}
	w.sound = w.open()
	ctx := t.Context()
	_, err := w.sound.CreateAccount(ctx, crmstore.Professional, mixedPartitions, someone, noon)
	if err == nil {
		_, err = w.sound.AddObject(ctx, crmstore.Object{Name: "machine"}, []record.Property{
			{Name: "serial", Type: record.String, Exact: true}, {Name: "weight", Type: record.Number},
		}, someone, noon)
	}
	if err == nil {
		_, err = w.sound.SaveWorkflow(ctx, crmstore.Workflow{Name: "stale", Object: record.Contact}, nil, "publish", someone, noon)
	}
	if err == nil {
		w.types, err = w.sound.ObjectTypes(ctx)
	}
	w.must(err)
	for _, o := range w.types {
		if w.schema[o], err = w.sound.Schema(ctx, o); err == nil && (o == record.Contact || o == record.Company) {
			w.lists[o], err = w.sound.CreateList(ctx, o, "keep", someone, noon)
		}
		w.must(err)
		for i := range w.schema[o].Properties {
			p := &w.schema[o].Properties[i]
			given := o == record.Contact && slices.Contains([]string{"email", "firstname", "lastname", "phone"}, p.Name)
			if !p.ReadOnly && !given && p.Number != record.PropertyCreated && (len(w.some[o]) < 5 || p.Name == "lifecyclestage") {
				w.some[o] = append(w.some[o], p)
			}
		}
	}
	return w
}

func (w *mixed) open() *crmstore.Store {
	w.t.Helper()
	s, err := crmstore.Open(w.t.Context(), crmstore.Config{URL: w.url, User: storetest.User})
	w.must(err)
	crmstore.SetPatience(s, 0)
	w.t.Cleanup(func() { _ = s.Close() })
	return s
}

func (w *mixed) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *mixed) tick() time.Time {
	w.clock = w.clock.Add(time.Minute)
	return w.clock
}

func (w *mixed) chance(percent int) bool { return w.rng.IntN(100) < percent }

// put makes a record stand as it does now in the model; nil takes it out.
func (w *mixed) put(ref record.Ref, now *soul) {
	if ref.Object == record.Contact {
		if old := w.records[ref]; old.live() && w.holders[old.email()] == ref.ID {
			delete(w.holders, old.email())
		}
		if now.live() && now.email() != "" {
			w.holders[now.email()] = ref.ID
		}
	}
	if now == nil {
		delete(w.records, ref)
		return
	}
	w.records[ref] = now
}

// pick draws different records of a type, nearly all of them such that likes says yes.
func (w *mixed) pick(o record.ObjectType, n int, likes func(*soul) bool) []record.ID {
	all, picked := w.ids[o], map[record.ID]bool{}
	var ids []record.ID
	for range 5 * n {
		if len(all) == 0 || len(ids) == n {
			break
		}
		id := all[w.rng.IntN(len(all))]
		if _, pending := w.limbo[id]; picked[id] || pending && o == record.Contact {
			continue
		}
		if likes(w.records[record.Ref{Object: o, ID: id}]) || w.chance(6) {
			ids, picked[id] = append(ids, id), true
		}
	}
	return ids
}

// Cut is a process that dies at one of its commands: before it, in the middle of a pipeline, or before it has the answer.
type Cut struct {
	mu    sync.Mutex
	at    int // the command that is the last
	how   int // 0 not sent, 1 of a pipeline one half sent, 2 sent and carried out
	count int
}

func (c *Cut) DialHook(next redis.DialHook) redis.DialHook { return next }

// step says how many of n commands are carried out, and whether the process lives on.
func (c *Cut) step(n int) (carried int, lives bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	switch {
	case c.count <= c.at:
		return n, true
	case c.count > c.at+1 || c.how == 0:
		return 0, false
	case c.how == 1:
		return n / 2, false
	}
	return n, false
}

func (c *Cut) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		carried, lives := c.step(1)
		if lives {
			return next(ctx, cmd)
		}
		if carried > 0 {
			_ = next(ctx, cmd)
		}
		cmd.SetErr(errBroken)
		return errBroken
	}
}

func (c *Cut) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		carried, lives := c.step(len(cmds))
		if lives {
			return next(ctx, cmds)
		}
		if carried > 0 && (carried == len(cmds) || cmds[0].Name() != "multi") {
			_ = next(ctx, cmds[:carried])
		}
		for _, cmd := range cmds {
			cmd.SetErr(errBroken)
		}
		return errBroken
	}
}

// crash lets fn run in a process that dies at some command of it; it reports whether that was so.
func (w *mixed) crash(kind string, fn func(s *crmstore.Store) error) bool {
	w.t.Helper()
	victim := w.open()
	c := &Cut{at: w.rng.IntN(w.steps[kind] + 2), how: w.rng.IntN(3)}
	crmstore.Raw(victim).AddHook(c)
	err := fn(victim)
	w.must(victim.Close())
	if err == nil {
		w.steps[kind] = max(w.steps[kind], c.count)
		return false
	}
	if !errors.Is(err, errBroken) {
		w.t.Fatalf("%s, dying at command %d: %v", kind, c.at, err)
	}
	w.steps[kind] = max(w.steps[kind], c.at+1)
	w.done["crashes"]++
	return true
}

// deed is one operation on records.
type deed struct {
	kind    string
	touched []record.Ref
	apply   func() []string // carries it out in the model, and says what the store must answer
	run     func(s *crmstore.Store) ([]string, error)
	torn    func() // notes what a crash leaves in doubt beside the records; nil = nothing
}

// do carries out a deed, in one go, or by a process that dies, after which it may be repeated.
func (w *mixed) do(d deed) {
	w.t.Helper()
	w.done[d.kind]++
	var got []string
	run := func(s *crmstore.Store) (err error) {
		got, err = d.run(s)
		return err
	}
	if w.chance(30) && w.crash(d.kind, run) {
		w.settle(d)
		if w.chance(50) {
			return
		}
		w.must(run(w.sound))
	} else if got == nil {
		w.must(run(w.sound))
	}
	w.lookAtLimbo()
	if diff := cmp.Diff(d.apply(), got); diff != "" {
		w.t.Fatalf("%s (-want +got):\n%s", d.kind, diff)
	}
}

// settle finds out how far a deed came. Each record is as before, or as it was to be: nothing else can be.
func (w *mixed) settle(d deed) {
	w.t.Helper()
	w.lookAtLimbo()
	before := make([]*soul, len(d.touched))
	for i, ref := range d.touched {
		before[i] = w.records[ref]
	}
	if d.torn != nil {
		d.torn()
	}
	d.apply()
	for i, is := range w.observe(d.touched) {
		ref := d.touched[i]
		switch after := w.records[ref]; {
		case is.same(after):
		case is.same(before[i]):
			w.put(ref, before[i])
		default:
			w.t.Fatalf("%s died, and %s is %+v; before %+v; afterwards %+v", d.kind, ref, is, before[i], after)
		}
	}
	w.must(crmstore.AgeClaims(w.t.Context(), w.sound, mixedPartitions)) // time goes by
}

// Records of all types, in lists, workflows and associations, are created, changed, deleted, restored, purged and deleted
// permanently in random order, by processes of which many die in the middle. Nothing is lost, nothing comes back
// from the dead, no slot shows a bit of an old record, and who was deleted permanently is nowhere to be found.
//
// MIXED_RECORDS and MIXED_SEED set the size and repeat a run (but for commands that go out side by side, of which either
// may be the first); make soak runs it with 100,000 records.
func TestMixed(t *testing.T) {
	t.Parallel()
	records, seed := 1200, rand.Uint64()
	var err error
	if text := os.Getenv("MIXED_RECORDS"); text != "" {
		if records, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	if text := os.Getenv("MIXED_SEED"); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("repeat with MIXED_RECORDS=%d MIXED_SEED=%d", records, seed)
	w := newMixed(t, seed, min(max(20, records/50), 500))
	start, next := time.Now(), records/3
	for made := 0; made < records; {
		made += w.one()
		if made >= next {
			w.check()
			next += records / 3
			t.Logf("%d records made, %v: %v", made, time.Since(start).Round(time.Millisecond), w.done)
		}
	}
	w.check()
	t.Logf("%d records there, %d persons deleted permanently, %v", len(w.records), len(w.gone), time.Since(start).Round(time.Millisecond))
}
