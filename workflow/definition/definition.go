package definition

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"

	"github.com/crm-workflow/crm-workflow/actions"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/triggers"
	"github.com/crm-workflow/crm-workflow/triggers/schedule"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// Definition is a checked workflow file. It is made by [Load] and not changed after that.
type Definition struct {
	Name        string // unique in the account; a-z, 0-9 and -
	Title       string // one line for people; the name when the file has none
	Description string
	Object      record.ObjectType
	Trigger     triggers.Trigger
	Reenroll    bool               // enroll a record again that was enrolled before
	Existing    bool               // records that match already at publish time enroll too
	Schedule    *schedule.Schedule // nil when the file has none: then it only runs by hand
	Missed      Missed
	Limits      Limits
	Actions     []Step // in the order of the file; at least one
	File        string // name of the file it was read from
	Source      []byte // the file's bytes

	MaxDeletions diag.Text // as the file writes it; empty = it does not
}

// Missed says what becomes of a slot that passed while no daemon ran.
type Missed string

// What may become of a missed slot.
const (
	MissedOnce Missed = "once" // however many were missed, one run catches up; the default
	MissedSkip Missed = "skip" // wait for the next slot
)

// Limits hold a run that would delete more than expected, and slow it down.
type Limits struct {
	MaxDeletions int     // records per run, at least 1
	MaxPercent   float64 // of the live records, over 0 and at most 100
	MaxPerSecond int     // records that may be deleted in a second; 0 = as many as can be
}

// The limits of a file that does not write them.
const (
	DefaultMaxDeletions = 1000
	DefaultMaxPercent   = 10
)

// Step is one action of a definition.
type Step struct {
	Spec actions.Spec
	Pos  diag.Pos // where the file names it
}

// Vocabulary gives what an account's expressions may speak of, for an object type. A vocabulary
// without a schema means that the account does not have the type.
type Vocabulary func(o record.ObjectType) triggers.Vocabulary

// canonical is what a definition means, without the way it is written. The field names are stored in
// nothing: only two of these made by the same program are ever compared.
type canonical struct {
	Name, Title, Description string
	Object                   record.ObjectType
	Triggers, Suppress       []string
	Reenroll, Existing       bool
	Schedule                 string
	Missed                   Missed
	Limits                   Limits
	Actions                  []string
}

// Same reports whether two definitions mean the same. Comments, blank lines, the order of keys,
// quoting and defaults that are written out make no difference; the order of triggers does, because
// the audit log counts them.
func (d *Definition) Same(other *Definition) bool {
	return bytes.Equal(d.meaning(), other.meaning())
}

func (d *Definition) meaning() []byte {
	c := canonical{
		Name: d.Name, Title: d.Title, Description: strings.TrimSpace(d.Description), Object: d.Object,
		Triggers: sources(d.Trigger.Any), Suppress: sources(d.Trigger.Suppress),
		Reenroll: d.Reenroll, Existing: d.Existing, Missed: d.Missed, Limits: d.Limits,
	}
	if d.Schedule != nil {
		c.Schedule = d.Schedule.String()
	}
	for _, s := range d.Actions {
		c.Actions = append(c.Actions, s.Spec.Name)
	}
	b, err := json.Marshal(c)
	if err != nil {
		panic("a struct of strings and finite numbers does not encode: " + err.Error())
	}
	return b
}

func sources(list []*triggers.Expr) []string {
	texts := make([]string, len(list))
	for i, e := range list {
		texts[i] = strings.TrimSpace(e.Source())
	}
	return texts
}

// Share is how many of live records max_percent allows.
func (l Limits) Share(live int64) int64 {
	n := int64(math.Floor(l.MaxPercent * float64(live) / 100))
	if float64(n+1)*100 <= l.MaxPercent*float64(live) { // the division came out a little low
		n++
	}
	return n
}

// Own is how many records the workflow may delete in 24 hours by its own limits. The share is one of the records that are live
// now, which are fewer than when the 24 hours began: so nothing that was restored makes it larger.
func (l Limits) Own(live int64) int64 {
	if l.MaxPercent >= 100 {
		return int64(l.MaxDeletions)
	}
	return min(int64(l.MaxDeletions), l.Share(live))
}
