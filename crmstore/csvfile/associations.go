package csvfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/csvfile/container"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// AssociationOptions say how associations are imported.
type AssociationOptions struct {
	Cause       record.Cause
	At          time.Time
	MaxFindings int               // keep at most so many; 0 = DefaultMaxFindings; all are counted
	Progress    func(bytes int64) // how much has been read; nil = nobody is told
}

// AssociationReport says what an import of associations did. Lines = Associated + Unchanged + Refused.
type AssociationReport struct {
	From       record.ObjectType `json:"from"` // of the first column of ids
	To         record.ObjectType `json:"to"`   // of the second
	Lines      int               `json:"lines"`
	Blank      int               `json:"blank"`
	Associated int               `json:"associated"`
	Unchanged  int               `json:"unchanged"` // they were associated already
	Refused    int               `json:"refused"`
	LastLine   int               `json:"last_line"`

	Findings      []Finding `json:"findings"`
	FindingsTotal int       `json:"findings_total"`
}

// associationsPerBatch is how many lines are written together.
const associationsPerBatch = 8192

// ImportAssociations associates the two records of each line. The header names the object types of two columns, as in
// "contact_id,company_id", "Record ID - Contact" or "Companies"; other columns are passed over. A cell holds an id, or
// for a contact its e-mail address. What is wrong with a line is a finding and leaves that line out. Importing a file again
// changes nothing. With an error the report says what went in before.
func ImportAssociations(ctx context.Context, store *crmstore.Store, r io.Reader, o AssociationOptions) (*AssociationReport, error) {
	if o.MaxFindings == 0 {
		o.MaxFindings = DefaultMaxFindings
	}
	im := &associationImporter{store: store, o: o, report: &AssociationReport{}, found: findings{keep: o.MaxFindings}, now: findings{keep: associationsPerBatch}}
	err := im.run(ctx, r)
	if damage, ok := errors.AsType[*brokenError](err); ok {
		im.found.add(damage.finding)
		err = nil
	}
	im.report.Findings, im.report.FindingsTotal = im.found.list, im.found.total
	if err != nil {
		return im.report, fmt.Errorf("import associations: after line %d: %w", im.report.LastLine, err)
	}
	return im.report, nil
}

// associationImporter carries one import through.
type associationImporter struct {
	store   *crmstore.Store
	o       AssociationOptions
	report  *AssociationReport
	found   findings
	columns [2]associationColumn
	batch   []associationLine
	taken   int      // lines since the last batch
	now     findings // of them, not in order yet
}

type associationColumn struct {
	place  int
	header string
	object record.ObjectType
}

// associationLine is one line of the file; an e-mail stands for an id that is yet to be found.
type associationLine struct {
	line   int
	ids    [2]record.ID
	emails [2]string
}

func (im *associationImporter) run(ctx context.Context, r io.Reader) error {
	file, err := openFile(ctx, r, container.Options{})
	if err != nil {
		return err
	}
	defer file.Close()
	in, err := file.Reader()
	if err != nil {
		return err
	}
	rows, err := openRows(in, file.Sheet != "")
	if err != nil {
		return err
	}
	if ok, err := im.readHeader(ctx, rows); !ok || err != nil {
		return err
	}
	for {
		row, err := rows.next()
		if errors.Is(err, io.EOF) {
			return im.flush(ctx)
		}
		if err != nil {
			if e := im.flush(ctx); e != nil {
				return e
			}
			return err
		}
		im.take(row)
		if im.taken++; im.taken == associationsPerBatch {
			if err := im.flush(ctx); err != nil {
				return err
			}
			if im.o.Progress != nil {
				im.o.Progress(in.Bytes())
			}
		}
	}
}

// readHeader finds the two columns; false: there is a finding.
func (im *associationImporter) readHeader(ctx context.Context, rows *rowReader) (bool, error) {
	row, err := rows.next()
	if errors.Is(err, io.EOF) {
		im.found.add(Finding{Code: FileEmpty, Message: "the file is empty", Help: "it needs a header such as contact_id,company_id"})
		return false, nil
	}
	if err != nil {
		return false, err
	}
	text, n := row.text(), 0
	for i := range row.ends {
		header := strings.TrimSpace(row.cell(text, i))
		object, err := im.store.Object(ctx, objectWord(header))
		if _, unknown := errors.AsType[*crmstore.UnknownObjectError](err); unknown {
			continue
		}
		if err != nil {
			return false, err
		}
		if n < len(im.columns) {
			im.columns[n] = associationColumn{i, header, object.Name}
		}
		n++
	}
	if n != len(im.columns) {
		code := HeaderUnknown
		if n > len(im.columns) {
			code = HeaderAmbiguous
		}
		im.found.add(Finding{
			Code: code, Line: row.line, Message: fmt.Sprintf("%d columns are named like object types, want 2", n),
			Help: "name the columns of the two ids like contact_id,company_id",
		})
		return false, nil
	}
	im.report.From, im.report.To = im.columns[0].object, im.columns[1].object
	return true, nil
}

