package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/triggers"
	"github.com/crm-workflow/crm-workflow/workflow/terminal"
)

func whyCommand(s *session) *cobra.Command {
	var now string
	cmd := &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "why NAME|FILE CONTACT [--now TIME]", Short: "each condition's answer for one contact, and whether it would enroll",
		Long: "why shows for one contact, by id or e-mail address, what each condition of a workflow answers and which values it\n" +
			"saw, and whether the contact would enroll. A value that is not known makes a condition unknown, and unknown never\n" +
			"enrolls.",
		Example:           "  workflow why stale-leads 4711\n  workflow why stale.yaml ada@example.com --now 2026-12-01",
		Args:              args(2, 2, "a workflow (name or file) and a contact (id or e-mail address)"),
		ValidArgsFunction: completeTarget(s),
		RunE: s.work(needs{now: &now}, func(ctx context.Context, w *work) error {
			d, err := loadTarget(ctx, w, w.words[0])
			if err != nil {
				return err
			}
			id, err := recordID(ctx, w.store, d.Object, w.words[1])
			if errors.Is(err, record.ErrNotFound) {
				return noContact(d.Object, w.words[1])
			}
			if err != nil {
				return err
			}
			matcher, err := d.Trigger.At(w.at)
			if err != nil {
				return err
			}
			why, err := matcher.Why(ctx, w.store, d.Object, id)
			if err != nil {
				return err
			}
			if !why.Found {
				return noContact(d.Object, w.words[1])
			}
			before, err := enrollment(ctx, w.store, d.Object, d.Name, id)
			if err != nil {
				return err
			}
			doc := whyDocument{Workflow: d.Name, Object: d.Object, Why: why, Enrollment: before}
			if err := doc.repeats(ctx, w.store, id, w.now()); err != nil {
				return err
			}
			if err := doc.holds(ctx, w.store, id); err != nil {
				return err
			}
			doc.decide(d.Reenroll)
			w.emit(doc, func(o *output) { doc.show(o) })
			return nil
		}),
	}
	nowFlag(cmd, &now)
	return cmd
}

func noContact(o record.ObjectType, word string) error {
	return &problem{
		code: exitRefused, reason: "not-found", message: fmt.Sprintf("there is no %s %s", o, word),
		help: "a deleted one is found by its id: workflow bin",
	}
}

// enrollment is the record's enrollment in the workflow, if any.
func enrollment(ctx context.Context, store *crmstore.Store, o record.ObjectType, name string, id record.ID) (record.Enrollment, error) {
	partitions, err := store.Partitions(ctx)
	if err != nil {
		return record.Enrollment{}, err
	}
	all, err := store.Enrollments(ctx, o, name, record.ByPartition([]record.ID{id}, partitions))
	if err != nil || len(all) == 0 || len(all[0]) == 0 {
		return record.Enrollment{}, err
	}
	return all[0][0], nil
}

// whyDocument is why a record would enroll or not.
type whyDocument struct {
	Workflow string            `json:"workflow"`
	Object   record.ObjectType `json:"object"`
	triggers.Why
	Enrolls    bool              `json:"enrolls"`
	Because    string            `json:"because"`
	Enrollment record.Enrollment `json:"-"`
	Hold       *crmstore.Hold    `json:"legal_hold,omitempty"`

	RestoredBefore string `json:"restored_before,omitempty"` // when it was restored from the recycle bin
	DeletedBefore  string `json:"deleted_before,omitempty"`  // when the contact was deleted whose address it has
}

// repeats finds out what a deletion of the record would repeat.
func (doc *whyDocument) repeats(ctx context.Context, store *crmstore.Store, id record.ID, at time.Time) error {
	partitions, err := store.Partitions(ctx)
	if err != nil {
		return err
	}
	found, err := store.Repeated(ctx, doc.Object, record.ByPartition([]record.ID{id}, partitions), at)
	if err != nil {
		return err
	}
	for _, r := range slices.Concat(found...) {
		if !r.Restored.IsZero() {
			doc.RestoredBefore = stamp(r.Restored)
		}
		if !r.Heir.IsZero() {
			doc.DeletedBefore = stamp(r.Heir)
		}
	}
	return nil
}

// holds finds out whether the record is on legal hold.
func (doc *whyDocument) holds(ctx context.Context, store *crmstore.Store, id record.ID) error {
	held, err := store.HoldsOf(ctx, doc.Object, []record.ID{id})
	if len(held) > 0 {
		doc.Hold = &held[0]
	}
	return err
}

// decide puts trigger, suppression and earlier enrollment together.
func (doc *whyDocument) decide(reenroll bool) {
	v := doc.Verdict
	switch {
	case doc.Deletion != nil:
		doc.Because = "it is in the recycle bin since " + stamp(doc.Deletion.At)
	case !v.Match:
		doc.Because = "no trigger is true"
	case v.Suppressed:
		doc.Because = fmt.Sprintf("trigger %d is true, but a suppression is true too", v.Trigger)
	case doc.Enrollment.State == record.Existing:
		doc.Because = fmt.Sprintf("trigger %d is true, but it matched already when the workflow was published (existing: false)", v.Trigger)
	case doc.Enrollment.State == record.Completed && !reenroll:
		doc.Because = fmt.Sprintf("trigger %d is true, but it was enrolled before, in run %s, and reenroll is false", v.Trigger, doc.Enrollment.Run)
	case doc.Hold != nil:
		doc.Because = fmt.Sprintf("trigger %d is true, but it is on legal hold since %s, by %s: %s",
			v.Trigger, stamp(doc.Hold.At), clean(doc.Hold.Actor), clean(doc.Hold.Reason))
	default:
		doc.Enrolls, doc.Because = true, fmt.Sprintf("trigger %d is true", v.Trigger)
	}
}

// answerInk are the colours of answers.
var answerInk = map[triggers.Answer]terminal.Style{triggers.True: green, triggers.False: red, triggers.Unknown: yellow}

func (doc *whyDocument) show(o *output) {
	verdict := o.paint(green, "would not enroll")
	if doc.Enrolls {
		verdict = o.paint(yellow, "would enroll")
	}
	o.printf("%s %s %s in %s as of %s: %s\n", doc.Object, doc.ID, verdict, doc.Workflow, stamp(doc.Now), clean(doc.Because))
	if doc.RestoredBefore != "" {
		o.printf("it was restored from the recycle bin on %s\n", doc.RestoredBefore)
	}
	if doc.DeletedBefore != "" {
		o.printf("a contact with its e-mail address was deleted on %s\n", doc.DeletedBefore)
	}
	for _, x := range slices.Concat(doc.Expressions, doc.ActiveLists) {
		o.printf("\n%s is %s\n  %s\n", expressionTitle(x.List, x.Suppress, x.Number), o.paint(answerInk[x.Answer], x.Answer.String()),
			o.paint(dim, clean(strings.Join(strings.Fields(x.Source), " "))))
		tb := &table{columns: []column{{head: "condition", flex: true}, {head: "answer"}, {head: "because", flex: true}}}
		for _, c := range x.Conditions {
			tb.add(txt(c.Text), ink(answerInk[c.Answer], c.Answer.String()), txt(seen(c.Values)))
		}
		o.table(tb, 2)
	}
}

// seen are the values that a condition saw, in words.
func seen(values []triggers.Seen) string {
	parts := make([]string, 0, len(values))
	for _, v := range values {
		if v.Known {
			parts = append(parts, v.Property+" is "+v.Value)
			continue
		}
		parts = append(parts, v.Property+" is not known")
	}
	return strings.Join(parts, ", ")
}
