package csvfile

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/crm-workflow/crm-workflow/crmstore/csvfile/container"
)

// csvRecord is a row taken out of the reader.
type csvRecord struct {
	Line  int
	Cells []string
	Lines []int
	Bad   Code
}

func readRows(r io.Reader) (records []csvRecord, comma byte, err error) {
	file, err := openFile(context.Background(), r, container.Options{})
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	in, err := file.Reader()
	if err != nil {
		return nil, 0, err
	}
	rows, err := openRows(in, file.Sheet != "")
	if err != nil {
		return nil, 0, err
	}
	for {
		row, err := rows.next()
		if errors.Is(err, io.EOF) {
			return records, rows.comma, nil
		}
		if err != nil {
			return records, rows.comma, err
		}
		rec := csvRecord{Line: row.line, Lines: append([]int(nil), row.lines...)}
		text := row.text()
		for i := range row.ends {
			rec.Cells = append(rec.Cells, row.cell(text, i))
		}
		if row.bad != nil {
			rec.Bad = row.bad.Code
		}
		records = append(records, rec)
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		in   string
		want []csvRecord
	}{
		"no line end":      {"a,b\n1,2", []csvRecord{{1, []string{"a", "b"}, []int{1, 1}, ""}, {2, []string{"1", "2"}, []int{2, 2}, ""}}},
		"crlf":             {"a,b\r\n1,2\r\n", []csvRecord{{1, []string{"a", "b"}, []int{1, 1}, ""}, {2, []string{"1", "2"}, []int{2, 2}, ""}}},
		"cr at the end":    {"a\n1\r", []csvRecord{{1, []string{"a"}, []int{1}, ""}, {2, []string{"1"}, []int{2}, ""}}},
		"empty lines":      {"\n\r\na\n\n\n1\n\n", []csvRecord{{3, []string{"a"}, []int{3}, ""}, {6, []string{"1"}, []int{6}, ""}}},
		"empty cells":      {"a,b\n,\n\"\",\n", []csvRecord{{1, []string{"a", "b"}, []int{1, 1}, ""}, {2, []string{"", ""}, []int{2, 2}, ""}, {3, []string{"", ""}, []int{3, 3}, ""}}},
		"trailing comma":   {"a,\n\"1\",", []csvRecord{{1, []string{"a", ""}, []int{1, 1}, ""}, {2, []string{"1", ""}, []int{2, 2}, ""}}},
		"quoted":           {"a\n\"x,\"\"y\"\"\"\n", []csvRecord{{1, []string{"a"}, []int{1}, ""}, {2, []string{`x,"y"`}, []int{2}, ""}}},
		"quoted newlines":  {"a,b,c\n\"1\n2\r\n\r3\",x,\"y\nz\"\n4,5,6\n", []csvRecord{{1, []string{"a", "b", "c"}, []int{1, 1, 1}, ""}, {2, []string{"1\n2\r\n\r3", "x", "y\nz"}, []int{2, 4, 4}, ""}, {6, []string{"4", "5", "6"}, []int{6, 6, 6}, ""}}},
		"bare quote":       {"a,b\n5\" pipe,x\ny,z\n", []csvRecord{{1, []string{"a", "b"}, []int{1, 1}, ""}, {2, []string{`5" pipe`, "x"}, []int{2, 2}, QuoteBare}, {3, []string{"y", "z"}, []int{3, 3}, ""}}},
		"bare cr in cell":  {"a\nx\ry\n", []csvRecord{{1, []string{"a"}, []int{1}, ""}, {2, []string{"x\ry"}, []int{2}, ""}}},
		"semicolons":       {"a;b;c,d\n1;2;3\n", []csvRecord{{1, []string{"a", "b", "c,d"}, []int{1, 1, 1}, ""}, {2, []string{"1", "2", "3"}, []int{2, 2, 2}, ""}}},
		"tabs":             {"a\tb\n1,5\t2\n", []csvRecord{{1, []string{"a", "b"}, []int{1, 1}, ""}, {2, []string{"1,5", "2"}, []int{2, 2}, ""}}},
		"comma in doubt":   {"a;b,c\n", []csvRecord{{1, []string{"a;b", "c"}, []int{1, 1}, ""}}},
		"quoted semicolon": {"\"a;;;\nb;;\",c\n1,2\n", []csvRecord{{1, []string{"a;;;\nb;;", "c"}, []int{1, 2}, ""}, {3, []string{"1", "2"}, []int{3, 3}, ""}}},
		"bom":              {"\xef\xbb\xbfa,b\n", []csvRecord{{1, []string{"a", "b"}, []int{1, 1}, ""}}},
		"bom and quote":    {"\xef\xbb\xbf\"a\",b\n", []csvRecord{{1, []string{"a", "b"}, []int{1, 1}, ""}}},
		"utf-16 le":        {"\xff\xfea\x00,\x00\xe9\x00\n\x00\x31\x00,\x00\x3d\xd8\x00\xde\n\x00", []csvRecord{{1, []string{"a", "é"}, []int{1, 1}, ""}, {2, []string{"1", "😀"}, []int{2, 2}, ""}}},
		"utf-16 be":        {"\xfe\xff\x00a\x00,\x00\xe9\x00\r\x00\n\x00\x31\x00,\x00\x32", []csvRecord{{1, []string{"a", "é"}, []int{1, 1}, ""}, {2, []string{"1", "2"}, []int{2, 2}, ""}}},
		"nothing":          {"", nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _, err := readRows(strings.NewReader(c.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRows_broken(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		in   string
		code Code
		line int
		good int // records before it
	}{
		"never closed":       {"a,b\n1,2\n3,\"four\n5,6\n7,8\n", QuoteOpen, 3, 2},
		"never closed, late": {"a,b\n\"1\n1\",\"2\n3,four\n", QuoteOpen, 3, 1},
		"closed in a cell":   {"a,b\n1,\"x\ny\" z\n3,4\n", QuoteOpen, 2, 1},
		"too long a quote":   {"a\n\"" + strings.Repeat("x\n", maxRecord/2+1), QuoteOpen, 2, 1},
		"too long a line":    {"a\n1\n" + strings.Repeat("x", maxRecord+bufferSize), LineTooLong, 3, 2},
		"workbook":           {"PK\x03\x04rest", FileEncoding, 0, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _, err := readRows(strings.NewReader(c.in))
			var b *brokenError
			if !errors.As(err, &b) {
				t.Fatalf("error %v, want a finding", err)
			}
			if b.finding.Code != c.code || b.finding.Line != c.line || len(got) != c.good || b.finding.Help == "" {
				t.Errorf("%d records, then %+v; want %d, then %s on line %d", len(got), b.finding, c.good, c.code, c.line)
			}
		})
	}
}

func TestRows_readError(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 10} {
		trouble := errors.New("disk on fire")
		_, _, err := readRows(io.MultiReader(strings.NewReader(strings.Repeat("a,\"b\n", n)), &failing{trouble}))
		if !errors.Is(err, trouble) {
			t.Errorf("after %d lines: error %v, want the reader's", n, err)
		}
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// cells draws texts that are hard on a CSV reader.
func cells() *rapid.Generator[string] {
	return rapid.StringOfN(rapid.SampledFrom([]rune{'a', 'é', '"', ',', '\n', '\r', ';', '\t', ' ', '=', '😀', '\u2028', '\ufeff', '\\', '.'}), 0, 8, -1)
}

// What a CSV writer writes is read back exactly, with the lines that one finds by counting line feeds.
func TestRows_roundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(2, 4).Draw(t, "width")
		table := rapid.SliceOfN(rapid.SliceOfN(cells(), width, width), 0, 6).Draw(t, "table")
		crlf := rapid.Bool().Draw(t, "crlf")
		var file bytes.Buffer
		header := append([]string{"h1", "h2"}, make([]string, width-2)...)
		file.WriteString(strings.Join(header, ",") + "\n")
		want := []csvRecord{{Line: 1, Cells: header}}
		for _, cells := range table {
			want = append(want, csvRecord{Line: 1 + bytes.Count(file.Bytes(), []byte("\n")), Cells: cells})
			w := csv.NewWriter(&file)
			if err := w.Write(cells); err != nil {
				t.Fatal(err)
			}
			w.Flush()
			if crlf {
				file.Truncate(file.Len() - 1)
				file.WriteString("\r\n")
			}
		}
		got, _, err := readRows(&file)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			got[i].Lines = nil
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", file.String(), diff)
		}
	})
}

