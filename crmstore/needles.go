package crmstore

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// needles are what a person can be told by: name, e-mail address, phone numbers. They are searched for in any case,
// and overwritten byte for byte, so that what they stand in keeps its size and its form.
// Only whole words count: one person's name or address may be part of another's.
type needles struct {
	texts []string // folded, the longest first, so that a whole name goes before its parts
}

// The shortest texts that are searched for. Shorter ones would be found everywhere, and say little.
const (
	shortestName   = 3
	shortestNumber = 5
)

// newNeedles collects them from contacts.
func newNeedles(s *Schema, recs []*Record) *needles {
	n := &needles{}
	text := func(r *Record, name string) string {
		p := s.byName[name]
		if p == nil || p.Type != String {
			return ""
		}
		return strings.TrimSpace(r.Value(p.Number).Text())
	}
	for _, r := range recs {
		n.add(strings.TrimSpace(r.Value(PropertyEmail).Text()), shortestNumber)
		first, last := text(r, "firstname"), text(r, "lastname")
		if first != "" && last != "" {
			n.add(first+" "+last, shortestName)
			n.add(last+", "+first, shortestName)
		}
		n.add(first, shortestName)
		n.add(last, shortestName)
		for _, name := range []string{"phone", "mobilephone"} {
			n.add(text(r, name), shortestNumber)
		}
	}
	slices.SortStableFunc(n.texts, func(a, b string) int { return len(b) - len(a) })
	return n
}

func (n *needles) add(text string, shortest int) {
	if folded := fold(text); utf8.RuneCountInString(text) >= shortest && !slices.Contains(n.texts, folded) {
		n.texts = append(n.texts, folded)
	}
}

// without drops the needles that are one of the texts: they are somebody else's as well.
func (n *needles) without(texts []string) (dropped bool) {
	for _, text := range texts {
		folded := fold(strings.TrimSpace(text))
		before := len(n.texts)
		n.texts = slices.DeleteFunc(n.texts, func(one string) bool { return one == folded })
		dropped = dropped || len(n.texts) < before
	}
	return dropped
}

// fold is the text in lower case, where that has the same size; so that places in one are places in the other.
func fold(text string) string {
	folded := []byte(text)
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRuneInString(text[at:])
		if low := unicode.ToLower(r); low != r && r != utf8.RuneError && utf8.RuneLen(low) == size {
			utf8.EncodeRune(folded[at:at+size], low)
		}
		at += size
	}
	return string(folded)
}

// overwrite puts * over all that is found, and says whether anything was.
func (n *needles) overwrite(text string) (string, bool) {
	if len(n.texts) == 0 || text == "" {
		return text, false
	}
	folded := fold(text)
	var out []byte
	for _, one := range n.texts {
		for at := 0; ; {
			i := strings.Index(folded[at:], one)
			if i < 0 {
				break
			}
			from, to := at+i, at+i+len(one)
			at = from + 1
			if !alone(folded, from, to) {
				continue
			}
			if out == nil {
				out = []byte(text)
			}
			for k := from; k < to; k++ {
				out[k] = '*'
			}
			at = to
		}
		if out != nil {
			folded = fold(string(out))
		}
	}
	if out == nil {
		return text, false
	}
	return string(out), true
}

// found reports whether the text holds any of them.
func (n *needles) found(text string) bool {
	_, found := n.overwrite(text)
	return found
}

// alone reports whether text[from:to] is not part of a longer word.
func alone(text string, from, to int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:from])
	after, _ := utf8.DecodeRuneInString(text[to:])
	return !inWord(before) && !inWord(after)
}

func inWord(r rune) bool { return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) }
