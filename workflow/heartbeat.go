package workflow

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// forgetAfter is how long a daemon that died is shown as silent.
const forgetAfter = time.Hour

// Heartbeat tells the store that a daemon is there, so that `workflow daemons` can show it. Nothing is decided by it:
// runs have signs of life of their own.
type Heartbeat struct {
	Store    *crmstore.Store
	Log      *slog.Logger // nil = nothing is logged
	Owner    string       // the owner of the daemon's runs
	Version  string       // of the program
	Stopping func() bool  // whether the daemon was told to stop; nil = never
	Health   *Health      // nothing is written into an account that is not the daemon's own; nil = it always is
}

// Run gives a sign of life at once and every 3 seconds until the context ends, forgets daemons that were silent for an
// hour, and takes this one off the list in the end. A store that is away is tried again. It returns nil.
func (h *Heartbeat) Run(ctx context.Context) error {
	host, _ := os.Hostname() // a host without a name shows none
	me := crmstore.Daemon{Name: h.Owner, Host: host, Process: os.Getpid(), Version: h.Version, Since: h.Store.Now()}
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for away := false; ; {
		err := h.beat(ctx, me, h.Store.Now())
		if err != nil && !away && ctx.Err() == nil && h.Log != nil {
			h.Log.LogAttrs(ctx, slog.LevelWarn, "the list of daemons is not fresh", slog.Any(keyError, err))
		}
		away = err != nil
		select {
		case <-ctx.Done():
			h.leave(context.WithoutCancel(ctx))
			return nil
		case <-ticker.C:
		}
	}
}

// leave takes this daemon off the list; when that fails, it is shown as silent for a while.
func (h *Heartbeat) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, endTime)
	defer cancel()
	_ = h.Store.DropDaemons(ctx, h.Owner)
}

func (h *Heartbeat) beat(ctx context.Context, me crmstore.Daemon, now time.Time) error {
	if h.Health.lostAccount() {
		return nil
	}
	me.Beat, me.Stopping = now, h.Stopping != nil && h.Stopping()
	if err := h.Store.SaveDaemon(ctx, me); err != nil {
		return err
	}
	all, err := h.Store.Daemons(ctx)
	if err != nil {
		return err
	}
	var gone []string
	for _, d := range all {
		if now.Sub(d.Beat) > forgetAfter || AheadOf(d.Beat, now) {
			gone = append(gone, d.Name)
		}
	}
	return h.Store.DropDaemons(ctx, gone...)
}

// Silent reports whether a daemon gave no sign of life for so long that others take its runs over.
func Silent(d crmstore.Daemon, now time.Time) bool {
	return now.Sub(d.Beat) >= silentAfter || AheadOf(d.Beat, now)
}
