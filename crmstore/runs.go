package crmstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// RunState is where a run stands.
type RunState string

// The run states.
const (
	RunRunning   RunState = "running"
	RunHeld      RunState = "held"
	RunDone      RunState = "done"
	RunFailed    RunState = "failed"
	RunCancelled RunState = "cancelled"
)

// Over reports whether a run in this state lets its workflow have another run. A failed run may be taken up
// again, while no other one is under way.
func (s RunState) Over() bool { return s == RunDone || s == RunFailed || s == RunCancelled }

// RunKind says what a run carries out.
type RunKind string

// The kinds of runs.
const (
	RunWorkflow RunKind = ""       // one pass of a workflow
	RunDelete   RunKind = "delete" // a deletion of many records by hand
)

// Selection is what a deletion by hand was asked to delete: the records on a list, those for which an expression is
// true, or, with both, those on the list for which it is true. With neither it is ids, which are the run's matches.
type Selection struct {
	Where      string `json:"where,omitempty"`
	List       string `json:"list,omitempty"`
	Everything bool   `json:"everything,omitempty"` // it may be all live records of the object type
}

// Approval is one user's yes to a held run. It counts as long as the run stays as that user saw it.
type Approval struct {
	By       string    `json:"by"`
	At       time.Time `json:"at"`
	Count    int64     `json:"count"`              // how many records it would delete
	Revision int       `json:"revision,omitempty"` // the workflow's current one
	Fence    uint64    `json:"fence"`              // the run's
}

// Run is one pass of a workflow, or one deletion of many records by hand.
type Run struct {
	ID         string            `json:"run"` // NAME@SLOT for a scheduled run, NAME@NOW.N for one by hand, delete@NOW.N for a deletion
	Kind       RunKind           `json:"kind,omitempty"`
	Workflow   string            `json:"workflow"`              // "" for a deletion by hand
	Selection  *Selection        `json:"selection,omitempty"`   // of a deletion by hand; else nil
	ListNumber int               `json:"list_number,omitempty"` // of Selection.List, so that another list of that name is not taken for it
	Why        string            `json:"why,omitempty"`         // the reason that a person gave; may be empty
	Object     record.ObjectType `json:"object"`
	Revision   int               `json:"revision"`
	Scheduled  bool              `json:"scheduled"`
	Now        time.Time         `json:"now"` // the run's one instant
	State      RunState          `json:"state"`
	Stage      string            `json:"stage"`            // evaluate, guard, act, close
	Reason     string            `json:"reason,omitempty"` // why held, failed or cancelled
	StartedBy  string            `json:"started_by"`
	ApprovedBy string            `json:"approved_by,omitempty"`
	Lifted     bool              `json:"lifted,omitempty"`    // a super admin approved it: the account's ceiling does not hold it
	Approvals  []Approval        `json:"approvals,omitempty"` // in their order; those that count no more are left in until the next one

	// SeenRevision is the workflow's revision that the run's approver was told of; it goes on beside that one. 0 = it was not approved.
	SeenRevision int `json:"seen_revision,omitempty"`

	Ask        bool      `json:"ask,omitempty"` // held before its matches were counted: their number is asked for, whatever the limits say
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
	Owner      string    `json:"owner,omitempty"` // the process that carries it
	Beat       time.Time `json:"beat"`            // the owner's last sign of life
	Fence      uint64    `json:"fence"`           // the owner's number; see TakeRun
	Progress   Progress  `json:"progress,omitzero"`
	Totals
	Undone  int    `json:"undone,omitempty"` // restored by undo
	Version uint64 `json:"-"`
}

// Progress is how far the stage of a run was that is under way, at the owner's last sign of life; zero when it is not
// known, as in the first seconds, or over.
type Progress struct {
	Done int64 `json:"done"` // while it evaluates: partitions; while it acts: matches that have an outcome, by whomever
	Of   int64 `json:"of"`   // of so many
}

// Totals count what a run did.
type Totals struct {
	Evaluated       int64 `json:"evaluated"` // live records looked at
	Matched         int64 `json:"matched"`   // a trigger is true
	Suppressed      int64 `json:"suppressed"`
	AlreadyEnrolled int64 `json:"already_enrolled"`
	Deleted         int64 `json:"deleted"`
	Changed         int64 `json:"changed"`        // no longer matched when its turn came
	Held            int64 `json:"held,omitempty"` // put on legal hold between its evaluation and its turn; left alone
	Failed          int64 `json:"failed"`
	Damaged         int64 `json:"damaged,omitempty"`         // could not be read, and so were not tested; left alone
	RestoredBefore  int64 `json:"restored_before,omitempty"` // of those that enroll, how many were in the bin before, and restored
	OnHold          int64 `json:"on_hold,omitempty"`         // of those that match, are not suppressed and not enrolled yet: on legal hold, left alone
	DeletedBefore   int64 `json:"deleted_before,omitempty"`  // of the others, those whose address belonged to a contact that was deleted
}

