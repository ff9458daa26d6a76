package csvfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/csvfile/container"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// importer is one import under way.
type importer struct {
	store  *crmstore.Store
	o      Options
	schema *record.Schema
	list   *crmstore.List // once it is known to exist
	report *Report
	found  findings
	made   madeRecords            // in a dry run
	sent   *crmstore.PlannedWrite // the last one

	token    string             // by which the properties are known that the import made; "" = it made none
	renewal  *renewal           // of these properties, until a line is in
	columns  []*record.Property // the same properties
	unmade   []string           // names of properties that it would have made if any line had gone in
	surveyed []facts            // by column, once the file was looked through

	file   *container.File
	passes int   // times that the file is read
	size   int64 // bytes of the file, when it is read twice
}

// looker says what the store would do with a batch of changes.
type looker func(context.Context, []crmstore.Upsert) ([]crmstore.WriteResult, error)

// run settles the header, makes properties if asked, and then reads and writes.
func (im *importer) run(ctx context.Context, r io.Reader) error {
	if err := im.passOver(ctx); err != nil {
		return err
	}
	err := im.bringIn(ctx, r)
	im.renewal.end()
	return errors.Join(err, im.takeBack(ctx))
}

// bringIn makes the properties and brings in the lines. Wherever it ends, takeBack comes next.
func (im *importer) bringIn(ctx context.Context, r io.Reader) error {
	im.passes = 1
	defer im.close()
	if ready, err := im.prepare(ctx, r, im.look); !ready || err != nil {
		return err
	}
	rd, l, err := im.open()
	if err != nil || rd == nil {
		return err
	}
	im.report.Columns = l.report()
	if l.source != nil {
		im.report.Source = l.source.Name
	}
	im.noteCreated(rd, l)
	im.noteUnits(l)
	to := im.send
	if im.o.DryRun {
		to = func(_ context.Context, batch []crmstore.Upsert) (finish, error) {
			return func(ctx context.Context) ([]crmstore.WriteResult, error) { return im.look(ctx, batch) }, nil
		}
	}
	return im.pump(ctx, rd, to)
}

// noteCreated says in the report which columns became properties, and has their cells counted as lines go in.
func (im *importer) noteCreated(rd *reader, l *layout) {
	for k := range im.report.CreatedProperties {
		p := &im.report.CreatedProperties[k]
		p.Values = 0
		i := slices.IndexFunc(l.columns, func(c column) bool { return c.property != nil && c.property.Name == p.Name })
		im.report.Columns[i].Use = UseCreated
		rd.made, im.columns = append(rd.made, i), append(im.columns, l.columns[i].property)
	}
	for i, c := range l.columns {
		if c.create && c.property == nil && c.want != nil {
			im.report.Columns[i].Note = "" // the column is empty
		}
		if c.property != nil && slices.Contains(im.unmade, c.property.Name) {
			im.report.Columns[i] = Column{Header: c.header, Use: UseIgnored, Note: "no line went in, so no property was made of it"}
		}
	}
}

// noteUnits says of which columns of numbers the currencies are left out.
func (im *importer) noteUnits(l *layout) {
	for i, c := range l.columns {
		if c.property != nil && c.property.Type == record.Number && i < len(im.surveyed) && im.report.Columns[i].Use != UseIgnored {
			im.report.Columns[i].Note = im.surveyed[i].unitNote()
		}
	}
}

