package diag

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/crm-workflow/crm-workflow/workflow/terminal"
)

func TestPrinter_Print(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 200) + "HERE" + strings.Repeat("b", 200)
	for name, c := range map[string]struct {
		line     string
		from, to int // columns; to 0 = unknown
		want     string
	}{
		"plain":             {`    where: stage_ == "lead"`, 12, 18, "   1 |     where: stage_ == \"lead\"\n     |            ^~~~~~\n"},
		"one character":     {`abc`, 2, 3, "   1 | abc\n     |  ^\n"},
		"unknown end":       {`abc`, 2, 0, "   1 | abc\n     |  ^\n"},
		"end of the line":   {`abc`, 4, 4, "   1 | abc\n     |    ^\n"},
		"beyond the line":   {`abc`, 40, 44, "   1 | abc\n     |    ^\n"},
		"empty line":        {``, 1, 1, "   1 |\n     | ^\n"},
		"wide characters":   {`名前 == x`, 7, 8, "   1 | 名前 == x\n     |         ^\n"},
		"on wide ones":      {`a名前`, 2, 4, "   1 | a名前\n     |  ^~~~\n"},
		"emoji":             {`"😀" x`, 5, 6, "   1 | \"😀\" x\n     |      ^\n"},
		"combining mark":    {"e\u0301 x", 4, 5, "   1 | e\u0301 x\n     |   ^\n"},
		"tabs":              {"\ta\tb", 4, 5, "   1 |     a   b\n     |         ^\n"},
		"control character": {"a\x1b[31mb", 7, 8, "   1 | a\ufffd[31mb\n     |       ^\n"},
		"long line":         {long, 201, 205, "   1 | …" + strings.Repeat("a", 40) + "HERE" + strings.Repeat("b", 76) + "…\n     | " + strings.Repeat(" ", 41) + "^~~~\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := Finding{Code: UnknownKey, File: "f", Pos: Pos{1, c.from}, Message: "m"}
			if c.to > 0 {
				f.End = Pos{1, c.to}
			}
			var b bytes.Buffer
			if err := (Printer{Sources: map[string][]byte{"f": []byte(c.line + "\r\n")}}).Print(&b, List{f}); err != nil {
				t.Fatal(err)
			}
			_, got, _ := strings.Cut(b.String(), "\n")
			if got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

func TestPrinter_WholeFinding(t *testing.T) {
	t.Parallel()
	text := "workflow: a\nlabel: b\nlabel: c\n"
	l := List{
		{Code: UnknownKey, File: "a.yaml", Pos: Pos{2, 1}, End: Pos{2, 6}, Message: `unknown key "label"`, Help: "did you mean \"title\"?\nor leave it out"},
		{Code: AlwaysTrue, File: "a.yaml", Pos: Pos{2, 8}, End: Pos{3, 3}, Message: "over two lines"},
		{Code: Empty, File: "empty.yaml", Message: "nothing \x1b[2J here"},
	}
	want := `a.yaml:2:1: unknown key "label" [WF110]
   2 | label: b
     | ^~~~~
     = did you mean "title"?
       or leave it out
a.yaml:2:8: warning: over two lines [WF121]
   2 | label: b
     |        ^
empty.yaml: nothing ` + "\ufffd" + `[2J here [WF106]
`
	var b bytes.Buffer
	p := Printer{Sources: map[string][]byte{"a.yaml": []byte(text)}}
	if err := p.Print(&b, l); err != nil {
		t.Fatal(err)
	}
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &b, want)
	}
	b.Reset()
	p.Short = true
	if err := p.Print(&b, l[:1]); err != nil || b.String() != "a.yaml:2:1: unknown key \"label\" [WF110]\n" {
		t.Errorf("short: %v, %s", err, &b)
	}
	b.Reset()
	p.Short, p.Color = false, true
	if err := p.Print(&b, l[:1]); err != nil || !strings.Contains(b.String(), terminal.Cyan.Paint("^~~~~")) {
		t.Errorf("coloured: %v, %q", err, b.String())
	}
}

type broken struct{ error }

func (b broken) Write([]byte) (int, error) { return 0, b.error }

func TestPrinter_SaysThatTheWriterFailed(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	if err := (Printer{}).Print(broken{full}, List{{Code: Empty}}); !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
}
