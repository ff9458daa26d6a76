package diag

import (
	"bytes"
	"sort"
	"unicode/utf8"
)

// Source is the text of one file, which turns places into lines and byte offsets into places.
// A byte order mark at the start is not part of the text. Lines end with LF or CRLF.
type Source struct {
	File  string
	text  []byte
	start []int // offset of each line's first byte
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// NewSource indexes the lines of a file. The bytes are kept, not copied.
func NewSource(file string, text []byte) *Source {
	s := &Source{File: file, text: bytes.TrimPrefix(text, byteOrderMark), start: []int{0}}
	for i, b := range s.text {
		if b == '\n' {
			s.start = append(s.start, i+1)
		}
	}
	return s
}

// Text is the file's text without its byte order mark.
func (s *Source) Text() []byte { return s.text }

// Lines is how many lines the file has; text after the last line end counts as a line, also when it is empty.
func (s *Source) Lines() int { return len(s.start) }

// Line is the text of line n, counted from 1, without its line end; nil when the file has no such line.
func (s *Source) Line(n int) []byte {
	if n < 1 || n > len(s.start) {
		return nil
	}
	end := len(s.text)
	if n < len(s.start) {
		end = s.start[n] - 1
	}
	return bytes.TrimSuffix(s.text[s.start[n-1]:end], []byte("\r"))
}

// Pos is the place of the byte at offset; offsets outside the text are moved into it.
func (s *Source) Pos(offset int) Pos {
	offset = min(max(offset, 0), len(s.text))
	line := sort.SearchInts(s.start, offset+1)
	return Pos{Line: line, Col: utf8.RuneCount(s.text[s.start[line-1]:offset]) + 1}
}

// Offset is the byte offset of a place; places outside the text are moved into it.
func (s *Source) Offset(p Pos) int {
	if p.Line < 1 {
		return 0
	}
	if p.Line > len(s.start) {
		return len(s.text)
	}
	at := s.start[p.Line-1]
	for col := 1; col < p.Col && at < len(s.text) && s.text[at] != '\n'; col++ {
		_, n := utf8.DecodeRune(s.text[at:])
		at += n
	}
	return at
}

// Range is a finding about the bytes from ≤ i < to of the file.
func (s *Source) Range(code Code, from, to int, message, help string) Finding {
	return Finding{Code: code, File: s.File, Pos: s.Pos(from), End: s.Pos(to), Message: message, Help: help}
}
