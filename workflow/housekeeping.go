package workflow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

const (
	housekeepingEvery = 5 * time.Minute
	purgeAtMost       = 50000 // records of one object type in one round, so that other work is not starved
	trimEvery         = time.Hour
	trimAtMost        = 200000 // audit events in one round
	compactEvery      = 24 * time.Hour
)

// Housekeeper does the work that no user asks for. It purges records whose time in the recycle bin is over. It trims audit
// events, runs and mails that are older than the account keeps them. It finishes interrupted permanent deletions, and once a
// day it gives back memory that columns no longer need. It acts as the system. Several may work on one account.
type Housekeeper struct {
	Store   *crmstore.Store
	Metrics *Metrics      // nil = none
	Log     *slog.Logger  // nil = nothing is logged
	Every   time.Duration // between two rounds; 0 = five minutes
	Health  *Health       // asked before each part of a round; nil = the store is taken to be well

	trimmed   time.Time                   // when nothing was left to trim; only Round uses it
	compacted time.Time                   // likewise, when columns were compacted
	held      int64                       // how many records were not purged yet, as was said last; only Run uses it
	onHold    map[record.ObjectType]int64 // how many records stay by a legal hold, as was said last
}

// Run does a round at once and then at regular intervals, until the context ends, and returns nil. A round that fails
// is logged; the next one takes up what is left.
func (h *Housekeeper) Run(ctx context.Context) error {
	every := h.Every
	if every <= 0 {
		every = housekeepingEvery
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := h.roundNow(ctx); err != nil && ctx.Err() == nil {
			h.log().LogAttrs(ctx, slog.LevelError, "housekeeping failed; it is tried again", slog.Any(keyError, err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (h *Housekeeper) log() *slog.Logger {
	if h.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return h.Log
}

// roundNow does a round by the time that is counted for what is removed for good. It does nothing while a clock is wrong.
func (h *Housekeeper) roundNow(ctx context.Context) error {
	c, err := h.Store.KeepClock(ctx)
	if err != nil {
		return err
	}
	if c.May() != nil {
		return nil //nolint:nilerr // Health says why; what is due stays due
	}
	return errors.Join(h.Round(ctx, c.Counted()), h.tellHeld(ctx, c))
}

// tellHeld counts the records that are not purged because no process counted their time. It logs each new number once.
func (h *Housekeeper) tellHeld(ctx context.Context, c crmstore.Clock) error {
	held, err := Held(ctx, h.Store.AsSystem(), c)
	if err != nil {
		return err
	}
	total := int64(0)
	for o, n := range held {
		h.Metrics.purgeHeld(o, n)
		total += n
	}
	if total > 0 && total != h.held {
		h.log().LogAttrs(ctx, slog.LevelWarn, "records are not purged yet, since part of their 90 days was not counted; a user can purge them: workflow purge --expired",
			slog.Int64("held", total), slog.Duration("uncounted", c.Uncounted))
	}
	h.held = total
	return nil
}

// Held is how many records of each object type would be purged if all of the store's time were counted, and are not.
func Held(ctx context.Context, store *crmstore.Store, c crmstore.Clock) (map[record.ObjectType]int64, error) {
	objects, err := store.ObjectTypes(ctx)
	if err != nil {
		return nil, fmt.Errorf("count what is not purged yet: %w", err)
	}
	held := make(map[record.ObjectType]int64, len(objects))
	for _, o := range objects {
		if held[o] = 0; c.Uncounted > 0 {
			if held[o], err = store.CountExpired(ctx, o, c.Counted(), c.Time); err != nil {
				return nil, err
			}
		}
	}
	return held, nil
}

// Round does all that is due at the moment now, in bounded batches. What fails does not keep the rest from being done;
// the errors come together.
func (h *Housekeeper) Round(ctx context.Context, now time.Time) error {
	if err := h.Health.Ask(ctx); errors.As(err, new(*TroubleError)) {
		return nil // Health says why; what is due stays due
	} else if err != nil {
		return err
	}
	objects, err := h.Store.AsSystem().ObjectTypes(ctx)
	if err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	errs := []error{h.finishErasures(ctx), h.trim(ctx, now)}
	for _, o := range objects {
		if h.Health.Ask(ctx) != nil {
			break
		}
		if err := h.purge(ctx, o, now); err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	errs = append(errs, h.compact(ctx, objects, now))
	return errors.Join(errs...)
}

func (h *Housekeeper) finishErasures(ctx context.Context) error {
	finished, err := h.Store.AsSystem().FinishErasures(ctx)
	h.Metrics.fileAsked(finished.File)
	if finished.Contacts > 0 {
		h.log().LogAttrs(ctx, slog.LevelWarn, "interrupted permanent deletions finished", slog.Int("contacts", finished.Contacts))
	}
	if why := finished.File.StillHeld(); why != "" {
		h.log().LogAttrs(ctx, slog.LevelError, "Redis's append-only file still holds contacts that were deleted permanently",
			slog.String(keyReason, why), slog.String("help", "run: redis-cli BGREWRITEAOF"))
	}
	return err
}

func (h *Housekeeper) purge(ctx context.Context, o record.ObjectType, now time.Time) error {
	report, err := h.Store.AsSystem().Purge(ctx, crmstore.PurgeOrder{
		Object: o, At: now, Limit: purgeAtMost, Cause: record.Cause{Reason: fmt.Sprintf("%d days in the recycle bin", crmstore.BinDays)},
	})
	h.Metrics.purged(o, report.Purged)
	if report.Purged > 0 || report.Held != h.onHold[o] {
		h.log().LogAttrs(ctx, slog.LevelInfo, "records purged", slog.String("object", string(o)),
			slog.Int64("purged", report.Purged), slog.Int64("on_hold", report.Held), slog.Bool("more", report.More))
	}
	if h.onHold == nil {
		h.onHold = make(map[record.ObjectType]int64)
	}
	h.onHold[o] = report.Held
	return err
}

// compact has each object type's columns take as much memory as they need, once a day.
func (h *Housekeeper) compact(ctx context.Context, objects []record.ObjectType, now time.Time) error {
	if !h.compacted.IsZero() && now.Sub(h.compacted) < compactEvery {
		return nil
	}
	for _, o := range objects {
		if err := h.Store.AsSystem().Compact(ctx, o); err != nil {
			return err
		}
	}
	h.compacted = now
	return nil
}

// trim removes what is older than the account keeps it, once an hour; more often while there is more.
func (h *Housekeeper) trim(ctx context.Context, now time.Time) error {
	if !h.trimmed.IsZero() && now.Sub(h.trimmed) < trimEvery {
		return nil
	}
	t, err := h.Store.AsSystem().TrimHistory(ctx, now, trimAtMost)
	h.Metrics.trimmed(t)
	if t.Events > 0 || t.Runs > 0 || t.Mails > 0 {
		h.log().LogAttrs(ctx, slog.LevelInfo, "history trimmed", slog.Int64("events", t.Events), slog.Int("runs", t.Runs),
			slog.Int("mails", t.Mails), slog.Bool("more", t.More))
	}
	if err == nil && !t.More {
		h.trimmed = now
	}
	return err
}
