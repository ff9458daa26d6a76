package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/csvfile"
	"github.com/crm-workflow/crm-workflow/crmstore/csvfile/container"
)

const importLong = `import reads records from a CSV file or an .xlsx workbook, such as an export of HubSpot, also gzipped. Which
encoding a file has and what separates its cells is found out. Headers are the names or labels of
properties; a record that is there already, by its id or for contacts by its e-mail address, is updated, so that
importing a file again changes nothing. A line whose id belongs to a contact with another e-mail address than the
line's, or where the line has none, is left out, since the ids may be another system's; --trust-ids changes that contact.
A line that would change a record on legal hold is left out, unless --change-held says otherwise. A line with a mistake
is shown with its number and left out as a whole; the other lines go in. Exit code 1 when a line was left out.`

func recordsImport(s *session) *cobra.Command {
	var o csvfile.Options
	var order, zone, mode, decimal, standIns, mapFile, key string
	var maps []string
	cmd := &cobra.Command{
		Use: "import FILE [--object TYPE] [--create-properties] [--dry-run]", Short: "records from a CSV file or an .xlsx workbook", Long: importLong,
		Example: "  workflow records import contacts.csv --dry-run\n  workflow records import contacts.csv --create-properties\n" +
			"  workflow records import keep.csv --list keep",
		Args: args(1, 1, "a CSV file or an .xlsx workbook (- for stdin)"),
	}
	object := objectFlag(s, cmd)
	f := cmd.Flags()
	f.StringVar(&o.IDColumn, "id-column", "", `header of the record ids (default "Record ID" or "hs_object_id"); email: contacts are found by e-mail alone`)
	f.BoolVar(&o.TrustIDs, "trust-ids", false, "change the contact that has a line's id also where its e-mail address is another one")
	f.BoolVar(&o.ChangeHeld, "change-held", false, "change records that are on legal hold, too")
	f.BoolVar(&o.CreateProperties, "create-properties", false, "make a property of each unknown column")
	f.BoolVar(&o.IgnoreUnknown, "ignore-unknown", false, "leave unknown columns out")
	f.BoolVar(&o.AllowDuplicates, "allow-duplicates", false, "a later line may change the record of an earlier one")
	f.StringVar(&o.Source, "source", "", "whose export the file is: "+strings.Join(csvfile.SourceNames(), ", ")+" (default found out from the header)")
	f.StringVar(&key, "key", "", "by what lines find their records: id or email alone (default by id where a line has one, else by e-mail)")
	f.StringArrayVar(&maps, "map", nil, `what a column is, as "HEADER=property"; "HEADER=" leaves it out; can be given several times`)
	f.StringVar(&mapFile, "map-file", "", "a file with such a mapping on each line; # begins a comment")
	f.StringVar(&o.Sheet, "sheet", "", "which sheet of a workbook (default the first)")
	f.StringVar(&o.Encoding, "encoding", "", "encoding of a text that is not UTF-8, such as windows-1252 or mac-roman (default found out)")
	f.StringVar(&order, "date-order", "", "what 01/02/2026 means: mdy (January 2) or dmy (1 February)")
	f.StringVar(&decimal, "decimal", "", "what 1.234 means: point (1 and a fraction) or comma (1 thousand and 234)")
	f.StringVar(&standIns, "stand-in-dates", "", "dates such as 0001-01-01: empty (take the cell as empty) or keep")
	f.StringVar(&zone, "zone", "", "time zone of times that name none, such as Europe/Amsterdam (default UTC)")
	f.StringVar(&mode, "mode", "upsert", "upsert, create (only new records) or update (only known ones)")
	f.StringVar(&o.List, "list", "", "add all imported records to this static list, made if needed")
	f.BoolVar(&o.DryRun, "dry-run", false, "check everything and write nothing")
	f.IntVar(&o.MaxFindings, "max-findings", 20, "show at most so many findings; all are counted")
	check := func([]string) error {
		if err := readingOptions(&o, decimal, standIns); err != nil {
			return err
		}
		if o.Key = csvfile.Key(key); key != "" && o.Key != csvfile.KeyID && o.Key != csvfile.KeyEmail {
			return usagef("id or email", "--key %q is not known", key)
		}
		if err := sourceOptions(&o, maps, mapFile); err != nil {
			return err
		}
		return importOptions(&o, order, zone, mode)
	}
	cmd.RunE = s.work(needs{check: check, object: object}, func(ctx context.Context, w *work) error {
		o.Object = w.object
		o.Cause, o.At = w.cause("import "+w.words[0]), w.now()
		if err := staticOrNew(ctx, w.store, o.Object, o.List); err != nil {
			return err
		}
		return importFile(ctx, w, w.words[0], o)
	})
	return cmd
}

