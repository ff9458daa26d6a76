package workflow

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/crm-workflow/crm-workflow/actions"
	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Metrics is what the runner and the scheduler count. A nil *Metrics counts nothing. It is safe for concurrent use.
type Metrics struct {
	runs        *prometheus.CounterVec
	duration    *prometheus.HistogramVec
	contacts    *prometheus.CounterVec
	matches     *prometheus.CounterVec
	repeated    *prometheus.CounterVec
	acted       *prometheus.CounterVec
	deleted     *prometheus.CounterVec
	held        prometheus.Gauge
	refusals    *prometheus.CounterVec
	missedSlots *prometheus.CounterVec
	success     *prometheus.GaugeVec
	published   *prometheus.GaugeVec
	switchedOn  *prometheus.GaugeVec
	interval    *prometheus.GaugeVec
	records     *prometheus.GaugeVec
	oldest      prometheus.Gauge
	purges      *prometheus.CounterVec
	history     *prometheus.CounterVec
	files       *prometheus.CounterVec
	mails       *prometheus.CounterVec
	mailsWait   prometheus.Gauge
	denied      *storeRefusals
	sharing     sharingMetrics
	paused      *prometheus.CounterVec
	troubles    *prometheus.GaugeVec
	clock       clockMetrics
	limits      limitMetrics

	mu    sync.Mutex
	known map[string]bool  // workflows that have series
	kept  map[string]int64 // by run: deletions that were counted, of runs whose end the store does not know
}

// The label values that a workflow has series for from the start, so that an increase from nothing is seen.

func endStates() []crmstore.RunState {
	return []crmstore.RunState{crmstore.RunDone, crmstore.RunHeld, crmstore.RunFailed, crmstore.RunCancelled}
}

func refusalReasons() []string {
	return []string{RefusedTier, RefusedObject, RefusedPermission, RefusedLimit, RefusedCeiling, RefusedRepeated, RefusedOff, RefusedRevision, RefusedApprover, RefusedActive}
}

func actionOutcomes() []string {
	return []string{outcomeDone, outcomeChanged, outcomeHeld, outcomeFailed}
}

// The outcomes of an action, as the metric label has them.
const (
	outcomeDone    = "done"
	outcomeChanged = "changed"
	outcomeHeld    = "held" // on legal hold since it was evaluated
	outcomeFailed  = "failed"
)

// What a deletion repeats, as the metric label has it.
const (
	repeatedRestored = "restored"
	repeatedAddress  = "address"
)

