package container

import (
	"archive/zip"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// readerAt reads the source at any place.
type readerAt struct{ f *File }

// ReadAt reads as io.ReaderAt has it.
func (r readerAt) ReadAt(p []byte, off int64) (int, error) {
	if _, err := r.f.source.Seek(r.f.start+off, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(r.f.source, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// maxParts is how many files a workbook may hold; those of people have less than a hundred.
const maxParts = 10_000

// workbook makes the text of one sheet the source.
func (f *File) workbook(ctx context.Context, sheet string) error {
	z, err := zip.NewReader(readerAt{f}, f.size)
	if err != nil {
		return &FormatError{"this is a workbook or another zip archive that is damaged or cut off", "fetch or export it again"}
	}
	b := &book{file: f, parts: make(map[string]*zip.File, len(z.File)), types: make(map[string]string)}
	if len(z.File) > maxParts {
		return &FormatError{fmt.Sprintf("this is a zip archive of %d files", len(z.File)), "unpack it, and import one of them"}
	}
	var names []string
	for _, p := range z.File {
		b.parts[strings.TrimPrefix(p.Name, "/")] = p
		if !strings.HasSuffix(p.Name, "/") {
			names = append(names, p.Name)
		}
	}
	if e := b.otherArchive(names); e != nil {
		return e
	}
	err = b.open(sheet)
	if err == nil {
		err = f.spool(ctx, "unpack to a temporary file", func(w io.Writer) error { return b.write(w) })
	}
	if err != nil {
		return b.fault(err)
	}
	f.Sheet, f.Sheets = b.sheet, b.sheets
	return nil
}

// fault says of an error of unpacking or of XML that the workbook is damaged.
func (b *book) fault(err error) error {
	if _, refused := errors.AsType[*FormatError](err); refused {
		return err
	}
	_, syntax := errors.AsType[*xml.SyntaxError](err)
	if syntax || isCorrupt(err) || errors.Is(err, zip.ErrFormat) || errors.Is(err, zip.ErrChecksum) || errors.Is(err, zip.ErrAlgorithm) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &FormatError{"this workbook is damaged: " + err.Error(), "open it in a spreadsheet and save it again"}
	}
	return err
}

// book is a workbook that is being read.
type book struct {
	file   *File
	parts  map[string]*zip.File
	types  map[string]string // part by kind of relation, such as styles
	n      int64             // bytes that were unpacked
	sheet  string
	sheets []string
	part   string // of the sheet
	base   epoch
	styles []style
	texts  texts
}

// otherArchive names an archive that is no workbook.
func (b *book) otherArchive(names []string) error {
	has := func(name string) bool { return b.parts[name] != nil }
	ends := func(suffix string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, suffix) })
	}
	other := func(what, help string) error {
		return &FormatError{"this is " + what + ", not a CSV file or an .xlsx workbook", help}
	}
	const save = "open it and save it as .xlsx, or as CSV UTF-8"
	switch {
	case has("xl/workbook.bin"):
		return other("a binary workbook (.xlsb)", save)
	case ends(".iwa"):
		return other("a document of Numbers, Pages or Keynote", "export it as Excel (.xlsx) or CSV")
	case has("mimetype") && has("content.xml"):
		return other("an OpenDocument file, such as a spreadsheet (.ods)", save)
	case has("word/document.xml"), has("ppt/presentation.xml"):
		return other("a document of Word or PowerPoint", exportHelp)
	case !has("[Content_Types].xml"):
		return other("a zip archive that holds "+list(names), "unpack it, and import the files in it one by one")
	}
	return nil
}

// relation is a line of a .rels part.
type relation struct {
	id, kind, target string
}

// relations reads the relations of a part; none when it has none.
func (b *book) relations(part string) ([]relation, error) {
	dir, name := path.Split(part)
	var all []relation
	rels := dir + "_rels/" + name + ".rels"
	if b.parts[rels] == nil {
		return nil, nil
	}
	err := b.elements(rels, func(e xml.StartElement, _ *tokens) error {
		if e.Name.Local != "Relationship" {
			return nil
		}
		target := attr(e, "Target")
		if strings.HasPrefix(target, "/") {
			target = target[1:]
		} else {
			target = path.Join(dir, target)
		}
		kind := attr(e, "Type")
		all = append(all, relation{attr(e, "Id"), kind[strings.LastIndexByte(kind, '/')+1:], target})
		return nil
	})
	return all, err
}

// open finds the sheet, and reads what its cells refer to.
func (b *book) open(want string) error {
	main := "xl/workbook.xml"
	top, err := b.relations("")
	if err != nil {
		return err
	}
	for _, r := range top {
		if r.kind == "officeDocument" {
			main = r.target
		}
	}
	if b.parts[main] == nil {
		return &FormatError{"this workbook is damaged: its first part is missing", "open it in a spreadsheet and save it again"}
	}
	related, err := b.relations(main)
	if err != nil {
		return err
	}
	sheets := make(map[string]string)
	for _, r := range related {
		if r.kind == "worksheet" {
			sheets[r.id] = r.target
		} else {
			b.types[r.kind] = r.target
		}
	}
	if err := b.findSheet(main, sheets, want); err != nil {
		return err
	}
	if b.styles, err = b.readStyles(); err != nil {
		return err
	}
	return b.readTexts()
}

