package csvfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// importer is one import under way.
type importer struct {
	store  *crmstore.Store
	o      Options
	schema *crmstore.Schema
	list   *crmstore.List // once it is known to exist
	report *Report
	found  findings
	made   madeRecords            // in a dry run
	sent   *crmstore.PlannedWrite // the last one

	passes int   // times that the file is read
	size   int64 // bytes of the file, when it is read twice
}

// run settles the header, makes properties if asked, and then reads and writes.
func (im *importer) run(ctx context.Context, r io.Reader) error {
	im.passes = 1
	im.made.remember = im.o.DryRun && im.o.AllowDuplicates
	if im.o.CreateProperties {
		file, done, err := rewindable(ctx, r)
		if err != nil {
			return err
		}
		defer done()
		if r, err = im.prepare(ctx, file); err != nil || r == nil {
			return err
		}
	}
	rd, l, err := im.open(r)
	if err != nil || rd == nil {
		return err
	}
	im.report.Columns = l.report()
	for i := range im.report.Columns {
		for _, p := range im.report.CreatedProperties {
			if im.report.Columns[i].Property == p.Name {
				im.report.Columns[i].Use = UseCreated
			}
		}
	}
	to := im.send
	if im.o.DryRun {
		to = func(_ context.Context, batch []crmstore.Upsert) (finish, error) {
			return func(ctx context.Context) ([]crmstore.WriteResult, error) { return im.look(ctx, batch) }, nil
		}
	}
	return im.pump(ctx, rd, to)
}

// open reads the header. It returns nil without an error when there are findings.
func (im *importer) open(r io.Reader) (*reader, *layout, error) {
	bytes := &counter{r: r}
	rows, utf16, err := openRows(bytes)
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
	l, found := resolve(names, header.line, im.schema, &im.o)
	for _, f := range found {
		im.found.add(f)
	}
	if len(found) > 0 {
		im.report.Columns = l.report()
		return nil, nil, nil
	}
	rd := &reader{
		rows: rows, bytes: bytes, keep: im.o.MaxFindings,
		conv: converter{layout: l, reading: reading{im.o.DateOrder, im.o.Zone}, mode: im.o.Mode, utf16: utf16},
	}
	if !im.o.DryRun {
		rd.conv.packer = crmstore.NewPacker(im.schema)
	}
	if !im.o.AllowDuplicates {
		rd.seen = newSeen()
	}
	return rd, &l, nil
}

// prepare reads the file once to find out the types of new properties, makes them, and winds the file
// back. It returns nil without an error when there are findings.
func (im *importer) prepare(ctx context.Context, file io.ReadSeeker) (io.Reader, error) {
	start, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	rd, l, err := im.open(file)
	if err != nil || rd == nil {
		return nil, err
	}
	if l.unknown > 0 {
		im.passes = 2
		guesses, err := im.guess(ctx, rd, l)
		if err != nil {
			return nil, err
		}
		im.size = rd.bytes.n
		if err := im.makeProperties(ctx, l, guesses); err != nil {
			return nil, err
		}
	}
	if _, err := file.Seek(start, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read again: %w", err)
	}
	return file, nil
}

// guessStep is how many records are read between two looks at ctx when types are guessed.
const guessStep = 10_000

// guess reads the rest of the file. What makes it unreadable is found again when it is imported.
func (im *importer) guess(ctx context.Context, rd *reader, l *layout) ([]guess, error) {
	n := 0
	guesses, err := guessTypes(l, func() (*row, error) {
		if n++; n%guessStep == 0 {
			if im.o.Progress != nil {
				im.o.Progress(rd.bytes.n / firstPass)
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		return rd.rows.next()
	}, rd.conv.reading, rd.conv.utf16)
	var b *brokenError
	if errors.Is(err, io.EOF) || errors.As(err, &b) {
		err = nil
	}
	return guesses, err
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

// makeProperties makes the properties in the store, or in a dry run in a schema that nobody else sees.
func (im *importer) makeProperties(ctx context.Context, l *layout, guesses []guess) error {
	properties, told := newProperties(l, guesses, im.schema)
	if im.o.DryRun {
		next := crmstore.FirstProperty
		for _, p := range im.schema.Properties {
			next = max(next, p.Number+1)
		}
		all := append([]crmstore.Property(nil), im.schema.Properties...)
		for i, p := range properties {
			p.Number = next + i
			all = append(all, p)
		}
		im.schema = crmstore.NewSchema(im.schema.Object, im.schema.Version, all)
	} else {
		schema, err := im.store.AddProperties(ctx, im.o.Object, properties, im.o.Cause, im.o.At)
		if err != nil {
			return fmt.Errorf("make properties: %w", err)
		}
		im.schema = schema
	}
	im.report.CreatedProperties = told
	return nil
}

// send plans a batch, and then writes it.
func (im *importer) send(ctx context.Context, batch []crmstore.Upsert) (finish, error) {
	p, err := im.store.PlanWrite(ctx, im.o.Object, im.o.Mode, batch, im.o.Cause, im.o.At)
	if err != nil {
		return nil, err
	}
	before := im.sent
	im.sent = p
	return func(ctx context.Context) ([]crmstore.WriteResult, error) { return p.Write(ctx, before) }, nil
}

// enlist adds records to the static list, which is made when the first record is there to be added.
func (im *importer) enlist(ctx context.Context, ids []crmstore.ID) error {
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
		if err == nil || !errors.Is(err, crmstore.ErrExists) {
			return l, err
		}
	}
	return crmstore.List{}, crmstore.ErrConflict
}

// stopReader reads until ctx ends.
type stopReader struct {
	ctx context.Context
	r   io.Reader
}

func (s stopReader) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

// rewindable is r itself when it can be wound back, else a temporary file with all that r gives, gone after done.
func rewindable(ctx context.Context, r io.Reader) (file io.ReadSeeker, done func(), err error) {
	if s, ok := r.(io.ReadSeeker); ok {
		if _, err := s.Seek(0, io.SeekCurrent); err == nil { // a pipe is an *os.File too, but cannot seek
			return s, func() {}, nil
		}
	}
	f, err := os.CreateTemp("", "workflow-import-*.csv")
	if err != nil {
		return nil, nil, fmt.Errorf("make a temporary file: %w", err)
	}
	_ = os.Remove(f.Name()) // where open files can be removed, nothing is left even after a kill
	done = func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}
	if _, err = io.Copy(f, stopReader{ctx, r}); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		done()
		return nil, nil, fmt.Errorf("copy to a temporary file: %w", err)
	}
	return f, done, nil
}
