package triggers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// maxExpressions is how many expressions a trigger may have of each kind: Found.Triggers counts in a byte.
const maxExpressions = 255

// Matcher is a trigger at an instant. It is not safe for concurrent use; Clone it for another goroutine.
type Matcher struct {
	trigger *Trigger
	env     *env
	now     time.Time

	any, suppress []*columnTest         // one for each expression; never changed after At
	root          *columnTest           // any of any
	lists         []int                 // that any expression mentions
	numbers       []int                 // of the properties that any expression mentions
	relations     []relation            // what any expression asks about associated records
	possible      []func(*env) bool     // for each expression of Any where relations are asked
	alone         *Together             // this matcher and no other
	known         map[record.ID]related // associations of the records in hand
	bin           bool                  // Test looks at records in the recycle bin; see InBin
}

// At fixes the run's instant and plans. The error says that the trigger was put together wrongly; a
// trigger of expressions that were compiled with its vocabulary has none.
func (t *Trigger) At(now time.Time) (*Matcher, error) {
	if t.Vocabulary.Schema == nil {
		return nil, errors.New("plan trigger: it has no schema")
	}
	if n := max(len(t.Any), len(t.Suppress)); n > maxExpressions {
		return nil, fmt.Errorf("plan trigger: %d expressions, at most %d", n, maxExpressions)
	}
	m := &Matcher{trigger: t, now: now.Truncate(time.Millisecond), env: newEnv(t.Vocabulary, now, t.highest())}
	p := planner{env: m.env}
	plan := func(all []*Expr) []*columnTest {
		tests := make([]*columnTest, len(all))
		for i, e := range all {
			tests[i] = p.logic(e.normal)
			properties, lists := e.root.mentions()
			for _, l := range lists {
				if !slices.Contains(m.lists, l) {
					m.lists = append(m.lists, l)
				}
			}
			for _, property := range properties {
				if !slices.Contains(m.numbers, property.Number) {
					m.numbers = append(m.numbers, property.Number)
				}
			}
		}
		return tests
	}
	m.any, m.suppress = plan(t.Any), plan(t.Suppress)
	m.root = joinTests(opOr, m.any)
	if m.relations = relations(t.expressions()); len(m.relations) > 0 {
		for _, e := range t.Any {
			m.possible = append(m.possible, possible(e.normal))
		}
	}
	m.alone = together([]*Matcher{m})
	return m, nil
}

// highest is the highest property number that the expressions can ask for.
func (t *Trigger) highest() int {
	highest := 0
	for i := range t.Vocabulary.Schema.Properties {
		highest = max(highest, t.Vocabulary.Schema.Properties[i].Number)
	}
	for _, e := range t.expressions() {
		properties, _ := e.root.mentions()
		for _, p := range properties {
			highest = max(highest, p.Number)
		}
	}
	return highest
}

// Clone is a Matcher of the same trigger at the same instant, for another goroutine.
func (m *Matcher) Clone() *Matcher {
	c := m.copied()
	c.alone = together([]*Matcher{c})
	return c
}

// copied is m with an env of its own, for use by a Together.
func (m *Matcher) copied() *Matcher {
	c := *m
	c.env, c.alone = m.env.clone(), nil
	return &c
}

// InBin is a Clone that looks at the recycle bin: its Test tests archived records, as they were when they were deleted
// and will be when they are restored, and gives live ones the zero Verdict. It has no other use: Evaluate and Explain
// speak of live records always.
func (m *Matcher) InBin() *Matcher {
	c := m.Clone()
	c.bin = true
	return c
}

// Now is the instant that the Matcher was made for.
func (m *Matcher) Now() time.Time { return m.now }

// judge tests a record with the whole expressions; m.env.lists are those of its partition.
func (m *Matcher) judge(r *record.Record) Verdict {
	m.look(r)
	return m.verdict()
}

