package diag

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

func styleOf(n *yaml.Node) ScalarStyle {
	switch {
	case n.Style&yaml.SingleQuotedStyle != 0:
		return SingleQuoted
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return DoubleQuoted
	case n.Style&yaml.LiteralStyle != 0:
		return Literal
	case n.Style&yaml.FoldedStyle != 0:
		return Folded
	}
	return Plain
}

func TestSource_Differences(t *testing.T) {
	t.Parallel()
	for file, want := range map[string][]string{
		`- ! a`:                     {"?! a"},
		`- ! 'a'`:                   {"?! 'a'"},
		"- ! |\n  a":                {"?! |"},
		`- &x a`:                    {"?&x a"},
		`- a`:                       nil,
		`- "a \"b\" c\\d"`:          nil,
		`- 'it''s'`:                 nil,
		"- a\n  b\n\n  c":           nil,
		"- \"a\n  b\"":              nil,
		"- >-\n  a\n  b\n\n\n":      nil,
		"- |2\n    a\n   b\n":       nil,
		`- "\bBerlin\b"`:            {"\\b=\b", "\\b=\b"},
		`- "\x21a"`:                 {`\x21=!`},
		`- "\u0021\U00000021\e\N "`: {`\u0021=!`, `\U00000021=!`, "\\e=\x1b", "\\N=\u0085"},
		"- \"1\\\n  0\"":            {"\\="},
		"- \"a\\\n\n  b\"":          {"\\=\n"},
		"- \"a\\\n  \"":             {"\\="},
		`- a #1 b`:                  {"##1 b"},
		`- a # 1 b`:                 nil,
		`- a#1`:                     nil,
		`- 'a' #1`:                  nil,
		`[a #1` + "\n]":             {"##1"},
		`"a": "b"`:                  nil,
		`{a: b, c}`:                 nil,
		`a: `:                       nil,
	} {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(file), &n); err != nil {
			t.Fatalf("%q: %v", file, err)
		}
		s := NewSource("f", []byte(file))
		var got []string
		walk(&n, func(n *yaml.Node) {
			for _, d := range s.Differences(Pos{n.Line, n.Column}, styleOf(n), n.Value) {
				text := string(s.Text()[d.From:d.To])
				switch {
				case d.Comment:
					text = "#" + text
				case d.Escape:
					text += "=" + d.Means
				default:
					text = "?" + text
				}
				got = append(got, text)
			}
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", file, diff)
		}
	}
}

// Whatever YAML reads, the two readers agree, unless a tag or an anchor stands there: no file is refused without a reason.
func FuzzSource_Differences(f *testing.F) {
	for _, file := range []string{
		"a: b c", "a: 'b''c'", "a: \"b\\\n c\"", "a: |+2\n   b\n  c\n\n", "a: >\n  b\n\n    c\n  d", "? |\n a\n: >-\n b", "{a: [b, c d ,e], f: }", "- - a\n  - b # c\n- >\n\n  x\n\t\n", "a:\r\n  b\r\n  c", "--- >\n a\n...\n",
		"- |\n \t a\n\n  b\n", "- \"a \\\n \\ b\"", "- 'a\n\n\n b'", "a: >+\n\n\n  b\n\n\n c: d",
	} {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file string) {
		var n yaml.Node
		if strings.ContainsAny(file, "\u0085\u2028\u2029\ufeff&*!%") || strings.Contains(strings.ReplaceAll(file, "\r\n", ""), "\r") || len(file) > 4096 || yaml.Unmarshal([]byte(file), &n) != nil {
			t.Skip()
		}
		if len(n.Content) == 1 && n.Content[0].Kind == yaml.ScalarNode {
			t.Skip() // no workflow file is one text, whose indentation counts from outside the file
		}
		s := NewSource("f", []byte(file))
		walk(&n, func(n *yaml.Node) {
			for _, d := range s.Differences(Pos{n.Line, n.Column}, styleOf(n), n.Value) {
				if !d.Escape && !d.Comment {
					t.Fatalf("%q at %d:%d, style %d, is said to differ from %q", n.Value, n.Line, n.Column, styleOf(n), file[d.From:])
				}
			}
		})
	})
}