// objectWord is what a header says besides that it is about ids: "Record ID - Contact" is about contact.
func objectWord(header string) string {
	word := record.SnakeCase(header)
	for _, prefix := range []string{"record_id_", "associated_", "other_"} {
		word = strings.TrimPrefix(word, prefix)
	}
	for _, suffix := range []string{"_record_id", "_ids", "_id"} {
		word = strings.TrimSuffix(word, suffix)
	}
	return word
}

// take puts a line into the batch, or notes what is wrong with it.
func (im *associationImporter) take(row *row) {
	im.report.LastLine = row.line
	text := row.text()
	l := associationLine{line: row.line}
	empty := 0
	for i, c := range im.columns {
		cell := ""
		if c.place < len(row.ends) {
			cell = strings.TrimSpace(row.cell(text, c.place))
		}
		if cell == "" {
			empty++
		} else if c.object == record.Contact && record.MeansAddress(cell) {
			v, p := emailValue(cell)
			if p != nil {
				im.refuse(Finding{Code: p.code, Line: row.line, Column: c.header, Message: p.message, Help: p.help})
				return
			}
			l.emails[i] = v.Text()
		} else if id, err := record.ParseID(cell); err == nil {
			l.ids[i] = id
		} else {
			im.refuse(Finding{Code: BadID, Line: row.line, Column: c.header, Message: quote(cell) + " is not a record id", Help: "write it as a whole number from 1 up"})
			return
		}
	}
	switch empty {
	case 0:
		im.report.Lines++
		im.batch = append(im.batch, l)
	case len(im.columns):
		im.report.Blank++
	default:
		im.refuse(Finding{Code: KeyMissing, Line: row.line, Message: "the line names one record only", Help: "fill in both ids"})
	}
}

func (im *associationImporter) refuse(f Finding) {
	im.report.Lines++
	im.refuseCounted(f)
}

func (im *associationImporter) refuseCounted(f Finding) {
	im.report.Refused++
	im.now.add(f)
}

// flush writes the batch, and puts the findings about its lines in order.
func (im *associationImporter) flush(ctx context.Context) error {
	lines := im.batch
	im.batch, im.taken = im.batch[:0], 0
	defer func() {
		im.found.merge(im.now)
		im.now = findings{keep: associationsPerBatch}
	}()
	lines, err := im.findEmails(ctx, lines)
	if err != nil {
		return err
	}
	pairs := make([]crmstore.Pair, len(lines))
	for i, l := range lines {
		pairs[i] = crmstore.Pair{
			A: record.Ref{Object: im.columns[0].object, ID: l.ids[0]}, B: record.Ref{Object: im.columns[1].object, ID: l.ids[1]},
		}
	}
	results, err := im.store.Associate(ctx, pairs, true, im.o.Cause, im.o.At)
	if err != nil {
		return err
	}
	for i, r := range results {
		code := StoreRefused
		switch r.Outcome {
		case crmstore.PairChanged:
			im.report.Associated++
			continue
		case crmstore.PairAsItWas:
			im.report.Unchanged++
			continue
		case crmstore.PairMissing:
			code = NotThere
		case crmstore.PairInBin:
			code = InBin
		}
		im.refuseCounted(Finding{Code: code, Line: lines[i].line, Message: r.Reason()})
	}
	return nil
}

// findEmails finds the contacts that lines name by their e-mail addresses; a line that names nobody is left out.
func (im *associationImporter) findEmails(ctx context.Context, lines []associationLine) ([]associationLine, error) {
	var emails []string
	for _, l := range lines {
		for _, email := range l.emails {
			if email != "" {
				emails = append(emails, email)
			}
		}
	}
	if len(emails) == 0 {
		return lines, nil
	}
	ids, err := im.store.FindByEmails(ctx, emails)
	if err != nil {
		return nil, err
	}
	kept := lines[:0]
	for _, l := range lines {
		good := true
		for i, email := range l.emails {
			if email == "" {
				continue
			}
			if l.ids[i], ids = ids[0], ids[1:]; l.ids[i] == 0 && good {
				good = false
				im.refuseCounted(Finding{Code: NotThere, Line: l.line, Column: im.columns[i].header, Message: "no contact has the e-mail address " + quote(email)})
			}
		}
		if good {
			kept = append(kept, l)
		}
	}
	return kept, nil
}