// EnrollsIn is the name under which records that the run deleted are enrolled: the workflow's, or the run's own id
// for a deletion by hand. So a run that goes on after a crash knows what it deleted, also when it was restored since.
func (r *Run) EnrollsIn() string {
	if r.Kind == RunDelete {
		return r.ID
	}
	return r.Workflow
}

// check is an error when the run cannot be saved under its names.
func (r *Run) check() error {
	switch {
	case r.ID == "", r.Kind == RunWorkflow && !workflowName.MatchString(r.Workflow):
		return fmt.Errorf("run %q of workflow %q: both need a name", r.ID, r.Workflow)
	case r.Kind == RunDelete && (r.Workflow != "" || r.Selection == nil):
		return fmt.Errorf("run %s: a deletion by hand has a selection and no workflow", r.ID)
	case r.Kind != RunWorkflow && r.Kind != RunDelete:
		return fmt.Errorf("run %s: kind %q is not known", r.ID, r.Kind)
	}
	return nil
}

// ApprovalPermissions is what a user needs who approves the run: view of its object and bulk-delete, beside manage-workflows for a workflow's run, or
// delete for a deletion by hand.
func (r *Run) ApprovalPermissions() []Permission {
	return append(r.Permissions(), CanView, CanBulkDelete)
}

// Permissions is what a user needs who starts, stops or carries on the run: manage-workflows, or for a
// deletion by hand delete of its object and bulk-delete.
func (r *Run) Permissions() []Permission {
	if r.Kind == RunDelete {
		return []Permission{CanDelete, CanBulkDelete}
	}
	return []Permission{CanManageWorkflows}
}

// keyRunsLike is the index, beside the one of all runs, that lists the run. A deletion by hand has no other one.
func (s *Store) keyRunsLike(r *Run) string {
	if r.Kind == RunDelete {
		return s.keyRuns()
	}
	return s.keyRunsOf(r.Workflow)
}

func parseRun(id, text string) (Run, error) {
	var r Run
	version, err := parseVersioned(text, &r)
	if err != nil {
		return Run{}, fmt.Errorf("read run %s: %w", id, err)
	}
	r.Version = version
	return r, nil
}

var (
	scriptCreateRun = mustLuaScript("create_run")
	scriptSaveRun   = mustLuaScript("save_run")
)

// CreateRun saves a new run unless its workflow has one that is not over (*ActiveRunError) or the id is taken
// (ErrExists). Deletions by hand do not wait for each other. A run is listed by its StartedAt.
func (s *Store) CreateRun(ctx context.Context, r Run) (Run, error) {
	if err := s.require(ctx, r.Object, r.Permissions()...); err != nil {
		return Run{}, err
	}
	if err := r.check(); err != nil {
		return Run{}, fmt.Errorf("create %w", err)
	}
	if r.State.Over() {
		return Run{}, fmt.Errorf("create run %s: it is %s already", r.ID, r.State)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return Run{}, fmt.Errorf("create run %s: %w", r.ID, err)
	}
	reply, err := s.db.Run(ctx, scriptCreateRun, []string{s.keyRun(r.ID), s.keyActive(), s.keyRuns(), s.keyRunsLike(&r)},
		r.ID, r.EnrollsIn(), text, r.StartedAt.UnixMilli())
	if err != nil {
		return Run{}, fmt.Errorf("create run %s: %w", r.ID, err)
	}
	switch active, _ := reply.(string); active {
	case "":
		return parseRun(r.ID, "1 "+string(text))
	case "=", r.ID:
		return Run{}, fmt.Errorf("create run %s: %w", r.ID, record.ErrExists)
	default:
		return Run{}, fmt.Errorf("create run %s: %w", r.ID, &record.ActiveRunError{Run: active})
	}
}

// SaveRun writes r if its Version is current, and frees the workflow for the next run when r is over (a run that
// is no longer over takes it again, or *ActiveRunError). ErrConflict. Notes are audit events about it, such as an
// approval; they are written in the same script, and their workflow, revision and run are filled in.
func (s *Store) SaveRun(ctx context.Context, r Run, notes ...record.Event) (Run, error) {
	if err := s.require(ctx, r.Object, r.Permissions()...); err != nil {
		return Run{}, err
	}
	saved, _, err := s.saveRun(ctx, r, keepsFence, notes)
	return saved, err
}

// fencing is what saving a run does with its fencing numbers.
type fencing int

const (
	keepsFence fencing = iota // nothing
	sealsFence                // takes the next one after the write, for nobody
	takesFence                // takes the run's own
)

// errFenceTaken says that the run's number, or a higher one, was taken by then.
var errFenceTaken = errors.New("the fencing number is taken")

