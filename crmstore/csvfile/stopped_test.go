package csvfile_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore/csvfile"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// numbered is a file of n contacts.
func numbered(n int) string {
	var b strings.Builder
	b.WriteString("Record ID,Email,firstname\n")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "%d,c%d@example.com,Contact %d\n", i, i, i)
	}
	return b.String()
}

// An import that is stopped says exactly what went in, and importing the file again brings in the rest.
func TestImport_stopped(t *testing.T) {
	t.Parallel()
	const n = 70_000
	file := numbered(n)
	trouble, end := errors.New("disk on fire"), len(file)*9/10
	for name, c := range map[string]struct {
		reader func() io.Reader
		want   error
		lines  int
	}{
		"cancelled": {func() io.Reader { return strings.NewReader(file) }, context.Canceled, 1 << 16},
		"read error": {func() io.Reader {
			return &breaksOnceRead{Reader: strings.NewReader(file), end: int64(end), err: trouble}
		}, trouble, strings.Count(file[:end], "\n") - 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := storetest.Open(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			o := options(func(o *csvfile.Options) { o.List = "imported" })
			if errors.Is(c.want, context.Canceled) {
				o.Progress = func(int64) { cancel() }
			}
			r, err := csvfile.Import(ctx, s, c.reader(), o)
			if !errors.Is(err, c.want) || r == nil {
				t.Fatalf("report %v, error %v; want %v", r, err, c.want)
			}
			if r.Lines != c.lines || r.Created != r.Lines || r.LastLine != r.Lines+1 || !strings.Contains(err.Error(), fmt.Sprintf("after line %d", r.LastLine)) {
				t.Errorf("stopped with %s, last line %d, error %v; want %d lines", tally(r), r.LastLine, err, c.lines)
			}
			count, err := s.Count(t.Context(), record.Contact)
			if err != nil || count.Live != int64(r.Created) || r.Listed != r.Created {
				t.Errorf("the store has %d live, %d listed, %v; the report says %d", count.Live, r.Listed, err, r.Created)
			}
			rest := mustImport(t, s, file, options())
			if rest.Unchanged != r.Created || rest.Created != n-r.Created {
				t.Errorf("the second import: %s; want the rest of %d after %d", tally(rest), n, r.Created)
			}
		})
	}
}

// breaksOnceRead is a file on a disk that breaks after the file was read to its end once.
type breaksOnceRead struct {
	*strings.Reader
	end  int64
	err  error
	once bool
}

func (b *breaksOnceRead) Read(p []byte) (int, error) {
	if at := b.Size() - int64(b.Len()); b.once && at < b.end {
		p = p[:min(int64(len(p)), b.end-at)]
	} else if b.once {
		return 0, b.err
	}
	n, err := b.Reader.Read(p)
	b.once = b.once || errors.Is(err, io.EOF)
	return n, err
}

// Progress grows up to the size of the file, also when the file is read twice.
func TestImport_progress(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	file := strings.ReplaceAll(numbered(70_000), "firstname", "Nickname")
	var seen []int64
	mustImport(t, s, file, options(func(o *csvfile.Options) {
		o.CreateProperties = true
		o.Progress = func(n int64) { seen = append(seen, n) }
	}))
	for i := range seen {
		if i > 0 && seen[i] < seen[i-1] {
			t.Errorf("progress goes back: %v", seen)
		}
	}
	if len(seen) < 4 || seen[len(seen)-1] != int64(len(file)) {
		t.Errorf("progress %v, want it to end at %d", seen, len(file))
	}
}
