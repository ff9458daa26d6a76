package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/workflow"
)

func accountClock(s *session) *cobra.Command {
	var accept bool
	cmd := &cobra.Command{
		Annotations: map[string]string{accessNote: mends},
		Use:         "clock [--accept]", Short: "the store's time, this machine's, and what the account has seen; accept a leap",
		Long: "clock compares the clocks. An account goes by its store's. A machine whose clock differs from it by more than\n" +
			"60 s does nothing. When the store's time goes back by more than 60 s, or leaps by a day more than has passed, runs,\n" +
			"purges and trimming stop until a super admin has looked at the server's clock and says that it is right: --accept.\n" +
			"Exit codes: 0 good, 1 a person has to look, 3 this machine's clock or a server's is wrong.",
		Example: "  workflow account clock\n  workflow account clock --accept", Args: noArgs,
		RunE: s.work(needs{}, func(ctx context.Context, w *work) error {
			if _, err := w.store.Account(ctx); err != nil {
				return err
			}
			c, err := w.store.Clock(ctx)
			if accept && err == nil {
				c, err = w.store.AcceptClock(ctx, w.cause("account clock --accept"))
			}
			if err != nil {
				return err
			}
			doc := newClockDocument(c)
			if err := countHeld(ctx, w, c, &doc); err != nil {
				return err
			}
			w.emit(doc, func(o *output) { showClock(o, c, doc.Held) })
			switch {
			case !c.Agrees():
				return said(exitFailed)
			case c.May() != nil:
				return said(exitRefused)
			}
			return nil
		}),
	}
	cmd.Flags().BoolVar(&accept, "accept", false, "the store's time is right although it went back or leapt: go on with it (super admin)")
	return cmd
}

// clockDocument is the clock for programs. Seconds that a clock is ahead are negative when it is behind.
type clockDocument struct {
	State     string           `json:"state"`
	Store     time.Time        `json:"store"`
	Process   time.Time        `json:"process"`
	Ahead     float64          `json:"process_ahead_seconds"`
	Servers   []serverDocument `json:"servers"`
	LastSeen  *time.Time       `json:"last_seen,omitempty"`
	Expected  *time.Time       `json:"expected,omitempty"`
	Uncounted float64          `json:"uncounted_seconds"`
	Held      int64            `json:"held_records"` // in the bin that would be purged if all time were counted
	Message   string           `json:"message,omitempty"`
	Help      string           `json:"help,omitempty"`
}

type serverDocument struct {
	crmstore.ServerTime
	Ahead float64 `json:"ahead_of_process_seconds"`
}

func newClockDocument(c crmstore.Clock) clockDocument {
	d := clockDocument{
		State: c.State, Store: c.Time, Process: c.Own, Ahead: seconds(c.Ahead()), Servers: []serverDocument{}, Uncounted: seconds(c.Uncounted),
	}
	for _, one := range c.Servers {
		d.Servers = append(d.Servers, serverDocument{one, seconds(one.Ahead)})
	}
	if !c.Seen.IsZero() {
		d.LastSeen = &c.Seen
	}
	if !c.Expected.IsZero() {
		d.Expected = &c.Expected
	}
	if wrong, ok := errors.AsType[*crmstore.ClockError](c.May()); ok {
		d.Message, d.Help = wrong.Error(), wrong.Help()
	}
	return d
}

func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }

// countHeld counts what is not purged yet, for those who may know.
func countHeld(ctx context.Context, w *work, c crmstore.Clock, doc *clockDocument) error {
	may, err := w.store.May(ctx, "", crmstore.IsSuperAdmin)
	if err != nil || !may {
		return err
	}
	held, err := workflow.Held(ctx, w.store, c)
	for _, n := range held {
		doc.Held += n
	}
	return err
}

func showClock(o *output, c crmstore.Clock, held int64) {
	state := o.paint(green, c.State)
	if c.State != crmstore.ClockGood {
		state = o.paint(yellow, c.State)
	}
	seen := "nothing yet"
	if !c.Seen.IsZero() {
		seen = stamp(c.Seen)
	}
	facts := [][2]string{{"state", state}, {"store's time", stamp(c.Time)}, {"this machine's", stamp(c.Own)}, {"difference", aheadText(c.Ahead())}, {"last seen", seen}}
	if !c.Expected.IsZero() {
		facts = append(facts, [2]string{"expected", stamp(c.Expected)})
	}
	if c.Uncounted > 0 {
		facts = append(facts, [2]string{"not counted", fmt.Sprintf("%s that nobody saw pass: purge and trimming go by %s", c.Uncounted.Round(time.Second), stamp(c.Counted()))})
	}
	if held > 0 {
		facts = append(facts, [2]string{"held", count(held) + " records in the bin; if the time is right: workflow purge --expired"})
	}
	o.facts(facts...)
	if len(c.Servers) > 1 {
		tb := &table{columns: []column{{head: "server"}, {head: "time"}, {head: "this machine's is"}}}
		for _, one := range c.Servers {
			tb.add(txt(one.Server), txt(stamp(one.Time)), txt(aheadText(-one.Ahead)))
		}
		o.table(tb, 0)
	}
	if wrong, ok := errors.AsType[*crmstore.ClockError](c.May()); ok {
		o.printf("\n%s\n  %s\n", wrong.Error(), wrong.Help())
	}
}

func aheadText(d time.Duration) string {
	switch d = d.Round(10 * time.Millisecond); {
	case d > 0:
		return d.String() + " ahead"
	case d < 0:
		return (-d).String() + " behind"
	}
	return "none"
}
