package diag

// Text is a piece of text out of a file, such as an expression, that knows where each of its bytes stands there.
type Text struct {
	Value string
	File  string
	place func(offset int) Pos
}

// NewText is a text whose byte at an offset stands at place(offset); offsets run from 0 to len(value).
// A nil place means that the text is a file of its own, such as a flag's value.
func NewText(file, value string, place func(offset int) Pos) Text {
	return Text{Value: value, File: file, place: place}
}

// Pos is the place in the file of the byte at offset; offsets outside the text are moved into it.
func (t Text) Pos(offset int) Pos {
	offset = min(max(offset, 0), len(t.Value))
	if t.place != nil {
		return t.place(offset)
	}
	pos := Pos{Line: 1, Col: 1}
	for _, r := range t.Value[:offset] {
		if r == '\n' {
			pos = Pos{Line: pos.Line + 1, Col: 1}
			continue
		}
		pos.Col++
	}
	return pos
}

// Finding is a finding about the bytes from ≤ i < to of the text.
func (t Text) Finding(code Code, from, to int, message, help string) Finding {
	return Finding{Code: code, File: t.File, Pos: t.Pos(from), End: t.Pos(to), Message: message, Help: help}
}
