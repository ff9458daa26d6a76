package workflow

import (
	"context"
	"errors"
	"sync"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// errAlone asks a run to evaluate alone: the evaluation of its group failed, and not because of this run.
var errAlone = errors.New("the evaluation of the run group failed; evaluate alone")

// runGroup lets runs that begin at the same moment evaluate together: one scan reads the contacts for all of them. The
// scan begins when each member has either come to its evaluation or left. After it each run goes on alone, as many at a
// time as there are turns.
type runGroup struct {
	ctx   context.Context // of the evaluation, which must not end with one member's
	turns chan struct{}   // holds a token for each member that has its turn, and one for the evaluation
	spawn func(func())    // runs the evaluation in a goroutine; the caller waits for its end

	mu      sync.Mutex // guards what follows
	missing int        // members that have neither come nor left
	present []*member
}

// member is one run's part in a run group. A nil *member is a run that is in none. Only the run's goroutine uses it.
type member struct {
	in        *runGroup
	announced bool // has come or left
	holds     bool // has its turn

	store *crmstore.Store
	scan  *scan
	ended chan error // gets the scan's error, or nil
}

// groupRuns makes a run group and returns its members. The caller has put the evaluation's token into turns.
func groupRuns(ctx context.Context, members int, turns chan struct{}, spawn func(func())) []*member {
	g := &runGroup{ctx: ctx, turns: turns, spawn: spawn, missing: members}
	list := make([]*member, members)
	for i := range list {
		list[i] = &member{in: g}
	}
	return list
}

// evaluate takes part in the evaluation and then waits for the member's turn. errAlone asks it to evaluate alone.
func (m *member) evaluate(ctx context.Context, store *crmstore.Store, l *scan) error {
	if m.announced {
		return errAlone
	}
	m.store, m.scan, m.ended = store, l, make(chan error, 1)
	l.ctx = ctx
	m.announce(m)
	var err error
	select {
	case err = <-m.ended:
	case <-ctx.Done():
		err = ctx.Err()
		l.mu.Lock() // a call of found that has begun ends before its run does
		l.err = err
		l.mu.Unlock()
	}
	if err == nil || errors.Is(err, errAlone) {
		if turnErr := m.turn(ctx); turnErr != nil {
			err = turnErr
		}
	}
	return err
}

// leave takes the member out of the group, so that the others do not wait for it, and waits for its turn.
func (m *member) leave(ctx context.Context) error {
	if m == nil {
		return nil
	}
	m.announce(nil)
	return m.turn(ctx)
}

// end gives the member's turn back. The caller calls it when the run is over, whatever happened before.
func (m *member) end() {
	if m == nil {
		return
	}
	m.announce(nil)
	if m.holds {
		<-m.in.turns
		m.holds = false
	}
}

func (m *member) turn(ctx context.Context) error {
	if m.holds {
		return nil
	}
	select {
	case m.in.turns <- struct{}{}:
		m.holds = true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// announce counts the member as come or gone. The last one starts the evaluation.
func (m *member) announce(present *member) {
	if m.announced {
		return
	}
	m.announced = true
	g := m.in
	g.mu.Lock()
	if g.missing--; present != nil {
		g.present = append(g.present, present)
	}
	complete := g.missing == 0
	g.mu.Unlock()
	if complete {
		g.spawn(g.evaluate)
	}
}

// evaluate evaluates the members that came. Those with the same object type and acting user share one scan.
func (g *runGroup) evaluate() {
	type kind struct {
		object record.ObjectType
		user   string
	}
	groups := map[kind][]*member{}
	var order []kind
	for _, m := range g.present {
		k := kind{m.scan.def.Object, m.store.User()}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], m)
	}
	for _, k := range order {
		group := groups[k]
		scans := make([]*scan, len(group))
		for i, m := range group {
			scans[i] = m.scan
		}
		err := scanTogether(g.ctx, group[0].store, scans)
		for _, m := range group {
			switch {
			case err != nil && len(group) == 1:
				m.ended <- err
			case err != nil:
				m.ended <- errAlone
			default:
				m.ended <- m.scan.failure()
			}
		}
	}
	<-g.turns
}

// failure is the scan's error.
func (l *scan) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
