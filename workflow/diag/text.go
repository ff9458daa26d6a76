package diag

// Text is a piece of text out of a file, such as an expression, that knows where each of its bytes stands there.
type Text struct {
	Value string
	File  string
	place func(offset int) Pos
	// joined: the value's lines are not those of the file, since YAML folded them.
	joined    bool
	generated bool
}

// Generated is a text that the program wrote, and nobody reads: it may hold what an author may not write, such as
// the name of a list from before names were held to characters that are seen.
func Generated(value string) Text { return Text{Value: value, generated: true} }

// IsGenerated reports whether the program wrote the text.
func (t Text) IsGenerated() bool { return t.generated }

// KeepsLines reports whether the text has the lines that its author wrote. YAML keeps them below a | only; in plain,
// quoted and folded (>) texts it joins them.
func (t Text) KeepsLines() bool { return !t.joined }

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
