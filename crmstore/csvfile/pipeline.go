package csvfile

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/csvfile/container"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// A batch is as many records as [crmstore.Store.Write] plans at a time, since a partition's share of it is then
// large enough for few calls, or fewer when they have many values or long texts. At most three batches exist at once: one is
// being read, one is being planned, one is being written.
const (
	batchRecords = 1 << 16
	batchValues  = 1 << 20
	batchText    = 32 << 20 // bytes
)

// batch is a stretch of the file, with everything that was found in it.
type batch struct {
	upserts []crmstore.Upsert
	lines   []int // on which each upsert's record begins
	values  int   // assignments of all upserts
	text    int   // bytes of their lines
	refused int   // records with findings
	blank   int
	after   int            // lines that end the file, which are no records
	gone    int            // records that were deleted where the file comes from
	pairs   [][]record.Ref // by upsert: the records that are to be associated; shorter when the last ones have none
	last    int            // last line of the file in it
	offset  int64          // bytes of the file read when it was full
	found   findings
	results []crmstore.WriteResult
	filled  []int // cells of each column that became a property, in lines that are good
}

func (b *batch) full() bool {
	return len(b.upserts) >= batchRecords || b.values >= batchValues || b.text >= batchText || b.refused+b.blank >= 4*batchRecords
}

// reader is the first half of an import: from bytes to batches. It knows nothing of the store.
type reader struct {
	rows  *rowReader
	conv  converter
	seen  *seen // nil when a later line with the same id or address is fine
	bytes *container.Reader
	keep  int   // findings kept of each batch
	made  []int // columns that became properties
	batch *batch
}

func (r *reader) start() {
	r.batch = &batch{found: findings{keep: r.keep}, filled: make([]int, len(r.made))}
}

// run reads to the end of the file and hands full batches on, the last one also when it is empty. When reading
// fails, what was read before goes on too.
func (r *reader) run(send func(*batch) error) error {
	r.start()
	for {
		row, err := r.rows.next()
		var b *brokenError
		switch {
		case errors.Is(err, io.EOF):
			return r.flush(send)
		case errors.As(err, &b):
			return errors.Join(r.leaveRest(b), r.flush(send))
		case err != nil:
			return errors.Join(fmt.Errorf("read after line %d: %w", r.rows.line, err), r.flush(send))
		}
		r.take(row)
		if r.batch.full() {
			if err := r.flush(send); err != nil {
				return err
			}
		}
	}
}

// leaveRest counts the lines from the broken one on as left out.
func (r *reader) leaveRest(b *brokenError) error {
	inside := max(0, r.rows.line-b.finding.Line) // lines that were read in search of the closing quote
	more, err := r.rows.rest()
	left := 1 + inside + more
	if left > 1 {
		b.finding.Message += fmt.Sprintf("; %d lines from this one on are left out", left)
	}
	r.batch.found.add(b.finding)
	r.batch.refused += left
	if err != nil {
		return fmt.Errorf("read after line %d: %w", r.rows.line, err)
	}
	return nil
}

// take puts a row into the batch, or what is wrong with it.
func (r *reader) take(row *row) {
	e, blank, ok := r.conv.entry(row, &r.batch.found)
	if blank {
		if r.conv.after+r.conv.gone > 0 {
			r.batch.after, r.batch.gone = r.batch.after+r.conv.after, r.batch.gone+r.conv.gone
			r.conv.after, r.conv.gone = 0, 0
			return
		}
		r.batch.blank++
		return
	}
	if !ok {
		r.batch.refused++
		return
	}
	if r.seen != nil {
		if f := r.seen.add(&e); f != nil {
			r.batch.found.add(*f)
			r.batch.refused++
			return
		}
	}
	text := r.conv.text(row)
	for i, c := range r.made {
		if col := &r.conv.columns[c]; col.filled(col.part.of(row.cell(text, col.cell))) {
			r.batch.filled[i]++
		}
	}
	r.batch.upserts = append(r.batch.upserts, e.upsert)
	r.batch.lines = append(r.batch.lines, e.line)
	if len(e.pairs) > 0 {
		for len(r.batch.pairs) < len(r.batch.upserts)-1 {
			r.batch.pairs = append(r.batch.pairs, nil)
		}
		r.batch.pairs = append(r.batch.pairs, e.pairs)
	}
	r.batch.values += len(e.upsert.Set)
	r.batch.text += len(row.data)
}