// Where encoding/csv understands a file, we read the same cells on the same lines.
func FuzzRows(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "a\n\"x\ny\"\nz\n", "\"a\"\"b\",\n\n\r\nx", "a,\"b\nc", "a;b\n1;2", "a\tb\n\"", "x\ry\n", "\"\n\"\r\n,", "\xff,b\n", "a\r"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, comma, err := readRows(bytes.NewReader(data))
		if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) || bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) ||
			bytes.HasPrefix(data, []byte("PK")) || len(data) > maxRecord || bytes.ContainsAny(data, "\r\x00") ||
			!utf8.Valid(data) || bytes.HasPrefix(bytes.ToLower(data), []byte("sep=")) {
			return // what encoding/csv does not know, or changes; the container reads other encodings
		}
		theirs := csv.NewReader(bytes.NewReader(data))
		theirs.Comma, theirs.FieldsPerRecord = rune(comma), -1
		for i := 0; ; i++ {
			cells, theirErr := theirs.Read()
			if errors.Is(theirErr, io.EOF) {
				if i != len(got) || err != nil {
					t.Fatalf("%d records, error %v; encoding/csv reads %d", len(got), err, i)
				}
				return
			}
			if theirErr != nil {
				if err == nil && (i >= len(got) || got[i].Bad == "") {
					t.Fatalf("record %d is fine; encoding/csv says %v", i, theirErr)
				}
				return
			}
			if i >= len(got) {
				t.Fatalf("%d records, error %v; encoding/csv reads %q next", len(got), err, cells)
			}
			line, _ := theirs.FieldPos(0)
			if diff := cmp.Diff(cells, got[i].Cells); diff != "" || line != got[i].Line || got[i].Bad != "" {
				t.Fatalf("record %d on line %d (%s), encoding/csv says line %d (-theirs +ours):\n%s", i, got[i].Line, got[i].Bad, line, diff)
			}
			for j := range cells {
				if line, _ := theirs.FieldPos(j); line != got[i].Lines[j] {
					t.Fatalf("cell %d of record %d on line %d, encoding/csv says %d", j, i, got[i].Lines[j], line)
				}
			}
		}
	})
}

func BenchmarkRows(b *testing.B) {
	var file bytes.Buffer
	for i := range 100_000 {
		fmt.Fprintf(&file, "%d,customer-%05d@cdnow.example,1997-01-01,1997-01-01,1,1,11.77\n", i, i)
	}
	b.SetBytes(int64(file.Len()))
	for b.Loop() {
		rows, err := openRows(bytes.NewReader(file.Bytes()), false)
		for err == nil {
			_, err = rows.next()
		}
		if !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
	}
}