// open reads the header. It returns nil without an error when there are findings.
func (im *importer) open() (*reader, *layout, error) {
	in, err := im.file.Reader()
	if err != nil {
		return nil, nil, err
	}
	rows, err := openRows(in, im.file.Sheet != "")
	var header *row
	if err == nil {
		header, err = rows.next()
	}
	var b *brokenError
	switch {
	case errors.Is(err, io.EOF):
		im.found.add(Finding{Code: FileEmpty, Message: "the file is empty", Help: "the first line names the columns"})
		return nil, nil, nil
	case errors.As(err, &b):
		im.found.add(b.finding)
		return nil, nil, nil
	case err != nil:
		return nil, nil, err
	}
	names, f := headerNames(header)
	if f != nil {
		im.found.add(*f)
		return nil, nil, nil
	}
	l, found := resolve(names, header.line, im.schema, &im.o, im.surveyed)
	for _, f := range found {
		im.found.add(f)
	}
	if len(found) > 0 {
		im.report.Columns = l.report()
		return nil, nil, nil
	}
	rd := &reader{
		rows: rows, bytes: in, keep: im.o.MaxFindings,
		conv: converter{layout: l, mode: im.o.Mode, comma: rows.comma, decoded: im.file.Decoded},
	}
	for i := range l.columns {
		c := &l.columns[i]
		c.how = reading{order: im.o.DateOrder, zone: im.o.Zone, decimal: im.o.Decimal, standIns: im.o.StandIns}
		if i < len(im.surveyed) {
			c.how = im.surveyed[i].settle(c.how)
		}
	}
	if !im.o.DryRun {
		rd.conv.packer = crmstore.NewPacker(im.schema)
	}
	if repeats := im.o.AllowDuplicates || l.repeats(); !repeats {
		rd.seen = newSeen()
	} else {
		im.made.remember = im.o.DryRun
	}
	return rd, &l, nil
}