// findSheet chooses the sheet of that name, or the first that is shown.
func (b *book) findSheet(main string, parts map[string]string, want string) error {
	hidden := false
	err := b.elements(main, func(e xml.StartElement, _ *tokens) error {
		switch e.Name.Local {
		case "workbookPr":
			if v := attr(e, "date1904"); v == "1" || v == "true" {
				b.base = from1904
			}
		case "sheet":
			name, part := attr(e, "name"), parts[attr(e, "id")]
			if b.parts[part] == nil {
				return nil // a sheet that is a chart
			}
			b.sheets = append(b.sheets, name)
			state := attr(e, "state")
			switch shown := state == "" || state == "visible"; {
			case want != "" && strings.EqualFold(strings.TrimSpace(name), strings.TrimSpace(want)),
				want == "" && (b.part == "" || hidden && shown):
				b.sheet, b.part, hidden = name, part, !shown
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case len(b.sheets) == 0:
		return &FormatError{"this workbook has no sheets of cells", "open it in a spreadsheet and save it again"}
	case b.part == "":
		return &FormatError{fmt.Sprintf("the workbook has no sheet %q", want), "its sheets are " + list(b.sheets)}
	}
	return nil
}

// attr is an attribute by its name without a prefix; "" when it is not there.
func attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// maxToken bounds what one element or text of XML may have, which is held in memory.
const maxToken = 8 << 20

// tokens reads a part piece by piece.
type tokens struct {
	*xml.Decoder
	in *tokenReader
}

// tokenReader counts what is unpacked, since the last token and of the whole workbook.
type tokenReader struct {
	r     io.Reader
	b     *book
	token int64
}

func (t *tokenReader) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.b.n += int64(n)
	t.token += int64(n)
	if refused := bomb(t.b.n, t.b.file.original); refused != nil {
		return n, refused
	}
	if t.token > maxToken {
		return n, &FormatError{fmt.Sprintf("this workbook holds a text of more than %d MB", maxToken>>20), "a cell of a spreadsheet holds 32,767 characters; open it and save it again"}
	}
	return n, err
}

// next is the next token, raw. io.EOF ends the part.
func (t *tokens) next() (xml.Token, error) {
	t.in.token = 0
	return t.RawToken()
}

// elements hands on each element that begins in a part.
func (b *book) elements(part string, each func(xml.StartElement, *tokens) error) (err error) {
	p := b.parts[part]
	if p == nil {
		return nil
	}
	r, err := p.Open()
	if err != nil {
		return fmt.Errorf("open %s: %w", part, err)
	}
	defer func() { _ = r.Close() }() // it was only read
	in := &tokenReader{r: r, b: b}
	t := &tokens{xml.NewDecoder(in), in}
	for {
		token, err := t.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", part, err)
		}
		if e, ok := token.(xml.StartElement); ok {
			if err := each(e, t); err != nil {
				return err
			}
		}
	}
}

// text reads the texts within an element that has begun, to its end, without how they are pronounced.
func (t *tokens) text(within string) (string, error) {
	var out strings.Builder
	inText, spoken := false, false
	for {
		token, err := t.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
		switch e := token.(type) {
		case xml.StartElement:
			inText = e.Name.Local == "t"
			spoken = spoken || e.Name.Local == "rPh"
		case xml.EndElement:
			if e.Name.Local == within {
				return unescape(out.String()), nil
			}
			inText = false
			spoken = spoken && e.Name.Local != "rPh"
		case xml.CharData:
			if inText && !spoken {
				out.Write(e)
			}
			if out.Len() > maxToken {
				return "", &FormatError{"this workbook holds a text that is too long", "a cell of a spreadsheet holds 32,767 characters"}
			}
		}
	}
}

// unescape turns _x000D_ and its like, by which workbooks write what XML cannot hold, into the character meant.
func unescape(s string) string {
	if !strings.Contains(s, "_x") {
		return s
	}
	var out strings.Builder
	for {
		i := strings.Index(s, "_x")
		if i < 0 || len(s) < i+7 {
			out.WriteString(s)
			return out.String()
		}
		code, ok := hex(s[i+2 : i+6])
		if !ok || s[i+6] != '_' {
			out.WriteString(s[:i+2])
			s = s[i+2:]
			continue
		}
		out.WriteString(s[:i])
		out.WriteRune(code)
		s = s[i+7:]
	}
}

func hex(s string) (rune, bool) {
	n := rune(0)
	for i := range len(s) {
		switch b := s[i] | 0x20; {
		case s[i] >= '0' && s[i] <= '9':
			n = n<<4 + rune(s[i]-'0')
		case b >= 'a' && b <= 'f':
			n = n<<4 + rune(b-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}