// verdict tests the record that m.env looks at.
func (m *Matcher) verdict() Verdict {
	var v Verdict
	for i, e := range m.trigger.Any {
		if e.test(m.env) == True {
			v.Match, v.Trigger = true, i+1
			break
		}
	}
	if !v.Match {
		return v
	}
	for _, e := range m.trigger.Suppress {
		if e.test(m.env) == True {
			v.Suppressed = true
			break
		}
	}
	return v
}

// Test reads the named records afresh and tests each with the whole expressions. recs[i] is nil for a record
// that is not there; that and an archived record get the zero Verdict (see also [Matcher.InBin]). fn is called for each element of want, in order.
// Damaged records are nil too, and a *crmstore.DamagedError names them in the end.
func (m *Matcher) Test(ctx context.Context, src Source, o record.ObjectType, want []record.PartitionIDs,
	fn func(p int, recs []*record.Record, v []Verdict) error,
) error {
	if len(m.lists) == 0 && len(m.relations) == 0 {
		return src.ReadRecords(ctx, o, want, func(p int, recs []*record.Record) error {
			return fn(p, recs, m.verdicts(recs))
		})
	}
	// Records first, then lists: a membership that changes in between has changed the record's version too, so that an act
	// on the version that was read is refused. The other way round, an old membership could pass with a new version.
	var read [][]*record.Record
	err := src.ReadRecords(ctx, o, want, func(_ int, recs []*record.Record) error {
		read = append(read, slices.Clone(recs))
		return nil
	})
	damaged := err
	if err != nil && !errors.Is(err, record.ErrDamaged) {
		return err
	}
	lists, err := m.readMembers(ctx, src, o, want)
	if err != nil {
		return err
	}
	var open []*record.Record // may match, depending on what they are associated with
	for i, w := range want {
		m.env.lists = lists[w.Partition]
		open = m.appendOpen(open, read[i])
	}
	known, err := m.relate(ctx, src, o, open)
	if err != nil {
		return err
	}
	m.known = known
	defer func() { m.known, m.env.related = nil, nil }()
	for i, w := range want {
		m.env.lists = lists[w.Partition]
		if err := fn(w.Partition, read[i], m.verdicts(read[i])); err != nil {
			return err
		}
	}
	return damaged
}

// look turns m.env to a record, with its associations where they were read.
func (m *Matcher) look(r *record.Record) {
	m.env.setRecord(r)
	m.env.related = m.known[r.ID]
}

// appendOpen appends the records whose verdict depends on what they are associated with.
func (m *Matcher) appendOpen(open, recs []*record.Record) []*record.Record {
	if len(m.relations) == 0 {
		return open
	}
	for _, r := range recs {
		if r == nil || (r.Deletion != nil) != m.bin {
			continue
		}
		if m.env.setRecord(r); m.mayMatch() {
			open = append(open, r)
		}
	}
	return open
}

func (m *Matcher) verdicts(recs []*record.Record) []Verdict {
	v := make([]Verdict, len(recs))
	for i, r := range recs {
		if r != nil && (r.Deletion != nil) == m.bin {
			v[i] = m.judge(r)
		}
	}
	return v
}

// readMembers reads the lists of the partitions that want names, a call for each stretch without gaps.
func (m *Matcher) readMembers(ctx context.Context, src Source, o record.ObjectType, want []record.PartitionIDs) (map[int]map[int][]byte, error) {
	var partitions []int
	for _, w := range want {
		partitions = append(partitions, w.Partition)
	}
	slices.Sort(partitions)
	partitions = slices.Compact(partitions)
	lists := make(map[int]map[int][]byte, len(partitions))
	ask := crmstore.Want{Lists: m.lists}
	for len(partitions) > 0 {
		n := 1
		for n < len(partitions) && partitions[n] == partitions[0]+n {
			n++
		}
		err := src.ReadColumns(ctx, o, partitions[0], partitions[0]+n, ask, func(c *crmstore.Columns) error {
			lists[c.Partition] = members(ask, c)
			return nil
		})
		if err != nil {
			return nil, err
		}
		partitions = partitions[n:]
	}
	return lists, nil
}