// NewMetrics makes the metrics and registers them; with a nil registerer they count but nobody sees them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	byWorkflow := []string{"workflow"}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append(byWorkflow, labels...))
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		known: map[string]bool{}, kept: map[string]int64{}, denied: newStoreRefusals(), sharing: newSharingMetrics(), paused: newPaused(), troubles: newTroubles(), clock: newClockMetrics(), limits: newLimitMetrics(),
		runs: counter("workflow_runs_total",
			"Runs by how they ended; a run that is held and then approved counts as held and again as what it ends as.", "state"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "workflow_run_duration_seconds",
			Help:    "How long runs took, from being started or resumed to their end; waiting for an approval is not included.",
			Buckets: []float64{0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1800, 3600},
		}, byWorkflow),
		contacts: counter("workflow_contacts_evaluated_total", "Live records that runs looked at."),
		matches:  counter("workflow_contacts_matched_total", "Records for which a trigger was true, before suppression and earlier enrollments."),
		repeated: counter("workflow_contacts_repeated_total",
			"Records that runs found to enroll though they had been restored (restored), or had the address of one that was deleted (address).", "kind"),
		acted: counter("workflow_actions_total",
			"Records that runs acted on, by outcome: done, changed (no longer matched when its turn came), failed (kept changing).", "action", "outcome"),
		deleted:  counter("workflow_contacts_deleted_total", "Records that runs moved to the recycle bin."),
		refusals: counter("workflow_refusals_total", "Times a run was refused or held, by reason.", "reason"),
		missedSlots: counter("workflow_missed_slots_total",
			"Slots of the schedule that got no run of their own, because no daemon ran or an earlier run was not over."),
		held:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "workflow_held_runs", Help: "Runs that wait for a user to approve or cancel them."}),
		success:   gauge("workflow_last_success_timestamp_seconds", "When a run of the workflow was last done, in seconds since 1970; 0 = never.", "workflow"),
		published: gauge("workflow_published", "1 when the workflow is switched on, 0 when it is switched off.", "workflow"),
		switchedOn: gauge("workflow_switched_on_timestamp_seconds",
			"When the workflow was last switched on, in seconds since 1970; no series while it is off.", "workflow"),
		interval: gauge("workflow_schedule_interval_seconds",
			"The longest time between two slots of the workflow's schedule in the days to come; no series without a schedule.", "workflow"),
		records: gauge("crmstore_records", "Records in the store, by object type and state (live, archived).", "object", "state"),
		purges: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "crmstore_purged_records_total",
			Help: "Records that housekeeping removed for good after 90 days in the recycle bin, by object type.",
		}, []string{"object"}),
		history: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "crmstore_trimmed_total",
			Help: "What housekeeping removed since it was older than the audit retention: events, runs, mails.",
		}, []string{"what"}),
		mails: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "workflow_mails_total",
			Help: "Attempts to send a mail by their outcome: sent, retry, given-up (nobody was told about a permanent deletion).",
		}, []string{"outcome"}),
		mailsWait: prometheus.NewGauge(prometheus.GaugeOpts{Name: "crmstore_outbox_waiting", Help: "Mails in the outbox that no server has accepted yet."}),
		oldest:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "crmstore_oldest_bin_record_age_seconds", Help: "How long the oldest record in the recycle bin has been there; 0 when the bin is empty."}),
	}
	m.files = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "crmstore_file_rewrites_total",
		Help: "Times that housekeeping finished permanent deletions and asked for the append-only file to be written anew: rewriting, or forbidden and failed (the file still holds the contacts).",
	}, []string{"outcome"})
	for _, outcome := range []crmstore.FileRewrite{crmstore.FileRewriting, crmstore.FileForbidden, crmstore.FileFailed} {
		m.files.WithLabelValues(string(outcome)) // likewise
	}
	for _, outcome := range []string{"sent", "retry", "given-up"} {
		m.mails.WithLabelValues(outcome) // from 0 on, so that the first one is an increase
	}
	if reg != nil {
		reg.MustRegister(m.sharing.collectors()...)
		reg.MustRegister(m.clock.collectors()...)
		reg.MustRegister(m.limits.collectors()...)
		reg.MustRegister(m.denied, m.paused, m.troubles, m.runs, m.duration, m.contacts, m.matches, m.repeated, m.acted, m.deleted, m.held, m.refusals,
			m.missedSlots, m.success, m.published, m.switchedOn, m.interval, m.records, m.oldest, m.purges, m.history, m.files, m.mails, m.mailsWait)
	}
	return m
}

// evaluated counts a finished evaluation.
func (m *Metrics) evaluated(workflow string, t crmstore.Totals) {
	if m == nil {
		return
	}
	m.contacts.WithLabelValues(workflow).Add(float64(t.Evaluated))
	m.matches.WithLabelValues(workflow).Add(float64(t.Matched))
	m.repeated.WithLabelValues(workflow, repeatedRestored).Add(float64(t.RestoredBefore))
	m.repeated.WithLabelValues(workflow, repeatedAddress).Add(float64(t.DeletedBefore))
}

// refused counts a refusal.
func (m *Metrics) refused(workflow, reason string) {
	if m == nil {
		return
	}
	m.refusals.WithLabelValues(workflow, reason).Inc()
}

// missed counts slots without a run.
func (m *Metrics) missed(workflow string, slots int) {
	if m == nil {
		return
	}
	m.missedSlots.WithLabelValues(workflow).Add(float64(slots))
}

// countedOf is what passes of the run have counted: what the store says, or of a run whose end could not be saved, what this
// process remembers.
func (m *Metrics) countedOf(run crmstore.Run) crmstore.Totals {
	t := run.Totals
	if m == nil {
		return t
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	t.Deleted = max(t.Deleted, m.kept[run.ID])
	return t
}

// remember keeps what was counted of a run, until a later end of it is saved.
func (m *Metrics) remember(workflow string, run crmstore.Run) {
	if m == nil || workflow == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept[run.ID] = run.Deleted
}

// forgetCount drops what was remembered of a run.
func (m *Metrics) forgetCount(run string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.kept, run)
}

