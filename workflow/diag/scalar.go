package diag

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ScalarStyle is how a YAML scalar is written.
type ScalarStyle uint8

// The styles of YAML scalars.
const (
	Plain ScalarStyle = iota
	SingleQuoted
	DoubleQuoted
	Literal // a block that begins with |
	Folded  // a block that begins with >
)

// Scalar is the decoded value of the YAML scalar that begins at a place, as a text whose bytes know
// where they stand in the file. For a block the place is that of its | or >.
//
// The scalar is read again, side by side with its value. When the two do not agree to the end (the
// place is wrong, or YAML has a corner that the reader here does not know), every byte stands at the
// scalar's start: a place is exact or coarse, never wrong. [Source.Differences] makes a finding of it.
func (s *Source) Scalar(at Pos, style ScalarStyle, value string) Text {
	r := scalarReader{text: s.text, at: s.Offset(at), value: value}
	var offsets []int
	if r.read(style) {
		offsets = r.offsets
	}
	text := NewText(s.File, value, func(offset int) Pos {
		if offsets == nil {
			return at
		}
		return s.Pos(offsets[offset])
	})
	text.joined = style != Literal
	return text
}

// Difference is a place at which the value of a scalar is something else than what stands in the file.
type Difference struct {
	From, To int    // bytes of the file
	Means    string // what an escape sequence stands for; "" for a break that is escaped
	Escape   bool   // false: file and value do not agree, and nobody knows why
	Comment  bool   // a # right before a word, which ends the value: a comment, or a part of it that is lost
}

// Differences compares a scalar in the file with the value that YAML made of it: all that differs, other than by
// quoting (quotes around a text, doubled or after a backslash inside) and by folding (lines joined with a blank).
func (s *Source) Differences(at Pos, style ScalarStyle, value string) []Difference {
	r := scalarReader{text: s.text, at: s.Offset(at), value: value}
	from := r.at
	if !r.read(style) {
		end := bytes.IndexByte(s.text[from:], '\n')
		if end < 0 {
			end = len(s.text) - from
		}
		return []Difference{{From: from, To: from + len(bytes.TrimRight(s.text[from:from+end], " \t\r"))}}
	}
	return r.differences
}

// scalarReader walks through a scalar in the file and its value side by side. Its methods report
// false when the two differ.
type scalarReader struct {
	text        []byte
	at          int // in text
	value       string
	offsets     []int        // of each byte of value that was met
	differences []Difference // that are known and told
}

func (r *scalarReader) read(style ScalarStyle) bool {
	ok := false
	switch style {
	case Plain:
		ok = r.flow(0)
	case SingleQuoted:
		ok = r.open('\'') && r.flow('\'')
	case DoubleQuoted:
		ok = r.open('"') && r.flow('"')
	case Literal:
		ok = r.open('|') && r.block(false)
	case Folded:
		ok = r.open('>') && r.block(true)
	}
	if ok && len(r.offsets) == len(r.value) {
		r.offsets = append(r.offsets, r.at)
		return true
	}
	return false
}

func (r *scalarReader) open(quote byte) bool {
	if r.at >= len(r.text) || r.text[r.at] != quote {
		return false
	}
	r.at++
	return true
}

func (r *scalarReader) done() bool { return len(r.offsets) >= len(r.value) }

// take notes that the next bytes of the value are those of part, which stands at offset from in the file.
func (r *scalarReader) take(part string, from int) bool {
	if !strings.HasPrefix(r.value[len(r.offsets):], part) {
		return false
	}
	for range len(part) {
		r.offsets = append(r.offsets, from)
	}
	return true
}

// flow reads a plain or quoted scalar to its end; quote is 0 for a plain one.
func (r *scalarReader) flow(quote byte) bool {
	for quote != 0 || !r.done() {
		if r.at >= len(r.text) {
			return false
		}
		if n, breaks := r.fold(); n > 0 {
			if !r.space(n, breaks) {
				return false
			}
			continue
		}
		var ok bool
		switch c := r.text[r.at]; {
		case c == '\'' && quote == '\'' && bytes.HasPrefix(r.text[r.at:], []byte("''")):
			ok = r.take("'", r.at)
			r.at += 2
		case c == quote: // plain texts hold no zero byte
			return r.done()
		case c == '\\' && quote == '"':
			ok = r.escape()
		default:
			_, n := utf8.DecodeRune(r.text[r.at:])
			ok = r.take(string(r.text[r.at:r.at+n]), r.at)
			r.at += n
		}
		if !ok {
			return false
		}
	}
	return r.plainEnds()
}

// plainEnds reports whether a plain scalar can end here, and notes a comment that begins without a blank after its #.
func (r *scalarReader) plainEnds() bool {
	rest := r.text[r.at:]
	blanks := len(rest) - len(bytes.TrimLeft(rest, " \t"))
	rest = rest[blanks:]
	if len(rest) == 0 {
		return true
	}
	line := rest
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	line = bytes.TrimRight(line, " \t\r")
	switch rest[0] {
	case '#':
		if len(line) > 1 && blanks > 0 && line[1] != ' ' && line[1] != '\t' && line[1] != '#' && r.value != "" {
			r.differences = append(r.differences, Difference{From: r.at + blanks, To: r.at + blanks + len(line), Comment: true})
		}
		return blanks > 0 || r.value == ""
	case '\n', '\r', ':', ',', ']', '}':
		return true
	}
	return r.value == "" // what is not there ends anywhere
}

// fold measures the white space here when it holds a line break: how many bytes to the next line's
// first text, and how many breaks. Spaces inside a line are text.
func (r *scalarReader) fold() (n, breaks int) {
	for i, c := range r.text[r.at:] {
		switch c {
		case '\n':
			breaks++
		case ' ', '\t', '\r':
		default:
			return i, breaks
		}
	}
	return len(r.text) - r.at, breaks
}

