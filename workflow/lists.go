package workflow

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/triggers"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// ListSize is a list and how many live records are on it at an instant.
type ListSize struct {
	crmstore.List
	Members int64
	Trouble diag.List // why the members of an active list cannot be found; then Members is 0
}

// listsAtOnce is how many lists are counted in one pass over the records; a trigger takes no more expressions.
const listsAtOnce = 250

// ListSizes counts the live records on lists of one object type at the instant now, all in one pass, or a few. v is the
// account's vocabulary of that type.
func ListSizes(ctx context.Context, store *crmstore.Store, v triggers.Vocabulary, lists []crmstore.List, now time.Time) ([]ListSize, error) {
	sizes := make([]ListSize, len(lists))
	for from := 0; from < len(lists); from += listsAtOnce {
		to := min(from+listsAtOnce, len(lists))
		for i, l := range lists[from:to] {
			sizes[from+i].List = l
		}
		if err := countLists(ctx, store, v, sizes[from:to], now); err != nil {
			return nil, fmt.Errorf("count lists of %s: %w", v.Schema.Object.Plural(), err)
		}
	}
	return sizes, nil
}

func countLists(ctx context.Context, store *crmstore.Store, v triggers.Vocabulary, sizes []ListSize, now time.Time) error {
	t := triggers.Trigger{Object: v.Schema.Object, Vocabulary: v}
	var counted []*ListSize
	for i := range sizes {
		e, findings := triggers.Compile(askList(sizes[i].Name), v)
		if e == nil {
			sizes[i].Trouble = findings
			continue
		}
		t.Any = append(t.Any, e)
		counted = append(counted, &sizes[i])
	}
	if len(t.Any) == 0 {
		return nil
	}
	partitions, err := store.Partitions(ctx)
	if err != nil {
		return err
	}
	matcher, err := t.At(now)
	if err != nil {
		return err
	}
	x, err := matcher.Explain(ctx, store, t.Object, 0, partitions)
	if err != nil {
		return err
	}
	for i, size := range counted {
		size.Members = x.Expressions[i].Keeps
	}
	return nil
}

// askList is the expression that is true for the members of a list.
func askList(name string) diag.Text {
	return diag.Generated("inList(" + strconv.Quote(name) + ")")
}

// ListUses names the workflows and lists that ask a list: deleting it would stop them.
type ListUses struct {
	Workflows []string `json:"workflows"` // published ones, on or off, by name
	Lists     []string `json:"lists"`     // active ones, by name
}

// Any reports whether a workflow or a list asks the list.
func (u ListUses) Any() bool { return len(u.Workflows)+len(u.Lists) > 0 }

// UsesOfList finds the workflows and active lists that ask a list, directly or through others. An expression that no longer
// compiles counts when it names the list.
func UsesOfList(ctx context.Context, store *crmstore.Store, l crmstore.List) (ListUses, error) {
	uses := ListUses{Workflows: []string{}, Lists: []string{}}
	known, err := definition.AccountVocabulary(ctx, store)
	if err != nil {
		return uses, fmt.Errorf("find uses of list %s: %w", l.Name, err)
	}
	v := known(l.Object)
	for _, name := range slices.Sorted(maps.Keys(v.Lists)) {
		other := v.Lists[name]
		if !other.Active() || name == l.Name {
			continue
		}
		e, _ := triggers.Compile(askList(name), v)
		if e == nil && strings.Contains(other.Where, strconv.Quote(l.Name)) || e != nil && asks(&triggers.Trigger{Any: []*triggers.Expr{e}, Vocabulary: v}, l) {
			uses.Lists = append(uses.Lists, name)
		}
	}
	workflows, err := store.Workflows(ctx)
	if err != nil {
		return uses, fmt.Errorf("find uses of list %s: %w", l.Name, err)
	}
	for _, w := range workflows {
		if w.Object != l.Object {
			continue
		}
		revision, err := store.Revision(ctx, w.Name, w.Revision)
		if err != nil {
			return uses, fmt.Errorf("find uses of list %s: %w", l.Name, err)
		}
		if usedBy(revision, known, l) {
			uses.Workflows = append(uses.Workflows, w.Name)
		}
	}
	return uses, nil
}

// usedBy reports whether a revision asks the list.
func usedBy(revision crmstore.Revision, known definition.Vocabulary, l crmstore.List) bool {
	if revision.Lists != nil {
		return revision.Lists[l.Name] == l.Number
	}
	d, _ := definition.Load("", revision.Source, known)
	if d == nil {
		return bytes.Contains(revision.Source, []byte(l.Name))
	}
	return asks(&d.Trigger, l)
}