// readingOptions are how cells are read that can be read in two ways.
func readingOptions(o *csvfile.Options, decimal, standIns string) error {
	if o.Decimal = csvfile.Decimal(decimal); decimal != "" && o.Decimal != csvfile.DecimalPoint && o.Decimal != csvfile.DecimalComma {
		return usagef("point: 1,234.5; comma: 1.234,5", "--decimal %q is not known", decimal)
	}
	if o.StandIns = csvfile.StandIns(standIns); standIns != "" && o.StandIns != csvfile.EmptyStandIns && o.StandIns != csvfile.KeepStandIns {
		return usagef("empty or keep", "--stand-in-dates %q is not known", standIns)
	}
	return nil
}

// sourceOptions are what the file is, and what its columns are.
func sourceOptions(o *csvfile.Options, maps []string, mapFile string) error {
	if o.Source != "" && !slices.Contains(csvfile.SourceNames(), o.Source) {
		return usagef("one of: "+strings.Join(csvfile.SourceNames(), ", "), "--source %q is not known", o.Source)
	}
	if mapFile != "" {
		lines, err := mapLines(mapFile)
		if err != nil {
			return err
		}
		maps = append(lines, maps...) // what is said on the command line wins
	}
	for _, m := range maps {
		i := strings.LastIndexByte(m, '=') // a header may hold one too
		if i < 0 || strings.TrimSpace(m[:i]) == "" {
			return usagef(`write it like --map "E-mail 1 - Value=email"`, "the mapping %q has no header and property", m)
		}
		if o.Map == nil {
			o.Map = make(map[string]string)
		}
		o.Map[strings.TrimSpace(m[:i])] = strings.TrimSpace(m[i+1:])
	}
	return nil
}

// maxMapFile bounds a file of mappings.
const maxMapFile = 1 << 20

// mapLines reads the mappings in a file.
func mapLines(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, failedf("", "read the mappings: %v", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxMapFile+1))
	if err != nil {
		return nil, failedf("", "read the mappings: %v", err)
	}
	if len(text) > maxMapFile {
		return nil, usagef("", "the file of mappings %s is larger than %d MB", path, maxMapFile>>20)
	}
	var lines []string
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

func importOptions(o *csvfile.Options, order, zone, mode string) error {
	modes := map[string]crmstore.WriteMode{"upsert": crmstore.UpsertAny, "create": crmstore.CreateOnly, "update": crmstore.UpdateOnly}
	var ok bool
	if o.Mode, ok = modes[mode]; !ok {
		return usagef("one of: upsert, create, update", "--mode %q is not known", mode)
	}
	if o.DateOrder = csvfile.DateOrder(order); order != "" && o.DateOrder != csvfile.MonthDay && o.DateOrder != csvfile.DayMonth {
		return usagef("mdy: 01/02/2026 is January 2; dmy: it is 1 February", "--date-order %q is not known", order)
	}
	if o.CreateProperties && o.IgnoreUnknown {
		return usagef("leave one of them out", "unknown columns are either made into properties or ignored, not both")
	}
	if o.MaxFindings < 1 {
		return usagef("", "--max-findings %d: want 1 or more", o.MaxFindings)
	}
	if zone == "" {
		return nil
	}
	var err error
	if o.Zone, err = time.LoadLocation(zone); err != nil || zone == "Local" {
		return usagef("write it as in Europe/Amsterdam or UTC", "--zone %q is not a known time zone", zone)
	}
	return nil
}

// importFile imports and says what came of it, also when it was stopped half-way.
func importFile(ctx context.Context, w *work, path string, o csvfile.Options) error {
	in, size, err := openInput(ctx, w.session, path)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it was only read
	bar := w.progress()
	o.Progress = func(bytes int64) { bar.update("import, kB", bytes>>10, size>>10) }
	var once sync.Once
	o.Waiting = func() {
		once.Do(func() {
			bar.end()
			w.err.printf("note: waiting, up to 30 seconds, for addresses or properties that another import is about to make its own, or was when it was killed\n")
			_ = w.err.flush() // a note that cannot be shown is not missed
		})
	}
	report, err := csvfile.Import(ctx, w.store, in, o)
	bar.end()
	if err != nil {
		if report != nil && !w.json() && report.Lines > 0 {
			showImport(w.err, path, o, report)
		}
		_, denied := errors.AsType[*crmstore.PermissionError](err)
		if report != nil && ctx.Err() == nil && !denied {
			return failedf("lines that are not counted may be in all the same; the same import again leaves them as they are and brings in the rest (it may wait up to 30 seconds for addresses that this one had begun to take)", "%v", err)
		}
		return err
	}
	report.Columns = append([]csvfile.Column{}, report.Columns...) // [] and not null for programs
	report.CreatedProperties = append([]csvfile.CreatedProperty{}, report.CreatedProperties...)
	report.Findings = append([]csvfile.Finding{}, report.Findings...)
	w.emit(report, func(out *output) { showImport(out, path, o, report) })
	if report.FindingsTotal > 0 {
		return said(exitRefused)
	}
	return nil
}