// passEnd is how one pass over a run ended.
type passEnd struct {
	run     crmstore.Run
	counted crmstore.Totals // what earlier passes of the same run have counted
	took    time.Duration
	actions []string
}

// ended counts what the pass did, and the run when it does not simply go on elsewhere.
func (m *Metrics) ended(e passEnd) {
	if m == nil {
		return
	}
	name := e.run.Workflow
	deleted := grown(e.run.Deleted, e.counted.Deleted)
	m.deleted.WithLabelValues(name).Add(deleted)
	for _, action := range e.actions {
		m.acted.WithLabelValues(name, action, outcomeDone).Add(deleted)
		m.acted.WithLabelValues(name, action, outcomeChanged).Add(grown(e.run.Changed, e.counted.Changed))
		m.acted.WithLabelValues(name, action, outcomeHeld).Add(grown(e.run.Held, e.counted.Held))
		m.acted.WithLabelValues(name, action, outcomeFailed).Add(grown(e.run.Failed, e.counted.Failed))
	}
	if e.run.State == crmstore.RunRunning {
		return
	}
	m.runs.WithLabelValues(name, string(e.run.State)).Inc()
	switch e.run.State {
	case crmstore.RunHeld:
		return
	case crmstore.RunDone:
		m.success.WithLabelValues(name).Set(float64(e.run.FinishedAt.Unix()))
	}
	m.duration.WithLabelValues(name).Observe(e.took.Seconds())
}

func grown(now, before int64) float64 { return float64(max(now-before, 0)) }

// Track makes the series of workflows that are there, at zero, and removes those of workflows that are gone.
func (m *Metrics) Track(workflows []crmstore.Workflow) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	gone := m.known
	m.known = make(map[string]bool, len(workflows))
	for _, w := range workflows {
		m.known[w.Name] = true
		if !gone[w.Name] {
			m.start(w.Name)
		}
		delete(gone, w.Name)
		if w.On {
			m.published.WithLabelValues(w.Name).Set(1)
			m.switchedOn.WithLabelValues(w.Name).Set(float64(w.SwitchedAt.Unix()))
			continue
		}
		m.published.WithLabelValues(w.Name).Set(0)
		m.switchedOn.DeleteLabelValues(w.Name)
		m.limits.forget(w.Name)
	}
	for name := range gone {
		m.forget(name)
	}
}

func (m *Metrics) start(name string) {
	m.clock.mended.WithLabelValues(name)
	for _, s := range endStates() {
		m.runs.WithLabelValues(name, string(s))
	}
	for _, reason := range refusalReasons() {
		m.refusals.WithLabelValues(name, reason)
	}
	for _, kind := range []string{repeatedRestored, repeatedAddress} {
		m.repeated.WithLabelValues(name, kind)
	}
	for _, action := range actions.Names() {
		for _, outcome := range actionOutcomes() {
			m.acted.WithLabelValues(name, action, outcome)
		}
	}
	for _, c := range []*prometheus.CounterVec{m.contacts, m.matches, m.deleted, m.missedSlots} {
		c.WithLabelValues(name)
	}
	for _, reason := range pauseReasons() {
		m.paused.WithLabelValues(name, reason)
	}
	m.sharing.start(name)
	m.success.WithLabelValues(name)
	m.duration.WithLabelValues(name)
}

func (m *Metrics) forget(name string) {
	labels := prometheus.Labels{"workflow": name}
	for _, c := range []*prometheus.CounterVec{m.runs, m.refusals, m.acted, m.contacts, m.matches, m.repeated, m.deleted, m.missedSlots, m.paused} {
		c.DeletePartialMatch(labels)
	}
	for _, c := range append(m.sharing.counters(), m.clock.mended) {
		c.DeletePartialMatch(labels)
	}
	for _, g := range []*prometheus.GaugeVec{m.success, m.published, m.switchedOn, m.interval} {
		g.DeletePartialMatch(labels)
	}
	m.duration.DeletePartialMatch(labels)
	m.limits.forget(name)
}

// setHeld says how many runs are held, by whichever process.
func (m *Metrics) setHeld(runs int) {
	if m == nil {
		return
	}
	m.held.Set(float64(runs))
}

