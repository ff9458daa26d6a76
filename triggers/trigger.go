package triggers

import (
	"context"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Vocabulary is what expressions may speak of.
type Vocabulary struct {
	Schema  *record.Schema            // of the workflow's object
	Lists   map[string]crmstore.List  // static and active lists by name
	Related map[string]*record.Schema // by plural: the object types whose associated records may be asked about
	Zone    *time.Location            // of today, date("...") and date properties; nil = UTC
}

func (v Vocabulary) zone() *time.Location {
	if v.Zone == nil {
		return time.UTC
	}
	return v.Zone
}

// Trigger says which records enroll: where any of Any is true and none of Suppress is.
type Trigger struct {
	Object        record.ObjectType
	Any, Suppress []*Expr
	Vocabulary    Vocabulary // the one that the expressions were compiled with
}

// Source is what a [Matcher] reads from; *crmstore.Store is one.
type Source interface {
	Partitions(ctx context.Context) (int, error)
	ReadColumns(ctx context.Context, o record.ObjectType, from, to int, want crmstore.Want, fn func(*crmstore.Columns) error) error
	ReadRecords(ctx context.Context, o record.ObjectType, want []record.PartitionIDs, fn func(p int, recs []*record.Record) error) error
	ReadRows(ctx context.Context, o record.ObjectType, picks []crmstore.Pick, numbers []int, fn func(*crmstore.Rows) error) error
	ReadAssociated(ctx context.Context, o record.ObjectType, ids []record.ID, others []record.ObjectType) ([][]record.Ref, error)
	ReadAll(ctx context.Context, o record.ObjectType, from, to int, fn func(p int, recs []*record.Record) error) error
}

// Verdict is what a trigger says of one record; the zero Verdict is "no".
type Verdict struct {
	Match      bool `json:"match"`      // an expression of Any is true, whatever Suppress says
	Suppressed bool `json:"suppressed"` // Match, and an expression of Suppress is true
	Trigger    int  `json:"trigger"`    // number, from 1, of the first expression of Any that is true; 0 without Match
}

// Enrolls reports whether the record enrolls.
func (v Verdict) Enrolls() bool { return v.Match && !v.Suppressed }

// Found is what [Matcher.Evaluate] found in one partition.
type Found struct {
	Partition  int
	IDs        []record.ID // matched and not suppressed, in slot order
	Triggers   []uint8     // for each id, the Verdict's Trigger
	Evaluated  int64       // live records of the partition
	Matched    int64       // of those, an expression of Any is true; before suppression
	Suppressed int64       // of Matched; Matched-Suppressed == len(IDs)
	Damaged    int64       // records that may match and cannot be read; they are not among Matched
}
