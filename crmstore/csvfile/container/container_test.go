package container

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"pgregory.net/rapid"
)

// read opens a file, as one that can be wound back and as one that cannot, and reads its text twice.
func read(t *testing.T, file []byte, o Options) (text string, info Info, err error) {
	t.Helper()
	for i, r := range []io.Reader{bytes.NewReader(file), io.MultiReader(bytes.NewReader(file))} {
		f, e := Open(t.Context(), r, o)
		if i > 0 && fmt.Sprint(e) != fmt.Sprint(err) {
			t.Errorf("as a stream: %v; as a file: %v", e, err)
		}
		if err = e; err != nil {
			continue
		}
		for range 2 {
			in, err := f.Reader()
			if err != nil {
				t.Fatal(err)
			}
			all, err := io.ReadAll(in)
			if err != nil {
				t.Fatal(err)
			}
			if text != "" && text != string(all) {
				t.Errorf("read again as %q, want %q", all, text)
			}
			text, info = string(all), f.Info
			if n := in.Bytes(); len(all) > 0 && (n < int64(len(file))-3 || n > int64(len(file))) {
				t.Errorf("at the end %d bytes are dealt with, want %d", n, len(file))
			}
		}
		f.Close()
	}
	return text, info, err
}

func encoded(t *testing.T, e encoding.Encoding, s string) []byte {
	t.Helper()
	b, err := e.NewEncoder().Bytes([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func packed(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Texts of western Europe are told apart by the words that their letters make.
func TestOpen_encodings(t *testing.T) {
	t.Parallel()
	late := "Email,City\n" + strings.Repeat("a@x.example,Ulm\n", 40_000)
	for name, text := range map[string]string{
		"German":     "E-Mail;Ort\na@x.example;Köln, Straße, Übersee, Ärzte, Öl\nb@x.example;Jürgen Größe\n",
		"French":     "Email,Ville\na@x.example,Orléans à côté de l’École, Besançon\nb@x.example,Âge\n",
		"Spanish":    "Email,Ciudad\na@x.example,José García Muñoz\nb@x.example,¿Málaga?\n",
		"Portuguese": "Email\na@x.example,São João, Conceição, Gonçalves\n",
		"Danish":     "Email,By\na@x.example,Østerbro på Ærø i Århus\n",
		"capitals":   "EMAIL,ORT\na@x.example,MÜLLER GRÖSSE JOSÉ\n",
		"euro":       "Email,Revenue\na@x.example,€ 1.234\n",
		"late":       late + "z@x.example,Köln\n",
	} {
		for _, e := range guessed {
			t.Run(name+" in "+e.name, func(t *testing.T) {
				t.Parallel()
				got, info, err := read(t, encoded(t, e.set, text), Options{})
				if err != nil || got != text || info.Encoding != e.name {
					t.Errorf("read as %s: %.80q, %v; want %.80q", info.Encoding, got, err, text)
				}
			})
		}
		got, info, err := read(t, []byte(text), Options{})
		if err != nil || got != text || info.Encoding != utf8Name {
			t.Errorf("%s in UTF-8: read as %s: %.80q, %v", name, info.Encoding, got, err)
		}
	}
}

// What is not certain is asked, and can be said.
func TestOpen_encodingAsked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set  *charmap.Charmap
		text string
	}{
		"windows-1250": {charmap.Windows1250, "Email,Město\na@x.example,Žďár nad Sázavou, Łódź, Kraków Śródmieście\n"},
		"windows-1251": {charmap.Windows1251, "Email,Город\na@x.example,Москва, Санкт-Петербург\n"},
		"iso-8859-7":   {charmap.ISO8859_7, "Email,Πόλη\na@x.example,Θεσσαλονίκη\n"},
	} {
		file := encoded(t, c.set, c.text)
		_, _, err := read(t, file, Options{})
		if e, ok := errors.AsType[*FormatError](err); !ok || !strings.Contains(e.Help, "--encoding") || !strings.Contains(e.What, "in Mac Roman") {
			t.Errorf("%s: %v, want a question", name, err)
		}
		got, info, err := read(t, file, Options{Encoding: name})
		if err != nil || got != c.text || info.Encoding != name {
			t.Errorf("%s as said: %q %v, %v", name, got, info, err)
		}
	}
	if _, _, err := read(t, []byte("a"), Options{Encoding: "klingon"}); err == nil || !strings.Contains(err.Error(), `no encoding is named "klingon"`) {
		t.Errorf("an unknown encoding: %v", err)
	}
}

func TestOpen_texts(t *testing.T) {
	t.Parallel()
	u16 := func(e unicode.Endianness) []byte {
		return encoded(t, unicode.UTF16(e, unicode.UseBOM), "Email\tOrt\r\na@x.example\tKöln\r\n")
	}
	tabs := "Email\tOrt\r\na@x.example\tKöln\r\n"
	for name, c := range map[string]struct {
		file []byte
		o    Options
		want string
		info Info
	}{
		"BOM":                  {[]byte(bom + "Email\na"), Options{}, "Email\na", Info{Encoding: utf8Name}},
		"BOM, said":            {[]byte(bom + "Email\na"), Options{Encoding: "utf8"}, "Email\na", Info{Encoding: utf8Name}},
		"UTF-16 LE":            {u16(unicode.LittleEndian), Options{}, tabs, Info{Encoding: "UTF-16"}},
		"UTF-16 BE":            {u16(unicode.BigEndian), Options{}, tabs, Info{Encoding: "UTF-16"}},
		"returns alone":        {[]byte("Email\ra\rb"), Options{}, "Email\na\nb", Info{Encoding: utf8Name}},
		"returns, Mac":         {encoded(t, charmap.Macintosh, "Ort\rKöln\r"), Options{}, "Ort\nKöln\n", Info{Encoding: "Mac Roman"}},
		"damaged UTF-8":        {[]byte("Ort\nKöln\nMünchen\nF\xfcrth\n"), Options{}, "Ort\nKöln\nMünchen\nF\xfcrth\n", Info{Encoding: utf8Name}},
		"gzip":                 {packed(t, []byte("Email\na")), Options{}, "Email\na", Info{Gzip: true, Encoding: utf8Name}},
		"gzip of Windows-1252": {packed(t, encoded(t, charmap.Windows1252, "Ort\nKöln")), Options{}, "Ort\nKöln", Info{Gzip: true, Encoding: "Windows-1252"}},
		"nothing":              {nil, Options{}, "", Info{Encoding: utf8Name}},
	} {
		got, info, err := read(t, c.file, c.o)
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
		if diff := cmp.Diff(c.info, info); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// zipOf is a zip archive.
func zipOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for name, text := range files {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// What is no CSV file and no workbook is named for what it is, with what to do instead.
func TestOpen_otherFormats(t *testing.T) {
	t.Parallel()
	sheet := workbook(t, func(f *excelize.File) {})
	for name, c := range map[string]struct {
		file []byte
		o    Options
		want string
	}{
		"vCard":         {[]byte("BEGIN:VCARD\r\nVERSION:3.0\r\n"), Options{}, "a vCard"},
		"vCard, BOM":    {[]byte(bom + "begin:vcard\r\n"), Options{}, "a vCard"},
		"xls":           {[]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest"), Options{}, "an old Excel workbook (.xls)"},
		"page":          {[]byte("<html><table>"), Options{}, "a page"},
		"rar":           {[]byte("Rar!\x1a\x07\x01"), Options{}, "a RAR archive"},
		"7z":            {[]byte("7z\xbc\xaf\x27\x1crest"), Options{}, "a 7-Zip archive"},
		"tar":           {append(make([]byte, tarAt), "ustar\x00"...), Options{}, "a tar archive"},
		"JSON":          {[]byte(`[{"email":"a"}]`), Options{}, "JSON"},
		"PDF":           {[]byte("%PDF-1.7"), Options{}, "a PDF"},
		"zip":           {zipOf(t, map[string]string{"subscribed.csv": "Email"}), Options{}, "a zip archive that holds subscribed.csv"},
		"ods":           {zipOf(t, map[string]string{"mimetype": "x", "content.xml": ""}), Options{}, "an OpenDocument file"},
		"xlsb":          {zipOf(t, map[string]string{"xl/workbook.bin": ""}), Options{}, "a binary workbook (.xlsb)"},
		"numbers":       {zipOf(t, map[string]string{"Index/Document.iwa": ""}), Options{}, "a document of Numbers"},
		"docx":          {zipOf(t, map[string]string{"word/document.xml": "", "[Content_Types].xml": ""}), Options{}, "a document of Word"},
		"empty zip":     {zipOf(t, nil), Options{}, "a zip archive"},
		"cut zip":       {sheet[:len(sheet)/2], Options{}, "damaged or cut off"},
		"cut gzip":      {packed(t, []byte(strings.Repeat("Email,x\n", 999)))[:20], Options{}, "damaged or cut off"},
		"gzip twice":    {packed(t, packed(t, []byte("x"))), Options{}, "a gzip file within a gzip file"},
		"sheet of text": {[]byte("Email"), Options{Sheet: "People"}, "has no sheets"},
		"no such sheet": {sheet, Options{Sheet: "Peeple"}, "its sheets are Sheet1"},
		"encoded sheet": {sheet, Options{Encoding: "utf-8"}, "no encoding to name"},
	} {
		_, _, err := read(t, c.file, c.o)
		if e, ok := errors.AsType[*FormatError](err); !ok || !strings.Contains(e.Error(), c.want) || e.Help == "" {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// workbook is a workbook as an independent program writes it.
func workbook(t *testing.T, fill func(*excelize.File)) []byte {
	t.Helper()
	f := excelize.NewFile()
	fill(f)
	var out bytes.Buffer
	if _, err := f.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestOpen_workbook(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 3, 25, 14, 30, 5, 250e6, time.UTC)
	file := workbook(t, func(f *excelize.File) {
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		set := func(cell string, v any, format string) {
			must(f.SetCellValue("Sheet1", cell, v))
			if format != "" {
				n, err := f.NewStyle(&excelize.Style{CustomNumFmt: &format})
				must(err)
				must(f.SetCellStyle("Sheet1", cell, cell, n))
			}
		}
		must(f.SetSheetRow("Sheet1", "A2", &[]any{"Email", "Value", "Last"}))
		for i, c := range []struct {
			v      any
			format string
		}{
			{at, "dd/mm/yyyy"},                               // 3: a day with a time all the same
			{45376, `[$-409]d\-mmm\-yy;@`},                   // 4
			{45376.5, "m/d/yy h:mm AM/PM"},                   // 5
			{45376, "yyyy-mm-dd hh:mm"},                      // 6
			{0, "yyyy-mm-dd"},                                // 7: no date
			{0.75, "h:mm"},                                   // 8
			{1.5, "[h]:mm:ss"},                               // 9
			{0.125, "0.0%"},                                  // 10
			{1234.5, `#,##0.00 "days of the year"`},          // 11
			{1.234, ""},                                      // 12
			{2139, "00000"},                                  // 13
			{1e300, ""},                                      // 14
			{true, ""},                                       // 15
			{"a, \"b\"\nc", ""},                              // 16
			{"\x1f1", ""},                                    // 17
			{"_y0041_", ""},                                  // 18
			{" blanks ", ""},                                 // 19
			{9007199254740993, "0"},                          // 20
			{-45376, "yyyy-mm-dd"},                           // 21: spreadsheets show ####
			{61, "yyyy-mm-dd"}, {1, "yyyy-mm-dd"}, {60, "d"}, // 22 to 24
		} {
			set(fmt.Sprintf("B%d", 3+i), c.v, c.format)
			set(fmt.Sprintf("A%d", 3+i), fmt.Sprintf("r%d", 3+i), "")
		}
		must(f.SetCellFormula("Sheet1", "B26", "A1+1"))
		must(f.SetCellRichText("Sheet1", "B27", []excelize.RichTextRun{{Text: "one "}, {Text: "two", Font: &excelize.Font{Bold: true}}}))
		set("D28", "beyond", "")
		_, err := f.NewSheet("Other")
		must(err)
		must(f.SetSheetRow("Other", "A1", &[]any{"Name"}))
		_, err = f.NewSheet("Hidden")
		must(err)
		must(f.SetSheetVisible("Hidden", false))
	})
	want := strings.Join([]string{
		"", "Email,Value,Last", "r3,2024-03-25T14:30:05.25,", "r4,2024-03-25,", "r5,2024-03-25T12:00:00,", "r6,2024-03-25T00:00:00,", "r7,1900-01-00,", "r8,18:00:00,",
		"r9,36:00:00,", "r10,\x1f12.5%,", "r11,\x1f1234.5,", "r12,\x1f1.234,", "r13,02139,", "r14,\x1f1e+300,", "r15,true,", "r16,\"a, \"\"b\"\"\nc\",",
		"r17,�1,", "r18,_y0041_,", "r19, blanks ,", "r20,\x1f9007199254740992,", "r21,\x1f-45376,", "r22,1900-03-01,", "r23,1900-01-01,", "r24,1900-02-29,",
		"", ",\x1ea formula that was never calculated,", ",one two,", ",,,beyond", "",
	}, "\n")
	got, info, err := read(t, file, Options{})
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("(-want +got):\n%s\n%v", diff, err)
	}
	if diff := cmp.Diff(Info{Sheet: "Sheet1", Sheets: []string{"Sheet1", "Other", "Hidden"}}, info); diff != "" {
		t.Errorf("info (-want +got):\n%s", diff)
	}
	if got, info, err = read(t, packed(t, file), Options{Sheet: "other"}); got != "Name\n" || info.Sheet != "Other" || err != nil {
		t.Errorf("the other sheet, gzipped: %q %+v, %v", got, info, err)
	}
}

// Workbooks of other programs: cells without places, texts within cells, errors, the calendar of old Macs.
func TestOpen_rawWorkbook(t *testing.T) {
	t.Parallel()
	parts := map[string]string{
		"[Content_Types].xml":      "<Types/>",
		"_rels/.rels":              `<Relationships><Relationship Id="r1" Type="http://x/officeDocument" Target="/book/main.xml"/></Relationships>`,
		"book/main.xml":            `<x:workbook xmlns:x="y"><x:workbookPr date1904="true"/><x:sheets><x:sheet name="H" state="hidden" r:id="a"/><x:sheet name="S" r:id="b"/></x:sheets></x:workbook>`,
		"book/_rels/main.xml.rels": `<R><Relationship Id="a" Type="t/worksheet" Target="h.xml"/><Relationship Id="b" Type="t/worksheet" Target="s.xml"/><Relationship Id="c" Type="t/styles" Target="st.xml"/><Relationship Id="d" Type="t/sharedStrings" Target="ss.xml"/></R>`,
		"book/h.xml":               `<worksheet/>`,
		"book/st.xml":              `<s><numFmts/><cellStyleXfs><xf numFmtId="9"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="22"/></cellXfs></s>`,
		"book/ss.xml":              `<sst><si><t>東京</t><rPh><t>トウキョウ</t></rPh></si><si><r><t>a_x000D_</t></r><r><t xml:space="preserve"> b</t></r></si></sst>`,
		"book/s.xml": `<worksheet><sheetData><row><c t="s"><v>0</v></c><c t="inlineStr"><is><t>x&amp;y</t></is></c><c t="str"><f>A1</f><v>z</v></c></row>` +
			`<row><c s="1"><v>1</v></c><c s="2"><v>0.5</v></c><c t="e"><v>#N/A</v></c></row><row><c t="b"><v>0</v></c><c t="d"><v>2024-03-25</v></c><c t="s"><v>1</v></c></row></sheetData></worksheet>`,
	}
	want := "東京,x&y,z\n1904-01-02,1904-01-01T12:00:00,\x1ethe error #N/A\nfalse,2024-03-25,\"a\r b\"\n"
	got, info, err := read(t, zipOf(t, parts), Options{})
	if got != want || info.Sheet != "S" || err != nil {
		t.Errorf("%q %+v, %v; want %q", got, info, err, want)
	}
	for name, sheet := range map[string]string{
		"text":   `<worksheet><row><c t="s"><v>7</v></c></row></worksheet>`,
		"number": `<worksheet><row><c><v>many</v></c></row></worksheet>`,
		"row":    `<worksheet><row r="3"/><row r="2"><c><v>1</v></c></row><row r="2"/></worksheet>`,
		"cell":   `<worksheet><row><c r="B1"/><c r="A1"/></row></worksheet>`,
		"column": `<worksheet><row><c r="ZZZZZ1"/></row></worksheet>`,
		"cut":    `<worksheet><row><c><v>1</v>`,
		"xml":    `<worksheet><row><c <v>1</v></c></row>`,
	} {
		parts["book/s.xml"] = sheet
		_, _, err := read(t, zipOf(t, parts), Options{})
		if name == "row" && err == nil {
			continue
		}
		if _, ok := errors.AsType[*FormatError](err); !ok || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %v, want that the workbook is damaged", name, err)
		}
	}
}

// zeros are bytes without end.
type zeros struct{ b byte }

func (z zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = z.b
	}
	return len(p), nil
}

// A file that unpacks to far more than it is, is refused before it fills memory or disk.
func TestOpen_bombs(t *testing.T) {
	t.Parallel()
	var gz bytes.Buffer
	z := gzip.NewWriter(&gz)
	if _, err := io.CopyN(z, zeros{'a'}, smallUnpacked*5/4); err != nil {
		t.Fatal(err)
	}
	_ = z.Close() // into memory
	sheet := func(part string) []byte {
		var out bytes.Buffer
		w := zip.NewWriter(&out)
		for name, text := range map[string]string{
			"[Content_Types].xml": "<Types/>", "xl/workbook.xml": `<w><sheets><sheet name="S" id="a"/></sheets></w>`,
			"xl/_rels/workbook.xml.rels": `<R><Relationship Id="a" Type="t/worksheet" Target="s.xml"/><Relationship Id="d" Type="t/sharedStrings" Target="ss.xml"/></R>`,
			"xl/s.xml":                   "<worksheet/>", "xl/ss.xml": "<sst/>",
		} {
			f, err := w.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			if name != part {
				_, _ = io.WriteString(f, text) // into memory
				continue
			}
			_, _ = io.WriteString(f, "<worksheet><sst><si><row><c>") // into memory
			piece := strings.Repeat("<v>1</v></c><c>", 1000)
			for range smallUnpacked * 5 / 4 / len(piece) {
				_, _ = io.WriteString(f, piece) // into memory
			}
		}
		_ = w.Close() // into memory
		return out.Bytes()
	}
	long := workbook(t, func(f *excelize.File) {
		text := strings.Repeat("long ", 6000)
		for row := range 1500 {
			if err := f.SetCellStr("Sheet1", fmt.Sprintf("A%d", row+1), text); err != nil {
				t.Fatal(err)
			}
		}
	})
	for name, file := range map[string][]byte{"gzip": gz.Bytes(), "sheet": sheet("xl/s.xml"), "texts": sheet("xl/ss.xml"), "one long text": long} {
		_, _, err := read(t, file, Options{})
		if e, ok := errors.AsType[*FormatError](err); !ok || !strings.Contains(e.Error(), "unpacks to more than") && !strings.Contains(e.Error(), "too many cells") {
			t.Errorf("%s of %d bytes: %v, want a refusal", name, len(file), err)
		}
	}
	one := zipOf(t, map[string]string{
		"[Content_Types].xml": "<Types/>", "xl/workbook.xml": `<w a="` + strings.Repeat("x", maxToken+10_000) + `">`,
	})
	if _, _, err := read(t, one, Options{}); err == nil || !strings.Contains(err.Error(), "holds a text of more than") {
		t.Errorf("a long attribute: %v", err)
	}
}

// Texts beyond what is kept in memory are read back from the temporary file.
func TestTexts_onDisk(t *testing.T) {
	t.Parallel()
	f, x := &File{}, &texts{}
	defer f.Close()
	random := rand.New(rand.NewPCG(1, 2))
	size := func(i int) int { return i * 7919 % 30_000 }
	for i := range 9000 {
		if err := x.add(f, strings.Repeat(string(rune('a'+i%26)), size(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.flush(); err != nil || x.disk == nil || len(x.memory) > textsInMemory {
		t.Fatalf("%d bytes in memory, %v", len(x.memory), err)
	}
	for range 1000 {
		i := random.IntN(9000)
		if s, ok, err := x.get(i); err != nil || !ok || s != strings.Repeat(string(rune('a'+i%26)), size(i)) {
			t.Fatalf("text %d has %d bytes, %v %v", i, len(s), ok, err)
		}
	}
}

// What is written into a workbook is read back, whatever it is.
func TestWorkbook_roundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var rows [][]any
		for range rapid.IntRange(1, 5).Draw(t, "rows") {
			rows = append(rows, rapid.SliceOfN(rapid.OneOf(
				rapid.Custom(func(t *rapid.T) any {
					return rapid.StringOf(rapid.RuneFrom([]rune("aé東\"\n\r\t ,;|=_x0D41F😀<&>'"))).Draw(t, "text")
				}),
				rapid.Custom(func(t *rapid.T) any { return rapid.Float64().Draw(t, "number") }),
				rapid.Custom(func(t *rapid.T) any { return rapid.Bool().Draw(t, "yes") }),
				rapid.Custom(func(t *rapid.T) any {
					return Day(time.Date(1, 1, rapid.IntRange(1, 3_652_000).Draw(t, "day"), 0, 0, 0, 0, time.UTC))
				}),
				rapid.Custom(func(t *rapid.T) any {
					return time.UnixMilli(rapid.Int64Range(-62_135_596_800_000, 253_402_300_799_999).Draw(t, "ms")).UTC()
				}),
			), 3, 3).Draw(t, "row"))
		}
		b, err := NewWorkbook("people")
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		want := [][]string{}
		for _, row := range append([][]any{{"A", "B", "C"}}, rows...) {
			if err := b.Write(row); err != nil {
				t.Fatal(err)
			}
			want = append(want, asText(row))
		}
		var out bytes.Buffer
		if err := b.Finish(&out); err != nil {
			t.Fatal(err)
		}
		f, err := Open(t.Context(), bytes.NewReader(out.Bytes()), Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		got := readBack(t, f)
		for len(want) > len(got) && want[len(want)-1] == nil { // empty rows at the end are not there
			want = want[:len(want)-1]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// What a sheet cannot hold is an error, and nothing is cut off.
func TestWorkbook_refuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cell any
		want string
	}{
		"long text": {strings.Repeat("é", maxCellText+1), "holds 32767 characters"},
		"control":   {"a\x01b", "control character"},
		"infinite":  {math.Inf(1), "number"},
	} {
		b, err := NewWorkbook("people")
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Write([]any{"x", c.cell}); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "column 2") {
			t.Errorf("%s: %v", name, err)
		}
		b.Close()
	}
}

// asText is a row as it is to be read back.
func asText(row []any) []string {
	out := make([]string, len(row))
	for i, c := range row {
		switch v := c.(type) {
		case string:
			out[i] = v
		case float64:
			out[i] = plain(v + 0) // there is no cell of -0
			if _, isText := numberCell(v).(string); !isText {
				out[i] = "\x1f" + out[i]
			}
			if n, err := strconv.ParseFloat(strings.TrimPrefix(out[i], "\x1f"), 64); err != nil || n != v {
				out[i] = "not the same number"
			}
		case bool:
			out[i] = fmt.Sprint(v)
		case Day:
			out[i] = time.Time(v).Format(time.DateOnly)
		case time.Time:
			out[i] = v.Format("2006-01-02T15:04:05.999")
		}
	}
	if strings.Join(out, "") == "" {
		return nil // an empty line
	}
	return out
}

// readBack takes the lines of a sheet apart, except empty ones at the end.
func readBack(t *rapid.T, f *File) [][]string {
	in, err := f.Reader()
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	rows, text := [][]string{}, string(all)
	for text != "" {
		var row []string
		for more := true; more; {
			var cell string
			if strings.HasPrefix(text, `"`) {
				var b strings.Builder
				for text = text[1:]; ; {
					before, rest, _ := strings.Cut(text, `"`)
					b.WriteString(before)
					if text = rest; !strings.HasPrefix(text, `"`) {
						break
					}
					b.WriteByte('"')
					text = text[1:]
				}
				cell = b.String()
			} else {
				i := strings.IndexAny(text, ",\n")
				cell, text = text[:i], text[i:]
			}
			row, more, text = append(row, cell), text[0] == ',', text[1:]
		}
		if strings.Join(row, "") == "" {
			row = nil
		}
		rows = append(rows, row)
	}
	return rows
}
