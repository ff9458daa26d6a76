package crmstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Workflow is a published workflow: its switch and its current revision.
type Workflow struct {
	Name        string            `json:"name"`
	Object      record.ObjectType `json:"object"`
	On          bool              `json:"on"`
	Revision    int               `json:"revision"`
	PublishedAt time.Time         `json:"published_at"`
	PublishedBy string            `json:"published_by"`
	SwitchedAt  time.Time         `json:"switched_at"` // when it was last switched on or off
	LastRun     string            `json:"last_run,omitempty"`
	LastSlot    time.Time         `json:"last_slot"` // the newest scheduled slot that was run or skipped
	Version     uint64            `json:"-"`         // for compare-and-set; 0 = new
}

// Revision is one frozen version of a workflow's file.
type Revision struct {
	Number int       `json:"number"`
	Source []byte    `json:"source"`
	At     time.Time `json:"at"`
	By     string    `json:"by"`

	// Lists are the lists that the file asks, also through active ones: name and number. nil = not known, or none.
	Lists map[string]int `json:"lists,omitempty"`
}

var workflowName = regexp.MustCompile(`^[a-z0-9-]{1,100}$`)

// parseVersioned reads "<version> <JSON>" into v and returns the version, which stands in front so that scripts
// can compare it.
func parseVersioned(text string, v any) (uint64, error) {
	number, rest, ok := strings.Cut(text, " ")
	if !ok {
		return 0, errors.New("the version in front is missing")
	}
	version, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the version in front is damaged: %w", err)
	}
	return version, json.Unmarshal([]byte(rest), v)
}

func parseWorkflow(name, text string) (Workflow, error) {
	var w Workflow
	version, err := parseVersioned(text, &w)
	if err != nil {
		return Workflow{}, fmt.Errorf("read workflow %s: %w", name, err)
	}
	w.Version = version
	return w, nil
}

// Workflow reads one; ErrNotFound.
func (s *Store) Workflow(ctx context.Context, name string) (Workflow, error) {
	if err := s.require(ctx, ""); err != nil {
		return Workflow{}, err
	}
	return s.workflow(ctx, name)
}

func (s *Store) workflow(ctx context.Context, name string) (Workflow, error) {
	text, err := s.db.Redis.HGet(ctx, s.keyWorkflows(), name).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return Workflow{}, fmt.Errorf("workflow %s: %w", name, record.ErrNotFound)
	case err != nil:
		return Workflow{}, fmt.Errorf("read workflow %s: %w", name, s.db.Explain(err))
	}
	return parseWorkflow(name, text)
}

// Workflows reads all, by name.
func (s *Store) Workflows(ctx context.Context) ([]Workflow, error) {
	if err := s.require(ctx, ""); err != nil {
		return nil, err
	}
	texts, err := s.db.Redis.HGetAll(ctx, s.keyWorkflows()).Result()
	if err != nil {
		return nil, fmt.Errorf("read workflows: %w", s.db.Explain(err))
	}
	all := make([]Workflow, 0, len(texts))
	for name, text := range texts {
		w, err := parseWorkflow(name, text)
		if err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b Workflow) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

var scriptSaveWorkflow = mustLuaScript("save_workflow")

// SaveWorkflow writes w if its Version is still current (0: if there is none yet), with a new revision in the same
// script when rev is not nil, and one audit event. rev.Number must be w.Revision. ErrConflict when somebody else
// saved the workflow, or a revision of that number, in between. It returns w as saved. With a new revision the acting
// user becomes who published it; without, PublishedBy stays or becomes the acting user, never somebody else, because
// the workflow acts with that user's permissions.
func (s *Store) SaveWorkflow(ctx context.Context, w Workflow, rev *Revision, op string, c record.Cause, at time.Time) (Workflow, error) {
	if err := s.require(ctx, "", CanManageWorkflows); err != nil {
		return Workflow{}, err
	}
	if !workflowName.MatchString(w.Name) {
		return Workflow{}, fmt.Errorf("workflow name %q: want 1 to 100 of a-z, 0-9 and -", w.Name)
	}
	if err := s.checkPublisher(ctx, w, rev); err != nil {
		return Workflow{}, err
	}
	var number, frozen string
	if rev != nil {
		own := *rev
		own.By, w.PublishedBy = s.user, s.user
		rev = &own
		if rev.Number != w.Revision || rev.Number < 1 {
			return Workflow{}, fmt.Errorf("save workflow %s: revision %d does not go with the workflow's number %d", w.Name, rev.Number, w.Revision)
		}
		b, err := json.Marshal(rev)
		if err != nil {
			return Workflow{}, fmt.Errorf("save workflow %s: %w", w.Name, err)
		}
		number, frozen = strconv.Itoa(rev.Number), string(b)
	}
	text, err := json.Marshal(w)
	if err != nil {
		return Workflow{}, fmt.Errorf("save workflow %s: %w", w.Name, err)
	}
	c.Workflow, c.Revision = w.Name, w.Revision
	reply, err := s.db.Run(ctx, scriptSaveWorkflow, []string{s.keyWorkflows(), s.keyRevisions(w.Name), s.keyAccountLog()},
		w.Name, strconv.FormatUint(w.Version, 10), text, number, frozen, s.wall(), record.AppendFacts(nil, at, s.by(c)), op)
	if err != nil {
		return Workflow{}, fmt.Errorf("save workflow %s: %w", w.Name, err)
	}
	version, _ := reply.(int64)
	if version == 0 {
		return Workflow{}, fmt.Errorf("save workflow %s: %w", w.Name, record.ErrConflict)
	}
	return parseWorkflow(w.Name, strconv.FormatInt(version, 10)+" "+string(text)) // exactly what a reader gets
}

// checkPublisher sees to it that nobody publishes in another user's name.
func (s *Store) checkPublisher(ctx context.Context, w Workflow, rev *Revision) error {
	if rev != nil {
		return nil // then it is the acting user
	}
	now, err := s.workflow(ctx, w.Name)
	if err != nil && !errors.Is(err, record.ErrNotFound) {
		return err
	}
	if now.Version != w.Version {
		return fmt.Errorf("save workflow %s: %w", w.Name, record.ErrConflict)
	}
	if w.PublishedBy != now.PublishedBy && w.PublishedBy != s.user {
		return fmt.Errorf("save workflow %s: %s cannot publish it as %s", w.Name, s.user, w.PublishedBy)
	}
	return nil
}

// Revision reads one revision; ErrNotFound.
func (s *Store) Revision(ctx context.Context, name string, number int) (Revision, error) {
	if err := s.require(ctx, ""); err != nil {
		return Revision{}, err
	}
	text, err := s.db.Redis.HGet(ctx, s.keyRevisions(name), strconv.Itoa(number)).Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return Revision{}, fmt.Errorf("workflow %s revision %d: %w", name, number, record.ErrNotFound)
	case err != nil:
		return Revision{}, fmt.Errorf("read workflow %s revision %d: %w", name, number, s.db.Explain(err))
	}
	var r Revision
	if err := json.Unmarshal(text, &r); err != nil {
		return Revision{}, fmt.Errorf("read workflow %s revision %d: %w", name, number, err)
	}
	return r, nil
}