// prepare opens the file, reads the header, and looks through the whole file where that is needed to know how cells are
// meant: numbers and dates that can be read in two ways, and the types of new properties, which it makes. It is not ready,
// without an error, when there are findings.
func (im *importer) prepare(ctx context.Context, r io.Reader, look looker) (ready bool, err error) {
	im.file, err = openFile(ctx, r, container.Options{Sheet: im.o.Sheet, Encoding: im.o.Encoding})
	if b, ok := errors.AsType[*brokenError](err); ok {
		im.found.add(b.finding)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	im.report.File = im.file.Info
	return im.settle(ctx, look)
}

// settle is prepare once the file is open.
func (im *importer) settle(ctx context.Context, look looker) (ready bool, err error) {
	rd, l, err := im.open()
	if err != nil || rd == nil {
		return false, err
	}
	if im.awaits(l) {
		if err := im.await(ctx, l); err != nil {
			return false, err
		}
		return im.settle(ctx, look) // with the schema as it is now
	}
	if !l.surveyed() {
		return true, nil
	}
	err = im.surveyFile(ctx, look)
	if errors.Is(err, errMadeMeanwhile) {
		return im.settle(ctx, look)
	}
	return err == nil, err
}

// close removes what the file was copied to.
func (im *importer) close() {
	if im.file != nil {
		im.file.Close()
	}
}

// surveyFile looks through the file, and makes new properties if a line is to go in.
func (im *importer) surveyFile(ctx context.Context, look looker) error {
	im.passes = 2
	rd, l, err := im.open()
	if err != nil {
		return err
	}
	surveyed, err := im.survey(ctx, rd, l)
	if err != nil {
		return err
	}
	agree(surveyed)
	im.size, im.surveyed = rd.bytes.Bytes(), surveyed
	if l.unknown == 0 {
		return nil
	}
	properties, told := newProperties(l, surveyed, im.schema)
	before := im.schema
	im.schema = withNew(before, properties)
	good, err := im.anyLine(ctx, look)
	if err != nil {
		return err
	}
	if !good {
		for _, p := range told {
			im.unmade = append(im.unmade, p.Name)
		}
		im.o.DryRun = true // what is wrong with the lines is found all the same, and no property stays behind
		return nil
	}
	if !im.o.DryRun {
		if err := im.makeProperties(ctx, properties); err != nil {
			return err
		}
	}
	im.report.CreatedProperties = told
	return nil
}

// withNew is the schema with the properties, as nobody else sees it.
func withNew(schema *record.Schema, properties []record.Property) *record.Schema {
	next := record.FirstProperty
	for _, p := range schema.Properties {
		next = max(next, p.Number+1)
	}
	all := append([]record.Property(nil), schema.Properties...)
	for i, p := range properties {
		p.Number = next + i
		all = append(all, p)
	}
	return record.NewSchema(schema.Object, schema.Version, all)
}

// probed is how many lines are looked at together until one is found that goes in.
const probed = 512

// anyLine reports whether any line of the file would go in.
func (im *importer) anyLine(ctx context.Context, look looker) (bool, error) {
	rd, _, err := im.open()
	if err != nil || rd == nil {
		return false, err
	}
	rd.conv.packer = nil // looking needs the assignments
	rd.start()
	for {
		row, err := rd.rows.next()
		var b *brokenError
		end := errors.Is(err, io.EOF) || errors.As(err, &b)
		switch {
		case end:
		case err != nil:
			return false, err
		default:
			rd.take(row)
		}
		if batch := rd.batch.upserts; len(batch) > 0 && (end || len(batch) == probed) {
			results, err := look(ctx, batch)
			if err != nil {
				return false, err
			}
			for _, w := range results {
				if w.Outcome != crmstore.Refused {
					im.made.forget()
					return true, nil
				}
			}
		}
		if end {
			im.made.forget()
			return false, nil
		}
		if n := len(rd.batch.upserts) + rd.batch.refused; n >= probed {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			rd.start()
		}
	}
}

// guessStep is how many records are read between two looks at ctx when types are guessed.
const guessStep = 10_000

// survey reads the rest of the file. What makes it unreadable is found again when it is imported.
func (im *importer) survey(ctx context.Context, rd *reader, l *layout) ([]facts, error) {
	n := 0
	surveyed, err := surveyColumns(l, rd, func() (*row, error) {
		if n++; n%guessStep == 0 {
			if im.o.Progress != nil {
				im.o.Progress(rd.bytes.Bytes() / firstPass)
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		return rd.rows.next()
	})
	var b *brokenError
	if errors.Is(err, io.EOF) || errors.As(err, &b) {
		err = nil
	}
	return surveyed, err
}

// firstPass is the share of the bytes of a file that count as dealt with when it has been read once of two times.
const firstPass = 5

// progress turns bytes read in the last pass into bytes dealt with, which only ever grow.
func (im *importer) progress(read int64) int64 {
	if im.passes == 1 {
		return read
	}
	return im.size/firstPass + read - read/firstPass
}

// send plans a batch, and then writes it.
func (im *importer) send(ctx context.Context, batch []crmstore.Upsert) (finish, error) {
	if im.token != "" && im.sent == nil {
		if err := im.renew(ctx); err != nil {
			return nil, err
		}
	}
	p, err := im.store.PlanWrite(ctx, im.o.Object, im.o.Mode, batch, im.o.Cause, im.o.At)
	if err != nil {
		return nil, err
	}
	before := im.sent
	p.Waiting, im.sent = im.o.Waiting, p
	return func(ctx context.Context) ([]crmstore.WriteResult, error) { return p.Write(ctx, before) }, nil
}

// enlist adds records to the static list, which is made when the first record is there to be added.
func (im *importer) enlist(ctx context.Context, ids []record.ID) error {
	if im.o.List == "" || im.o.DryRun || len(ids) == 0 {
		return nil
	}
	if im.list == nil {
		l, err := im.findList(ctx)
		if err != nil {
			return fmt.Errorf("list %s: %w", im.o.List, err)
		}
		im.list = &l
	}
	changed, _, err := im.store.SetMembers(ctx, *im.list, ids, true, im.o.Cause, im.o.At)
	if err != nil {
		return fmt.Errorf("add to list %s: %w", im.o.List, err)
	}
	im.report.Listed += changed
	return nil
}

func (im *importer) findList(ctx context.Context) (crmstore.List, error) {
	for range 2 { // another process may make the list in between
		lists, err := im.store.Lists(ctx, im.o.Object)
		if err != nil {
			return crmstore.List{}, err
		}
		if l, ok := lists[im.o.List]; ok {
			if l.Active() {
				return l, errors.New("it is an active list: its expression says who is on it")
			}
			return l, nil
		}
		l, err := im.store.CreateList(ctx, im.o.Object, im.o.List, im.o.Cause, im.o.At)
		if err == nil || !errors.Is(err, record.ErrExists) {
			return l, err
		}
	}
	return crmstore.List{}, record.ErrConflict
}
