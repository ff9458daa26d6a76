package workflow

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

const (
	healthEvery = time.Second     // how often the store is asked for its health
	staleHealth = 2 * healthEvery // an older answer is not relied on
	healthTime  = 5 * time.Second // how long it may take to answer
)

// TroubleUnreachable is the code of a store that does not answer.
const TroubleUnreachable = "unreachable"

// Health asks a store all the time whether anything may be done with it, and says so in the log and the metrics when that
// changes. Whatever starts, deletes, purges or trims asks it first. A nil *Health has no troubles. It is safe for concurrent use.
type Health struct {
	Store   *crmstore.Store
	Metrics *Metrics      // nil = none
	Log     *slog.Logger  // nil = nothing is logged
	Every   time.Duration // between two questions; 0 = a second

	mu       sync.Mutex
	troubles []crmstore.Trouble // as heard last
	asked    time.Time          // when that was
	said     string             // the codes of what was said last
}

// TroubleError says why nothing may be done with the store. Nothing was changed.
type TroubleError struct{ Troubles []crmstore.Trouble }

// Error is what is wrong, and what to do about it.
func (e *TroubleError) Error() string {
	var words []string
	for _, t := range e.Troubles {
		text := t.Message
		if t.Help != "" {
			text += " (" + t.Help + ")"
		}
		words = append(words, text)
	}
	return strings.Join(words, "; ")
}

// Run asks at once and then every second until the context ends, and returns nil. A store that does not answer is asked again.
func (h *Health) Run(ctx context.Context) error {
	every := h.Every
	if every <= 0 {
		every = healthEvery
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		_ = h.Ask(ctx) // it is remembered and said
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Ask asks the store now. It is nil when the store is well, a *TroubleError when it is in trouble, and another error when it did
// not answer.
func (h *Health) Ask(ctx context.Context) error {
	if h == nil {
		return nil
	}
	asking, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	found, err := h.Store.Health(asking)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	h.heard(ctx, found, err)
	if err != nil {
		return err
	}
	return asTrouble(found)
}

// May is nil when the store was well as heard last, else a *TroubleError. It asks nobody.
func (h *Health) May() error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return asTrouble(h.troubles)
}

// mayGoOn is as May for what is under way: troubles that pass are left to its patience with a store that is away. Where Run does not
// ask, it asks about as often.
func (h *Health) mayGoOn(ctx context.Context) error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	old := wall().Sub(h.asked) > staleHealth
	h.mu.Unlock()
	if old {
		_ = h.Ask(ctx) // a store that does not answer is the work's own to meet
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var lasting []crmstore.Trouble
	for _, t := range h.troubles {
		if !t.Passing {
			lasting = append(lasting, t)
		}
	}
	return asTrouble(lasting)
}

// lostAccount reports whether the account that this process works on is not there any more.
func (h *Health) lostAccount() bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.troubles {
		if t.Code == crmstore.TroubleAccountGone || t.Code == crmstore.TroubleOtherAccount {
			return true
		}
	}
	return false
}

func asTrouble(troubles []crmstore.Trouble) error {
	if len(troubles) == 0 {
		return nil
	}
	return &TroubleError{Troubles: troubles}
}

// heard remembers what the store said. While it does not answer, what it said last holds: a loss does not go away by silence.
func (h *Health) heard(ctx context.Context, found []crmstore.Trouble, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = wall()
	codes := map[string]bool{TroubleUnreachable: err != nil}
	if err == nil {
		h.troubles = found
	}
	var now []string
	for _, t := range h.troubles {
		if !codes[t.Code] {
			now = append(now, t.Code)
		}
		codes[t.Code] = true
	}
	h.Metrics.inTrouble(codes)
	if said := strings.Join(now, " "); err == nil && said != h.said {
		h.said = said
		h.say(ctx, found)
	}
}

// say writes a line for each trouble, or that there is none any more.
func (h *Health) say(ctx context.Context, troubles []crmstore.Trouble) {
	if h.Log == nil {
		return
	}
	if len(troubles) == 0 {
		h.Log.LogAttrs(ctx, slog.LevelInfo, "the store is well again; work goes on")
	}
	for _, t := range troubles {
		h.Log.LogAttrs(ctx, slog.LevelError, "the store is in trouble: nothing is started, deleted, purged or trimmed until that is over",
			slog.String("trouble", t.Code), slog.String(keyReason, t.Message), slog.String("help", t.Help))
	}
}