// saveRun is SaveRun for those who may. It returns the number that it took to seal the run. errFenceTaken.
func (s *Store) saveRun(ctx context.Context, r Run, how fencing, notes []record.Event) (Run, uint64, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return Run{}, 0, fmt.Errorf("save run %s: %w", r.ID, err)
	}
	over, floor, number := 0, "", ""
	if r.State.Over() {
		over = 1
	}
	switch how {
	case sealsFence:
		floor = strconv.FormatUint(r.Fence, 10)
	case takesFence:
		number = strconv.FormatUint(r.Fence, 10)
	case keepsFence:
	}
	args := []any{r.ID, r.EnrollsIn(), strconv.FormatUint(r.Version, 10), text, over, s.wall(), floor, number}
	for _, note := range notes {
		note.Workflow, note.Revision, note.Run = r.Workflow, r.Revision, r.ID
		args = append(args, note.Op, record.AppendFacts(nil, note.At, s.by(note.Cause)), note.Detail)
	}
	keys := []string{s.keyRun(r.ID), s.keyActive(), s.keyAccountLog(), s.keyFence(r.ID), s.keyRanges(r.ID)}
	reply, err := s.db.Run(ctx, scriptSaveRun, keys, args...)
	if err != nil {
		return Run{}, 0, fmt.Errorf("save run %s: %w", r.ID, err)
	}
	if active, ok := reply.(string); ok {
		return Run{}, 0, fmt.Errorf("save run %s: %w", r.ID, &record.ActiveRunError{Run: active})
	}
	if reply == int64(-1) {
		return Run{}, 0, fmt.Errorf("save run %s: %w", r.ID, errFenceTaken)
	}
	answer, _ := reply.([]any)
	if len(answer) != 2 {
		return Run{}, 0, fmt.Errorf("save run %s: %w", r.ID, record.ErrConflict)
	}
	version, _ := answer[0].(int64)
	fence, _ := answer[1].(int64)
	saved, err := parseRun(r.ID, strconv.FormatInt(version, 10)+" "+string(text))
	return saved, uint64(fence), err
}

// How often a note about a run is tried again when its owner saved it in between.
const undoneTries = 20

// SaveUndone notes how many of an ended run's records are live again, with an audit event when that is news. It
// needs restore, not manage-workflows: who may bring records back may undo a run.
func (s *Store) SaveUndone(ctx context.Context, id string, undone int, note record.Event) (Run, error) {
	if err := s.require(ctx, "", CanRestore); err != nil {
		return Run{}, err
	}
	for range undoneTries {
		r, err := s.readRun(ctx, id)
		if err != nil || r.Undone == undone {
			return r, err
		}
		if !r.State.Over() {
			return r, fmt.Errorf("note what was undone of run %s: it is %s", id, r.State)
		}
		r.Undone = undone
		saved, _, err := s.saveRun(ctx, r, keepsFence, []record.Event{note})
		if !errors.Is(err, record.ErrConflict) {
			return saved, err
		}
	}
	return Run{}, fmt.Errorf("note what was undone of run %s: %w", id, record.ErrConflict)
}

// Run reads one; ErrNotFound.
func (s *Store) Run(ctx context.Context, id string) (Run, error) {
	if err := s.require(ctx, ""); err != nil {
		return Run{}, err
	}
	return s.readRun(ctx, id)
}

func (s *Store) readRun(ctx context.Context, id string) (Run, error) {
	text, err := s.db.Redis.Get(ctx, s.keyRun(id)).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return Run{}, fmt.Errorf("run %s: %w", id, record.ErrNotFound)
	case err != nil:
		return Run{}, fmt.Errorf("read run %s: %w", id, s.db.Explain(err))
	}
	return parseRun(id, text)
}

// RunFilter narrows Runs; zero fields do not.
type RunFilter struct {
	Workflow string
	ByHand   bool // deletions by hand only
	State    RunState
	Limit    int
}

// How many runs one round trip of Runs reads.
const runsAtOnce = 128

// Runs lists runs, newest first.
func (s *Store) Runs(ctx context.Context, f RunFilter) ([]Run, error) {
	if err := s.require(ctx, ""); err != nil {
		return nil, err
	}
	index := s.keyRuns()
	if f.Workflow != "" {
		index = s.keyRunsOf(f.Workflow)
	}
	var found []Run
	for from := int64(0); ; from += runsAtOnce {
		ids, err := s.db.Redis.ZRevRange(ctx, index, from, from+runsAtOnce-1).Result()
		if err != nil {
			return nil, fmt.Errorf("list runs: %w", s.db.Explain(err))
		}
		if len(ids) == 0 {
			return found, nil
		}
		keys := make([]string, len(ids))
		for i, id := range ids {
			keys[i] = s.keyRun(id)
		}
		texts, err := s.db.Redis.MGet(ctx, keys...).Result()
		if err != nil {
			return nil, fmt.Errorf("read runs: %w", s.db.Explain(err))
		}
		for i, text := range texts {
			text, ok := text.(string)
			if !ok {
				return nil, fmt.Errorf("run %s is listed but not there: %w", ids[i], record.ErrNotFound)
			}
			r, err := parseRun(ids[i], text)
			if err != nil {
				return nil, err
			}
			if f.State != "" && r.State != f.State || f.ByHand && r.Kind != RunDelete {
				continue
			}
			if found = append(found, r); f.Limit > 0 && len(found) == f.Limit {
				return found, nil
			}
		}
	}
}