// space reads n bytes of white space: a run without line breaks is text, one with breaks is folded.
func (r *scalarReader) space(n, breaks int) bool {
	if breaks > 0 {
		fold := " "
		if breaks > 1 {
			fold = strings.Repeat("\n", breaks-1)
		}
		from := r.at
		r.at += n
		return r.take(fold, from)
	}
	for range n {
		if r.done() || !r.take(string(r.text[r.at:r.at+1]), r.at) {
			return false
		}
		r.at++
	}
	return true
}

var escapes = map[byte]string{
	'0': "\x00", 'a': "\a", 'b': "\b", 't': "\t", '\t': "\t", 'n': "\n", 'v': "\v", 'f': "\f", 'r': "\r", 'e': "\x1b",
	' ': " ", '"': "\"", '\'': "'", '/': "/", '\\': "\\", 'N': "\u0085", '_': "\u00a0", 'L': "\u2028", 'P': "\u2029",
}

var escapeDigits = map[byte]int{'x': 2, 'u': 4, 'U': 8}

// escape reads one escape sequence of a double-quoted scalar. All but those of the quote and of the backslash itself
// make the value differ from what a reader sees.
func (r *scalarReader) escape() bool {
	from := r.at
	if r.at+1 >= len(r.text) {
		return false
	}
	kind := r.text[r.at+1]
	r.at += 2
	var means string
	switch digits := escapeDigits[kind]; {
	case kind == '\n' || kind == '\r':
		r.at--
		n, breaks := r.fold()
		r.at += n
		if breaks == 0 {
			return false
		}
		means = strings.Repeat("\n", breaks-1)
	case escapes[kind] != "":
		means = escapes[kind]
	case digits == 0 || r.at+digits > len(r.text):
		return false
	default:
		code, err := strconv.ParseUint(string(r.text[r.at:r.at+digits]), 16, 32)
		if err != nil {
			return false
		}
		r.at += digits
		means = string(rune(code))
	}
	if kind != '"' && kind != '\'' && kind != '\\' && kind != '/' {
		to := r.at
		if kind == '\n' || kind == '\r' {
			to = from + 1
		}
		r.differences = append(r.differences, Difference{From: from, To: to, Means: means, Escape: true})
	}
	return r.take(means, from)
}

// block reads a literal or folded block, from its indicator on.
func (r *scalarReader) block(fold bool) bool {
	header := bytes.IndexByte(r.text[r.at:], '\n')
	if header < 0 {
		return r.value == ""
	}
	r.at += header + 1
	if r.done() {
		return true
	}
	indent := r.indent()
	for !r.done() {
		if r.at >= len(r.text) {
			// The value of a block ends with a line break also where the file does not.
			return r.value[len(r.offsets):] == "\n" && r.take("\n", r.at)
		}
		line, end := r.line(indent)
		if !r.take(line, -1) {
			return false
		}
		for i := range len(line) {
			r.offsets[len(r.offsets)-len(line)+i] = r.at + i
		}
		r.at += len(line)
		if r.done() {
			return true
		}
		if fold {
			if !r.foldBlock(indent) {
				return false
			}
			continue
		}
		if !r.take("\n", r.at) {
			return false
		}
		r.at = end
	}
	return true
}

// indent is the indentation of the block's text: what its first line with text has more than the value's.
func (r *scalarReader) indent() int {
	have := 0
	for at := r.at; at < len(r.text); {
		end := bytes.IndexByte(r.text[at:], '\n')
		if end < 0 {
			end = len(r.text) - at
		}
		line := r.text[at : at+end]
		if len(bytes.Trim(line, " \r")) > 0 {
			have = leading(line)
			break
		}
		at += end + 1
	}
	for line := range strings.SplitSeq(r.value, "\n") {
		if strings.Trim(line, " ") != "" {
			return max(have-leading([]byte(line)), 0)
		}
	}
	return have
}

func leading(line []byte) int { return len(line) - len(bytes.TrimLeft(line, " ")) }

// line skips the indentation and gives the rest of the line, and the offset of the next one.
func (r *scalarReader) line(indent int) (line string, next int) {
	end := bytes.IndexByte(r.text[r.at:], '\n')
	if end < 0 {
		end = len(r.text) - r.at
		next = len(r.text)
	} else {
		next = r.at + end + 1
	}
	full := bytes.TrimSuffix(r.text[r.at:r.at+end], []byte("\r"))
	skip := min(indent, leading(full))
	r.at += skip
	return string(full[skip:]), next
}

// foldBlock reads the line breaks of a folded block up to the next line with text. One break between
// two lines is a space; of more, one is dropped, unless a line beside them is indented further.
func (r *scalarReader) foldBlock(indent int) bool {
	from, breaks := r.at, 0
	for r.at < len(r.text) {
		end := bytes.IndexByte(r.text[r.at:], '\n')
		if end < 0 {
			end = len(r.text) - r.at - 1
		}
		rest := bytes.TrimSuffix(r.text[r.at:r.at+end+1], []byte("\n"))
		if breaks > 0 && (len(bytes.TrimSuffix(rest, []byte("\r"))) > indent || len(bytes.Trim(rest, " \r")) > 0) {
			break
		}
		breaks++
		r.at += end + 1
	}
	value := r.value[len(r.offsets):]
	written := len(value) - len(strings.TrimLeft(value, "\n"))
	switch {
	case breaks == 1 && strings.HasPrefix(value, " "):
		return r.take(" ", from)
	case written == len(value): // the end of the block, however its last breaks are kept
		return written <= breaks+1 && r.take(value, from)
	case written == breaks || written == breaks-1:
		return r.take(strings.Repeat("\n", written), from)
	}
	return false
}