func asks(t *triggers.Trigger, l crmstore.List) bool {
	return slices.ContainsFunc(t.Lists(), func(other crmstore.List) bool { return other.Number == l.Number })
}

// DeleteList deletes a list; its records stay. It is a *RefusedError that names them when published workflows or active
// lists ask the list, unless force is set: then their next run fails, and says why. Also crmstore.ErrNotFound.
func DeleteList(ctx context.Context, store *crmstore.Store, l crmstore.List, force bool, c record.Cause, at time.Time) error {
	if err := store.Check(ctx, l.Object, crmstore.CanEdit); err != nil {
		return err
	}
	uses, err := UsesOfList(ctx, store, l)
	if err != nil {
		return err
	}
	if uses.Any() && !force {
		return &RefusedError{
			Reason:  RefusedList,
			Message: fmt.Sprintf("the list %s of %s is asked by %s; it was not deleted", l.Name, l.Object.Plural(), uses.words()),
			Help:    "take inList out of them first; with --force it is deleted all the same, and they fail until they are changed",
		}
	}
	return store.DeleteList(ctx, l, c, at)
}

// words names the users of a list.
func (u ListUses) words() string {
	var parts []string
	for _, kind := range []struct {
		one, many string
		names     []string
	}{{"workflow", "workflows", u.Workflows}, {"active list", "active lists", u.Lists}} {
		switch len(kind.names) {
		case 0:
		case 1:
			parts = append(parts, kind.one+" "+kind.names[0])
		default:
			parts = append(parts, kind.many+" "+strings.Join(kind.names, ", "))
		}
	}
	return strings.Join(parts, " and ")
}

// pins are the lists that a trigger asks, as a revision keeps them: name and number. A number is never given out again, and
// a list's expression never changes. So the same pins mean the lists that were reviewed.
func pins(t *triggers.Trigger) map[string]int {
	all := map[string]int{}
	for _, l := range t.Lists() {
		all[l.Name] = l.Number
	}
	return all
}

// samePins reports whether a revision was published with the lists that the trigger asks now. One that was published
// before revisions kept them has none.
func samePins(revision crmstore.Revision, t *triggers.Trigger) bool {
	return revision.Lists == nil || maps.Equal(revision.Lists, pins(t))
}

// replaced finds lists of a trigger that are not those of the pins.
func replaced(file string, before map[string]int, t *triggers.Trigger) diag.List {
	var findings diag.List
	for _, l := range t.Lists() {
		if number, pinned := before[l.Name]; before != nil && (!pinned || number != l.Number) {
			findings = append(findings, replacedFinding(file, l.Name))
		}
	}
	return findings
}

func replacedFinding(file, list string) diag.Finding {
	return diag.Whole(diag.ListReplaced, file, fmt.Sprintf("the list %q was deleted since this was published, and the one of that name now is another", list),
		"review the workflow and publish it again")
}

// listsStand is nil when each list that the run's conditions ask is still the one that they were loaded with. A pass asks it
// after it has read members, and before it shows a count or deletes. A list's name is deleted before its members, so the
// members of a list that stands were read whole. A list that is gone is a *FindingsError, or for a deletion by hand a
// *RefusedError.
func (p *pass) listsStand(ctx context.Context) error {
	asked := p.def.Trigger.Lists()
	if len(asked) == 0 {
		return nil
	}
	now, err := p.store.Lists(ctx, p.def.Object)
	if err != nil {
		return fmt.Errorf("read the lists of %s: %w", p.def.Object.Plural(), err)
	}
	run := p.saved()
	var findings diag.List
	for _, l := range asked {
		switch other, there := now[l.Name]; {
		case there && other.Number == l.Number:
		case there:
			findings = append(findings, replacedFinding(p.def.File, l.Name))
		default:
			findings = append(findings, diag.Whole(diag.ExprUnknownList, p.def.File, fmt.Sprintf("the list %q was deleted while the run was at work", l.Name), ""))
		}
	}
	switch {
	case len(findings) == 0:
		return nil
	case p.byHand:
		return &RefusedError{Reason: RefusedList, Message: findings[0].Message + "; nothing more is deleted"}
	}
	return &FindingsError{Workflow: run.Workflow, Revision: run.Revision, List: findings}
}
