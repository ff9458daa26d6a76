package diag

import (
	"strings"
	"testing"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"
)

func TestSource_LinesAndPlaces(t *testing.T) {
	t.Parallel()
	s := NewSource("f", []byte("\xef\xbb\xbfab\r\n\nné€x"))
	for n, want := range []string{"", "ab", "", "né€x", ""} {
		if got := string(s.Line(n)); got != want {
			t.Errorf("Line(%d) = %q, want %q", n, got, want)
		}
	}
	if s.Lines() != 3 {
		t.Errorf("Lines() = %d, want 3", s.Lines())
	}
	for offset, want := range map[int]Pos{-1: {1, 1}, 0: {1, 1}, 2: {1, 3}, 4: {2, 1}, 5: {3, 1}, 6: {3, 2}, 8: {3, 3}, 11: {3, 4}, 99: {3, 5}} {
		if got := s.Pos(offset); got != want {
			t.Errorf("Pos(%d) = %v, want %v", offset, got, want)
		}
		if offset >= 0 && offset < 99 {
			if got := s.Offset(want); got != offset {
				t.Errorf("Offset(%v) = %d, want %d", want, got, offset)
			}
		}
	}
}

// scalarOf parses a YAML file and gives the text of its last scalar.
func scalarOf(t interface{ Fatalf(string, ...any) }, file string) (*Source, Text, ScalarStyle) {
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(file), &n); err != nil {
		t.Fatalf("%v in %q", err, file)
	}
	last := &n
	for len(last.Content) > 0 {
		last = last.Content[len(last.Content)-1]
	}
	style := Plain
	switch {
	case last.Style&yaml.SingleQuotedStyle != 0:
		style = SingleQuoted
	case last.Style&yaml.DoubleQuotedStyle != 0:
		style = DoubleQuoted
	case last.Style&yaml.LiteralStyle != 0:
		style = Literal
	case last.Style&yaml.FoldedStyle != 0:
		style = Folded
	}
	s := NewSource("f", []byte(file))
	return s, s.Scalar(Pos{last.Line, last.Column}, style, last.Value), style
}

func TestSource_Scalar(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file string
		find string // in the value
		want Pos
	}{
		"plain":                           {"a: x == foo && y\n", "foo", Pos{1, 9}},
		"plain after wide characters":     {"- [名前, b == foo]\n", "foo", Pos{1, 13}},
		"plain with wide characters":      {"a: 名前 == foo\n", "foo", Pos{1, 10}},
		"plain over two lines":            {"a: x ==   \n    foo\n", "foo", Pos{2, 5}},
		"plain over a blank line":         {"a: x ==\n\n   foo\n", "foo", Pos{3, 4}},
		"plain, Windows line ends":        {"b: 1\r\na: x ==\r\n   foo\r\n", "foo", Pos{3, 4}},
		"plain with a comment behind":     {"a: x   == foo   # no\n", "foo", Pos{1, 11}},
		"single-quoted":                   {"a: 'it''s foo'\n", "foo", Pos{1, 11}},
		"single-quoted over lines":        {"a: 'x\n  y foo'\n", "foo", Pos{2, 5}},
		"double-quoted":                   {`a: "\"x\" == foo"` + "\n", "foo", Pos{1, 14}},
		"double-quoted, escapes":          {`a: "\x41\u00e9\U0001F600 foo"` + "\n", "foo", Pos{1, 26}},
		"double-quoted, escaped break":    {"a: \"x \\\n    foo\"\n", "foo", Pos{2, 5}},
		"double-quoted over lines":        {"a: \"x\n\n    foo\"\n", "foo", Pos{3, 5}},
		"double-quoted, an escape itself": {`a: "a\tfoo"` + "\n", "\t", Pos{1, 6}},
		"literal":                         {"a: |\n  x ==\n    foo\n", "foo", Pos{3, 5}},
		"literal with a header":           {"a: |2- # why\n    x ==\n  foo\n", "foo", Pos{3, 3}},
		"literal, blank lines first":      {"a: |\n\n\n  x ==\n\n  foo", "foo", Pos{6, 3}},
		"literal, Windows line ends":      {"a: |\r\n  x ==\r\n  foo\r\n", "foo", Pos{3, 3}},
		"literal in a list":               {"a:\n  - |\n    x ==\n    foo\n", "foo", Pos{4, 5}},
		"literal, spaces on a blank line": {"a: |\n  x\n     \n  foo\n", "foo", Pos{4, 3}},
		"folded":                          {"a: >\n  x ==\n  foo\n", "foo", Pos{3, 3}},
		"folded over a blank line":        {"a: >-\n  x ==\n\n  foo\n", "foo", Pos{4, 3}},
		"folded with a deeper line":       {"a: >\n  x ==\n    y\n  foo\n", "foo", Pos{4, 3}},
		"folded with a deeper last line":  {"a: >\n  x ==\n\n    foo\n\n\n", "foo", Pos{4, 5}},
		"folded, Windows line ends":       {"a: >\r\n  x ==\r\n  foo\r\n", "foo", Pos{3, 3}},
		"folded, kept breaks":             {"a: >+\n  x\n  foo\n\n\n", "foo", Pos{3, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, text, _ := scalarOf(t, c.file)
			at := strings.Index(text.Value, c.find)
			if at < 0 {
				t.Fatalf("%q is not in the value %q", c.find, text.Value)
			}
			if got := text.Pos(at); got != c.want {
				t.Errorf("%q in %q stands at %v, want %v", c.find, text.Value, got, c.want)
			}
		})
	}
}