// failed counts a failure of a workflow that has no run to show for it.
func (m *Metrics) failed(workflow string) {
	if m == nil {
		return
	}
	m.runs.WithLabelValues(workflow, string(crmstore.RunFailed)).Inc()
}

// purged counts records that were removed for good.
func (m *Metrics) purged(o record.ObjectType, records int64) {
	if m == nil {
		return
	}
	m.purges.WithLabelValues(string(o)).Add(float64(records))
}

// trimmed counts what was removed from the history.
func (m *Metrics) trimmed(t crmstore.Trimmed) {
	if m == nil {
		return
	}
	m.history.WithLabelValues("events").Add(float64(t.Events))
	m.history.WithLabelValues("runs").Add(float64(t.Runs))
	m.history.WithLabelValues("mails").Add(float64(t.Mails))
}

// fileAsked counts what became of asking for the append-only file to be written anew.
func (m *Metrics) fileAsked(outcome crmstore.FileRewrite) {
	if m == nil || outcome == "" {
		return
	}
	m.files.WithLabelValues(string(outcome)).Inc()
}

// Mail counts an attempt to send a mail by its outcome.
func (m *Metrics) Mail(outcome string) {
	if m != nil {
		m.mails.WithLabelValues(outcome).Inc()
	}
}

// recordsSeen is what the metrics about records show.
type recordsSeen struct {
	counts  map[record.ObjectType]crmstore.Counts
	oldest  time.Duration
	waiting int64
	denied  map[string]int64
	limits  limitsSeen
}

// readRecords reads what the metrics about records show.
func readRecords(ctx context.Context, store *crmstore.Store, now time.Time) (seen recordsSeen, err error) {
	partitions, err := store.Partitions(ctx)
	if err != nil {
		return seen, fmt.Errorf("count records: %w", err)
	}
	if seen.waiting, err = store.AsSystem().MailsWaiting(ctx); err != nil {
		return seen, err
	}
	objects, err := store.ObjectTypes(ctx)
	if err != nil {
		return seen, fmt.Errorf("count records: %w", err)
	}
	seen.counts = make(map[record.ObjectType]crmstore.Counts, len(objects))
	for _, o := range objects {
		counts, err := store.Count(ctx, o)
		if err != nil {
			return seen, fmt.Errorf("count %s: %w", o.Plural(), err)
		}
		seen.counts[o] = counts
		if counts.Archived == 0 {
			continue
		}
		first, err := oldestArchived(ctx, store, o, partitions)
		if err != nil {
			return seen, fmt.Errorf("look for the oldest of %s in the bin: %w", o.Plural(), err)
		}
		if !first.IsZero() {
			seen.oldest = max(seen.oldest, now.Sub(first))
		}
	}
	if seen.limits, err = readLimits(ctx, store, objects); err != nil {
		return seen, err
	}
	seen.denied, err = readDenied(ctx, store)
	return seen, err
}

// show sets the metrics about records, and those about the limits of the workflows that are on.
func (m *Metrics) show(seen recordsSeen, on map[string]bounds) {
	m.limits.show(seen.limits, seen.counts, on)
	m.mailsWait.Set(float64(seen.waiting))
	for o, counts := range seen.counts {
		m.records.WithLabelValues(string(o), "live").Set(float64(counts.Live))
		m.records.WithLabelValues(string(o), "archived").Set(float64(counts.Archived))
	}
	m.oldest.Set(seen.oldest.Seconds())
	m.denied.show(seen.denied)
}

// oldestArchived is when the record that is longest in the bin was put there; zero when none is.
func oldestArchived(ctx context.Context, store *crmstore.Store, o record.ObjectType, partitions int) (time.Time, error) {
	oldest := record.FreeCell
	err := store.ReadColumns(ctx, o, 0, partitions, crmstore.Want{}, func(c *crmstore.Columns) error {
		for at := c.Archived; len(at) >= 8; at = at[8:] {
			if cell := binary.LittleEndian.Uint64(at); cell != 0 && cell < oldest {
				oldest = cell
			}
		}
		return nil
	})
	if err != nil || oldest == record.FreeCell {
		return time.Time{}, err
	}
	return record.CellTime(oldest), nil
}