// openInput opens a file, or stdin for "-"; the size is 0 when it is not known.
func openInput(ctx context.Context, s *session, path string) (io.ReadCloser, int64, error) {
	if path == "-" {
		return io.NopCloser(patient(ctx, s.in)), 0, nil
	}
	if text, ok := s.command.files[path]; ok {
		return io.NopCloser(bytes.NewReader(text)), int64(len(text)), nil
	}
	in, size, err := openFile(ctx, path)
	var at *os.PathError
	if errors.As(err, &at) {
		return nil, 0, failedf("", "read %s: %v", path, at.Err)
	}
	return in, size, err
}

func showImport(o *output, path string, options csvfile.Options, r *csvfile.Report) {
	verb := "imported"
	if r.DryRun {
		verb = "would be imported (dry run: nothing was written)"
	}
	in := r.Created + r.Updated + r.Unchanged
	o.printf("%s %s from %s: %s new, %s updated, %s as they were\n", records(in, options.Object), verb, clean(path),
		count(r.Created), count(r.Updated), count(r.Unchanged))
	if r.Moved > 0 {
		o.printf("%s\n", o.paint(red, counted(r.Moved, "contact has another e-mail address", "contacts have another e-mail address")+" than before"))
	}
	if r.Refused > 0 {
		o.printf("%s\n", o.paint(red, counted(r.Refused, "line was", "lines were")+" left out"))
	}
	showSource(o, r)
	showFile(o, r.File)
	for _, p := range r.CreatedProperties {
		o.printf("new property %s (%s), label %q, %s\n", p.Name, p.Type, clean(p.Label), counted(p.Values, "value", "values"))
	}
	for _, name := range r.TakenBack {
		verb := "is gone"
		if r.DryRun {
			verb = "would go"
		}
		o.printf("property %s %s: an import that was killed before its first line had made it, and nothing uses it\n", name, verb)
	}
	for _, c := range r.Columns {
		switch {
		case c.Note == "":
		case c.Use == csvfile.UseIgnored:
			o.printf("column %q is ignored: %s\n", clean(c.Header), c.Note)
		default:
			o.printf("column %q: %s\n", clean(c.Header), c.Note)
		}
	}
	if options.List != "" {
		o.printf("%s added to list %s\n", records(r.Listed, options.Object), options.List)
	}
	showImportFindings(o, path, r)
}

// showSource says whose export the file was taken for, and what of it is no change of a record.
func showSource(o *output, r *csvfile.Report) {
	for _, s := range csvfile.Sources() {
		if s.Name == r.Source {
			o.printf("taken for an export of %s (--source none: for a plain file)\n", s.Title)
		}
	}
	if r.After > 0 {
		o.printf("%s passed over, which are no records\n", counted(r.After, "line at the end was", "lines at the end were"))
	}
	if r.Deleted > 0 {
		o.printf("%s\n", o.paint(red, counted(r.Deleted, "record was", "records were")+" deleted where the file comes from, and left out"))
	}
	if r.Associated > 0 {
		o.printf("%s\n", counted(r.Associated, "association was made", "associations were made"))
	}
	if r.Unassociated > 0 {
		o.printf("%s, since the other record is not here, such as %s: import those records, then this file again\n",
			o.paint(red, counted(r.Unassociated, "association was not made", "associations were not made")), strings.Join(r.NotHere, ", "))
	}
}

// showFile says what the file was taken for, unless it is plain UTF-8.
func showFile(o *output, f container.Info) {
	if f.Encoding != "" && f.Encoding != "UTF-8" {
		o.printf("the text was read as %s\n", f.Encoding)
	}
	if len(f.Sheets) > 1 {
		o.printf("sheet %q was read, one of %d (--sheet NAME reads another one)\n", clean(f.Sheet), len(f.Sheets))
	}
}

func showImportFindings(o *output, path string, r *csvfile.Report) {
	if r.FindingsTotal == 0 {
		return
	}
	o.printf("\n")
	for _, f := range r.Findings {
		where := path
		if f.Line > 0 {
			where = fmt.Sprintf("%s:%d", path, f.Line)
		}
		message := f.Message
		if f.Column != "" {
			message = fmt.Sprintf("column %q: %s", f.Column, f.Message)
		}
		o.printf("%s: %s %s\n", o.paint(bold, clean(where)), clean(message), o.paint(dim, "["+string(f.Code)+"]"))
		if f.Help != "" {
			o.printf("     = %s\n", clean(strings.TrimSpace(f.Help)))
		}
	}
	if rest := r.FindingsTotal - len(r.Findings); rest > 0 {
		o.printf("and %s (--max-findings N shows more)\n", counted(rest, "more finding", "more findings"))
	}
}