func TestSource_ScalarThatDoesNotAgreeStandsAtItsStart(t *testing.T) {
	t.Parallel()
	s := NewSource("f", []byte("a: 'b'\nc: |\n  d\n"))
	for _, style := range []ScalarStyle{Plain, SingleQuoted, DoubleQuoted, Literal, Folded} {
		text := s.Scalar(Pos{1, 4}, style, "something else")
		for i := range len(text.Value) + 1 {
			if got := text.Pos(i); got != (Pos{1, 4}) {
				t.Errorf("style %d: byte %d stands at %v, want 1:4", style, i, got)
			}
		}
	}
}

// Whatever a YAML writer makes of a text, every character of the value stands on the same character in
// the file (or on an escape or a line break that means it).
func TestSource_ScalarIsExactForWhateverYAMLWrites(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringOf(rapid.SampledFrom([]rune("abab   \n\n'\"\\:#é名\t"))).Draw(t, "value")
		style := rapid.SampledFrom([]yaml.Style{0, yaml.SingleQuotedStyle, yaml.DoubleQuotedStyle, yaml.LiteralStyle, yaml.FoldedStyle}).Draw(t, "style")
		file, err := yaml.Marshal(map[string]any{"k": []any{&yaml.Node{Kind: yaml.ScalarNode, Style: style, Tag: "!!str", Value: value}}})
		if err != nil {
			t.Fatalf("write %q: %v", value, err)
		}
		if yaml.Unmarshal(file, &yaml.Node{}) != nil {
			t.Skip("the writer wrote what its reader does not read")
		}
		s, text, read := scalarOf(t, string(file))
		for i, r := range text.Value {
			if r == ' ' || r == '\n' {
				continue
			}
			at, _ := utf8.DecodeRune(s.Text()[s.Offset(text.Pos(i)):])
			if at != r && (read != DoubleQuoted || at != '\\') {
				t.Fatalf("%q at byte %d of %q stands at %v, where the file has %q:\n%s", r, i, text.Value, text.Pos(i), at, file)
			}
		}
	})
}

func FuzzSource_Scalar(f *testing.F) {
	for _, file := range []string{"a: b c", "a: 'b''c'", "a: \"b\\\n c\"", "a: |+2\n   b\n  c\n\n", "a: >\n  b\n\n    c\n  d", "- \"\\U0001F600\"", "? |\n a\n: >-\n b"} {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file string) {
		var n yaml.Node
		if strings.ContainsAny(file, "\r\u0085\u2028\u2029\ufeff") || len(file) > 4096 || yaml.Unmarshal([]byte(file), &n) != nil {
			t.Skip()
		}
		s := NewSource("f", []byte(file))
		walk(&n, func(n *yaml.Node) {
			for style := Plain; style <= Folded; style++ {
				text := s.Scalar(Pos{n.Line, n.Column}, style, n.Value)
				last := 0
				for i := range len(text.Value) + 1 {
					at := s.Offset(text.Pos(i))
					if at < last {
						t.Fatalf("places go back from %d to %d at byte %d of %q", last, at, i, text.Value)
					}
					last = at
				}
			}
		})
	})
}

func walk(n *yaml.Node, fn func(*yaml.Node)) {
	if n.Kind == yaml.ScalarNode {
		fn(n)
	}
	for _, c := range n.Content {
		walk(c, fn)
	}
}
