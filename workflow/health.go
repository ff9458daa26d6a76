package workflow

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

const (
	healthEvery = time.Second     // how often the store is asked for its health
	staleHealth = 2 * healthEvery // an older answer is not relied on
	healthTime  = 5 * time.Second // how long it may take to answer
)

// The codes of troubles that are not the store's own.
const (
	TroubleUnreachable = "unreachable" // the store does not answer
	TroubleNotAUser    = "not-a-user"  // the acting user is none of the account's
)

// Health asks a store all the time whether the process may work with it, and writes changes to the log and the metrics.
// All that starts, deletes, purges, trims or mails asks it first. A nil *Health has no troubles. It is safe for
// concurrent use.
type Health struct {
	Store   *crmstore.Store
	Metrics *Metrics      // nil = none
	Log     *slog.Logger  // nil = nothing is logged
	Every   time.Duration // between two questions; 0 = a second
	Acting  string        // the user that the process runs as; nothing may be done while the account has no such user; "" = not checked

	next, window int // of which object type, and which partitions, the records are counted next; only Run uses them

	mu       sync.Mutex
	troubles []crmstore.Trouble // as heard last
	asked    time.Time          // when that was
	begun    int                // questions so far, in the order in which they began
	answered int                // the latest question of which the answer is kept
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
		if h.Ask(ctx) == nil { // else it is remembered and said
			h.count(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// count looks for lost records, in one window of partitions of one object type after the other.
func (h *Health) count(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	objects, err := h.Store.ObjectTypes(asking)
	if err != nil || len(objects) == 0 {
		return // the next question meets the same
	}
	_, more, err := h.Store.LookForLoss(asking, objects[h.next%len(objects)], h.window)
	if h.window++; err != nil || !more {
		h.next, h.window = h.next+1, 0
	}
}

// countAll looks for lost records of an object type, and is a *TroubleError when there are any, or any other lasting trouble.
func (h *Health) countAll(ctx context.Context, o record.ObjectType) error {
	if h == nil {
		return nil
	}
	if _, err := h.Store.LookForLossOf(ctx, o); err != nil {
		return err
	}
	if err := h.Ask(ctx); err != nil && !errors.As(err, new(*TroubleError)) {
		return err
	}
	return h.mayGoOn(ctx)
}

// Ask asks the store now. It is nil when the store is well, a *TroubleError when it is in trouble, and another error when it did
// not answer.
func (h *Health) Ask(ctx context.Context) error {
	if h == nil {
		return nil
	}
	asking, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	question := h.begin()
	found, err := h.Store.Health(asking)
	if err == nil {
		found, err = h.askForUser(asking, found)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	h.Metrics.clockIs(h.Store.LastClock().Ahead())
	h.remember(ctx, question, found, err)
	if err != nil {
		return err
	}
	return asTrouble(found)
}

// askForUser adds to the troubles that the acting user is not one of the account's. An account that cannot be read is another trouble.
func (h *Health) askForUser(ctx context.Context, found []crmstore.Trouble) ([]crmstore.Trouble, error) {
	if h.Acting == "" {
		return found, nil
	}
	is, err := h.Store.As(h.Acting).May(ctx, "")
	switch {
	case errors.Is(err, record.ErrNoAccount), errors.Is(err, record.ErrNotInSync), errors.Is(err, record.ErrAccountGone), errors.Is(err, record.ErrOtherAccount):
		return found, nil
	case err != nil || is:
		return found, err
	}
	refused := crmstore.PermissionError{User: h.Acting, Account: h.Store.AccountName()}
	return append(found, crmstore.Trouble{Code: TroubleNotAUser, Message: refused.Message(), Help: refused.Help()}), nil
}

// May is nil when the store was well at its last answer, else a *TroubleError. It does not ask the store.
func (h *Health) May() error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return asTrouble(h.troubles)
}

// mayGoOn is May for a run that is under way. It leaves passing troubles to the run's patience. Where Run does not ask the
// store, mayGoOn asks about as often.
func (h *Health) mayGoOn(ctx context.Context) error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	old := monotonic().Sub(h.asked) > staleHealth
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

// begin numbers a question.
func (h *Health) begin() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begun++
	return h.begun
}

// remember keeps the store's answer. While the store is silent its last answer holds: silence does not end a loss.
// Questions overlap, and a slow answer may arrive after that to a later question. It is old by then, and is dropped: a
// store that was well a moment ago does not end its trouble of now.
func (h *Health) remember(ctx context.Context, question int, found []crmstore.Trouble, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if question < h.answered {
		return
	}
	h.answered = question
	h.asked = monotonic()
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
		h.report(ctx, found)
	}
}

// report writes a line for each trouble, or that there is none any more.
func (h *Health) report(ctx context.Context, troubles []crmstore.Trouble) {
	if h.Log == nil {
		return
	}
	if len(troubles) == 0 {
		h.Log.LogAttrs(ctx, slog.LevelInfo, "the store is well again; work goes on")
	}
	for _, t := range troubles {
		what := "the store is in trouble"
		if t.Code == TroubleNotAUser {
			what = "the acting user is none of the account's"
		}
		h.Log.LogAttrs(ctx, slog.LevelError, what+": nothing is started, deleted, purged, trimmed or mailed until that is over", //nolint:sloglint // one of two constants in front
			slog.String("trouble", t.Code), slog.String(keyReason, t.Message), slog.String("help", t.Help))
	}
}
