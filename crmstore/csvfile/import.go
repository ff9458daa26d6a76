package csvfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/csvfile/container"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// DateOrder says what 01/02/2006 means.
type DateOrder string

// The date orders.
const (
	NoOrder  DateOrder = ""    // such dates are refused
	MonthDay DateOrder = "mdy" // January 2
	DayMonth DateOrder = "dmy" // 1 February
)

// StandIns says what dates mean that systems write where they have none, such as 0001-01-01.
type StandIns string

// What stand-in dates mean.
const (
	AskStandIns   StandIns = ""      // they are refused
	EmptyStandIns StandIns = "empty" // nothing
	KeepStandIns  StandIns = "keep"  // these dates
)

// manyCreated is from how many new records on an import gives back the memory that columns were given in advance.
const manyCreated = 1 << 15

// DefaultMaxFindings is how many findings a report keeps when the caller names no number.
const DefaultMaxFindings = 100

// Options say how a file is imported. Object and At are needed; the zero value of everything else is a
// sensible choice. The struct is flat because each field is one flag of the command.
type Options struct {
	Object   record.ObjectType
	IDColumn string // header of the record ids; "" = "Record ID" or "hs_object_id" if there; naming the e-mail column matches by e-mail alone

	Key Key // by what lines find their records; "" = by record ids where a line has one, else contacts by e-mail address

	// TrustIDs takes the file's word for who is who: a line changes the contact that has its record id also where that one
	// has another e-mail address than the line. Without it such a line is a finding.
	TrustIDs bool

	// ChangeHeld has lines change records that are on legal hold. Without it such a line is a finding; one that changes nothing is not.
	ChangeHeld bool

	// Source is the program whose export the file is taken for; "" = found out from the header, [NoSource] = none of them.
	Source string
	Map    map[string]string // header → property, by name or label; "" = leave the column out. It wins over all that the header says.

	CreateProperties bool // make a property for each unknown header
	IgnoreUnknown    bool // leave columns with unknown headers out
	AllowDuplicates  bool // a later line of the file changes the record again, instead of being a finding

	Sheet    string // of a workbook; "" = the first that is not hidden
	Encoding string // of a text, such as windows-1252; "" = found out

	DateOrder DateOrder
	Decimal   Decimal
	StandIns  StandIns
	Zone      *time.Location // of times without a zone; nil = UTC

	Mode   crmstore.WriteMode
	List   string // static list that every imported record is added to; made if there is none; "" = none
	DryRun bool   // everything except writing

	MaxFindings int               // findings kept in the report; 0 = DefaultMaxFindings
	Progress    func(bytes int64) // called now and then with how many bytes of the file are dealt with; may be nil
	Waiting     func()            // called when lines wait for addresses, or columns for properties, that another process was about to make its own; may be nil
	Cause       record.Cause
	At          time.Time // the instant of the import, for createdate, lastmodifieddate and the audit log
}

// Key is by what a line finds its record.
type Key string

// The keys.
const (
	KeyEmail Key = "email" // contacts, by e-mail address alone
	KeyID    Key = "id"    // by record id alone
)

// Column says what became of one column of the file.
type Column struct {
	Header   string `json:"header"`
	Use      Use    `json:"use"`
	Property string `json:"property,omitempty"` // internal name
	Note     string `json:"note,omitempty"`     // why it is ignored, or what of its cells is left out
}

// Use is what a column is taken for.
type Use string

// The uses of a column.
const (
	UseID       Use = "id"
	UseProperty Use = "property"
	UseCreated  Use = "created" // a property that this import made
	UseIgnored  Use = "ignored"

	UseAssociations Use = "associations" // ids of records that are associated with the line's
)

// CreatedProperty is a property that the import made, or in a dry run would make.
type CreatedProperty struct {
	Name   string              `json:"name"`
	Label  string              `json:"label"`
	Type   record.PropertyType `json:"type"`
	Values int                 `json:"values"` // cells of the column that are not empty
}