func (r *reader) flush(send func(*batch) error) error {
	r.batch.last, r.batch.offset = r.rows.line, r.bytes.Bytes()
	b := r.batch
	r.start()
	return send(b)
}

// sink prepares a batch of changes while the one before may still be finished; finish says what became of each change.
type sink func(ctx context.Context, batch []crmstore.Upsert) (finish, error)

type finish func(ctx context.Context) ([]crmstore.WriteResult, error)

// prepared is a batch that is ready to be written.
type prepared struct {
	batch  *batch
	finish finish
}

// pump reads, plans and writes at the same time, each batch after the one before. Everything that is counted is counted
// by the writing part, so that the report is right whenever it stops.
func (im *importer) pump(ctx context.Context, r *reader, to sink) error {
	g, gctx := errgroup.WithContext(ctx)
	batches := make(chan *batch) // closed by the reading part
	ready := make(chan prepared) // closed by the planning part
	var readErr error            // does not end the group, so that what was read before is still written
	g.Go(func() error {
		defer close(batches)
		readErr = r.run(func(b *batch) error {
			select {
			case batches <- b:
				return nil
			case <-gctx.Done():
				return gctx.Err()
			}
		})
		return nil
	})
	g.Go(func() error {
		defer close(ready)
		for b := range batches {
			p := prepared{batch: b}
			if len(b.upserts) > 0 {
				var err error
				if p.finish, err = to(gctx, b.upserts); err != nil {
					return err
				}
			}
			select {
			case ready <- p:
			case <-gctx.Done():
				return gctx.Err()
			}
		}
		return nil
	})
	g.Go(func() error {
		for p := range ready {
			if err := gctx.Err(); err != nil {
				return err
			}
			if err := im.write(gctx, p); err != nil {
				return err
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return err
	}
	return readErr
}

// write brings a batch into the store and counts it. A batch that was begun is finished when ctx ends, since
// otherwise nobody could say what went in.
func (im *importer) write(ctx context.Context, p prepared) error {
	ctx = context.WithoutCancel(ctx)
	b := p.batch
	var members []record.ID
	if len(b.upserts) > 0 {
		results, err := p.finish(ctx)
		if err != nil {
			return err
		}
		b.results = results
		members = im.count(b, results)
		if err := im.keepProperties(ctx); err != nil {
			return err
		}
	}
	for i, n := range b.filled {
		im.report.CreatedProperties[i].Values += n
	}
	im.found.merge(b.found)
	r := im.report
	r.Refused += b.refused
	r.Blank += b.blank
	r.After += b.after
	r.Deleted += b.gone
	r.Lines += len(b.upserts) + b.refused
	r.LastLine = b.last
	if err := im.associate(ctx, b); err != nil {
		return err
	}
	if err := im.enlist(ctx, members); err != nil {
		return err
	}
	if im.o.Progress != nil {
		im.o.Progress(im.progress(b.offset))
	}
	return nil
}

// count takes the results into the report and returns the records that are in the store now.
func (im *importer) count(b *batch, results []crmstore.WriteResult) []record.ID {
	members := make([]record.ID, 0, len(results))
	for i, w := range results {
		switch w.Outcome {
		case crmstore.Created:
			im.report.Created++
		case crmstore.Updated:
			im.report.Updated++
			if w.Moved {
				im.report.Moved++
			}
		case crmstore.Unchanged:
			im.report.Unchanged++
		default:
			im.report.Refused++
			for k := range b.filled {
				if im.columns[k] != nil && b.upserts[i].Assigns(im.columns[k]) {
					b.filled[k]--
				}
			}
			b.found.add(im.refusal(b.lines[i], &b.upserts[i], w))
			continue
		}
		members = append(members, w.ID)
	}
	return members
}

const heldHelp = "the line would change it; --change-held says that it may (the audit log keeps the values of before)"

const otherHelp = "if the ids are another system's, find contacts by e-mail alone: --id-column email; if they are this account's, and addresses changed: --trust-ids"

// otherContact says that a line's id is that of somebody else.
func otherContact(e *crmstore.OtherEmailError) string {
	has, says := "is "+e.Has, "the line says "+e.Wants
	if e.Has == "" {
		has = "has no e-mail address"
	}
	if e.Wants == "" {
		says = "the line has no e-mail address"
	}
	return fmt.Sprintf("record %s %s, and %s", e.ID, has, says)
}

// largeIDHelp says how a record moves to this account whose id the account that it comes from has given.
func (im *importer) largeIDHelp() string {
	help := fmt.Sprintf("new records bring along ids from 1 to %d", uint64(record.MaxGivenID))
	if im.o.Object == record.Contact {
		return help + "; to have this account give all of them new ids: --id-column email"
	}
	return help + "; to have this account give new ids, take the column of ids out and say --mode create"
}

// refusal is the store's refusal of a record as a finding.
func (im *importer) refusal(line int, u *crmstore.Upsert, w crmstore.WriteResult) Finding {
	who := string(im.o.Object)
	if id := max(u.ID, w.ID); id != 0 {
		who += " " + id.String()
	}
	var taken *record.EmailTakenError
	var blocked *record.BlockedError
	var other *crmstore.OtherEmailError
	var held *crmstore.HeldError
	switch {
	case errors.As(w.Err, &held):
		return Finding{Code: OnHold, Line: line, Message: held.Error(), Help: heldHelp}
	case errors.As(w.Err, &other):
		help := otherHelp
		if other.Wants == "" {
			help = "if the ids are this account's: --trust-ids; else name the column of e-mail addresses Email"
		}
		return Finding{Code: OtherContact, Line: line, Message: otherContact(other), Help: help}
	case errors.As(w.Err, &blocked):
		return Finding{Code: EmailBlocked, Line: line, Message: blocked.Error(), Help: "its owner was deleted permanently, or it was blocked by hand; see: workflow blocklist --help"}
	case errors.As(w.Err, &taken):
		return Finding{Code: EmailTaken, Line: line, Message: taken.Error(), Help: "an e-mail address belongs to one contact at a time"}
	case errors.Is(w.Err, crmstore.ErrArchived):
		return Finding{Code: InBin, Line: line, Message: who + " is in the bin", Help: "restore it first"}
	case errors.Is(w.Err, crmstore.ErrErased):
		return Finding{Code: Erased, Line: line, Message: who + " was deleted permanently", Help: "its id is never used again; leave the id out to make a new record"}
	case errors.Is(w.Err, record.ErrNotFound):
		return Finding{Code: NotThere, Line: line, Message: "there is no such " + who, Help: "only records that exist are changed in this mode"}
	case errors.Is(w.Err, record.ErrExists):
		return Finding{Code: ThereAlready, Line: line, Message: who + " exists already", Help: "only new records are made in this mode"}
	case w.Err != nil && u.ID > record.MaxGivenID:
		return Finding{
			Code: BadID, Line: line, Message: quote(u.ID.String()) + " is not a record id that a new record can have",
			Help: im.largeIDHelp(),
		}
	case w.Err != nil:
		return Finding{Code: StoreRefused, Line: line, Message: w.Err.Error()}
	}
	return Finding{Code: StoreRefused, Line: line, Message: "the store refused the record"}
}
