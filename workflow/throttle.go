package workflow

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

const (
	// roundRecords is how many records a round takes at most, when nothing holds it back.
	roundRecords = rangePartitions * batchRecords
	// mostHalved is how often a slow store halves a round: down to one batch.
	mostHalved = 5
	// DefaultPauseAbove is how long the store may take to answer a short question before it counts as slow; see docs/OPERATING.md
	// for what was measured.
	DefaultPauseAbove = 250 * time.Millisecond
	// askWithin is the longest pause without asking mayGoOn.
	askWithin = time.Second
	// A pass asks a slow store again after slowFrom, then after twice as long … up to slowTo. After slowMost in all it
	// carries the round out all the same, so that every run ends.
	slowFrom = 250 * time.Millisecond
	slowTo   = 4 * time.Second
	slowMost = 10 * time.Second
)

// throttle slows the deletions of a pass down: under the limits per second, and while the store is slow. All actors of the
// pass share it.
type throttle struct {
	pass *pass

	mu     sync.Mutex // guards what follows
	halved int        // how often the size of a round was halved
	logged bool       // that the store is slow
}

// turn waits until the next round may begin, and returns how many records it may take, at most open. It asks mayGoOn
// before it waits, after it, and every second meanwhile, and returns the store of the last answer. The limits are charged
// before the wait: a run that is stopped while it waits has used up to half a second's worth.
func (t *throttle) turn(ctx context.Context, open int) (*crmstore.Store, int, error) {
	var slow time.Duration // waited for a slow store
	for pause := slowFrom; ; pause = min(2*pause, slowTo) {
		acting, err := t.pass.mayGoOn(ctx)
		if err != nil {
			return nil, 0, err
		}
		began := monotonic()
		account, err := t.pass.store.DeletionsPerSecond(ctx)
		if err != nil {
			return nil, 0, err
		}
		quick := t.answered(ctx, monotonic().Sub(began))
		if !quick && slow < slowMost {
			if _, err := t.wait(ctx, pausedSlow, pause); err != nil {
				return nil, 0, err
			}
			slow += pause
			continue
		}
		rates, n := t.rates(account), min(open, t.roundSize())
		if len(rates) == 0 {
			return acting, n, nil
		}
		for _, r := range rates {
			n = min(n, max(r.PerSecond/2, 1))
		}
		acting, err = t.promised(ctx, acting, n, rates)
		return acting, n, err
	}
}

// rates are the limits per second on the run's deletions.
func (t *throttle) rates(account int) []crmstore.Rate {
	var rates []crmstore.Rate
	if account > 0 {
		rates = append(rates, crmstore.Rate{PerSecond: account})
	}
	if own := t.pass.def.Limits.MaxPerSecond; own > 0 {
		rates = append(rates, crmstore.Rate{Workflow: t.pass.workflow, PerSecond: own})
	}
	return rates
}

// promised charges n records to the rates and waits until they may be deleted.
func (t *throttle) promised(ctx context.Context, acting *crmstore.Store, n int, rates []crmstore.Rate) (*crmstore.Store, error) {
	for {
		wait, granted, err := t.pass.store.Pace(ctx, n, t.pass.store.Now(), rates...)
		if err != nil {
			return nil, err
		}
		if wait > 0 {
			if acting, err = t.wait(ctx, pausedRate, wait); err != nil {
				return nil, err
			}
		}
		if granted {
			return acting, nil
		}
	}
}

// wait waits for d. Every second and at the end it asks whether the run may go on.
func (t *throttle) wait(ctx context.Context, reason string, d time.Duration) (acting *crmstore.Store, err error) {
	until := monotonic().Add(d)
	for left := d; left > 0; left = until.Sub(monotonic()) {
		began := monotonic()
		timer := time.NewTimer(min(left, askWithin))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		t.pass.metrics().waited(t.pass.workflow, reason, max(monotonic().Sub(began), 0))
		if acting, err = t.pass.mayGoOn(ctx); err != nil {
			return nil, err
		}
	}
	return acting, nil
}

// roundSize is how many records a round may take.
func (t *throttle) roundSize() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return roundRecords >> t.halved
}

// answered notes how long the store took to answer a short question, and reports whether it was quick. Each slow answer
// halves the rounds, since they may be what slows the store; each quick one doubles them again.
func (t *throttle) answered(ctx context.Context, took time.Duration) bool {
	above := t.pass.r.PauseAbove
	if above == 0 {
		above = DefaultPauseAbove
	}
	if above < 0 {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if took <= above {
		t.halved = max(t.halved-1, 0)
		return true
	}
	t.halved = min(t.halved+1, mostHalved)
	if !t.logged { // once: a store that is quick and slow in turn would fill the log
		t.logged = true
		t.pass.r.event(ctx, t.pass.saved(), slog.LevelWarn, "store is slow; deletions pause",
			slog.Duration("answered_after", took), slog.Duration("pause_above", above))
	}
	return false
}

// openMatches is how many matches of the parts have no outcome yet.
func openMatches(parts []*part) int {
	n := 0
	for _, part := range parts {
		n += len(part.open)
	}
	return n
}