// Report says what an import did, or in a dry run would do. Unless the import was stopped,
// Lines = Created + Updated + Unchanged + Refused.
type Report struct {
	File   container.Info `json:"file"`             // what it was taken for
	Source string         `json:"source,omitempty"` // name of the program whose export it was taken for; "" = none

	DryRun    bool `json:"dry_run"`
	Lines     int  `json:"lines"` // records below the header that were dealt with; a record in quotes may span several lines of the file
	Blank     int  `json:"blank"` // lines of separators without any value, which are passed over
	Created   int  `json:"created"`
	Updated   int  `json:"updated"`
	Unchanged int  `json:"unchanged"`
	Refused   int  `json:"refused"`
	After     int  `json:"trailer"`       // lines that some programs put at the end, which are no records
	Deleted   int  `json:"deleted_there"` // records that were deleted in the program that the file comes from, and are left out

	Associated   int      `json:"associated"`         // pairs of records that are associated now, and were not before
	Unassociated int      `json:"not_associated"`     // pairs that were not, since the other record is not here
	NotHere      []string `json:"not_here,omitempty"` // the first few of these other records

	Moved    int `json:"changed_addresses"` // updated contacts whose e-mail address is another one now
	LastLine int `json:"last_line"`         // last line of the file that was dealt with
	Listed   int `json:"listed"`            // records newly added to the list

	Columns           []Column          `json:"columns"`
	CreatedProperties []CreatedProperty `json:"created_properties"`
	TakenBack         []string          `json:"taken_back,omitempty"` // properties that are gone: a killed import had made them, and nothing used them
	Findings          []Finding         `json:"findings"`             // the first ones, in order of lines
	FindingsTotal     int               `json:"findings_total"`       // all of them
}

// Import brings the file into the store. It returns a report whenever reading began, also along with
// an error: then it says what went in before. Everything wrong with the file is a finding in the
// report; an error means that reading or the store failed, or that ctx ended. When ctx ends, the batch
// in hand is finished first, and importing the file again goes on where that left off without harm. Import does not
// return while r.Read blocks. Bytes of r are read once, or twice when properties are to be made (by
// seeking if r can, else through a temporary file).
func Import(ctx context.Context, store *crmstore.Store, r io.Reader, o Options) (*Report, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	schema, err := store.Schema(ctx, o.Object)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", o.Object.Plural(), err)
	}
	im := &importer{store: store, o: o, schema: schema, report: &Report{DryRun: o.DryRun}, found: findings{keep: o.MaxFindings}}
	err = im.run(ctx, r)
	if err == nil && !o.DryRun && im.report.Created >= manyCreated {
		err = store.Compact(ctx, o.Object)
	}
	im.report.Findings, im.report.FindingsTotal = im.found.list, im.found.total
	switch {
	case err != nil && im.report.LastLine > 0:
		return im.report, fmt.Errorf("import %s: after line %d: %w", o.Object.Plural(), im.report.LastLine, err)
	case err != nil:
		return im.report, fmt.Errorf("import %s: %w", o.Object.Plural(), err)
	}
	return im.report, nil
}

func (o *Options) check() error {
	switch {
	case o.Object == "":
		return errors.New("import: no object type")
	case o.At.IsZero():
		return errors.New("import: no instant")
	case o.CreateProperties && o.IgnoreUnknown:
		return errors.New("import: unknown columns are either made into properties or ignored, not both")
	case o.DateOrder != NoOrder && o.DateOrder != MonthDay && o.DateOrder != DayMonth:
		return fmt.Errorf("import: date order %q: want mdy or dmy", o.DateOrder)
	}
	if o.Key != "" && o.Key != KeyID && (o.Key != KeyEmail || o.Object != record.Contact) {
		return fmt.Errorf("import: key %q: want id, or email for contacts", o.Key)
	}
	if o.Source != "" && !slices.Contains(SourceNames(), o.Source) {
		return fmt.Errorf("import: source %q: want one of %s", o.Source, strings.Join(SourceNames(), ", "))
	}
	if o.Decimal != NoDecimal && o.Decimal != DecimalPoint && o.Decimal != DecimalComma {
		return fmt.Errorf("import: decimal sign %q: want point or comma", o.Decimal)
	}
	if o.StandIns != AskStandIns && o.StandIns != EmptyStandIns && o.StandIns != KeepStandIns {
		return fmt.Errorf("import: stand-in dates %q: want empty or keep", o.StandIns)
	}
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	if o.MaxFindings == 0 {
		o.MaxFindings = DefaultMaxFindings
	}
	return nil
}
