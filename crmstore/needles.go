package crmstore

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// needles are what a person can be told by. They are searched for in any case, and overwritten byte for byte, so that what
// they stand in keeps its size and its form. Only whole words count: one person's name or address may be part of another's.
type needles struct {
	texts []string // folded, the longest first, so that a whole name goes before its parts
	names []string // those of texts that count only where each of their words begins as a name does
}

// The shortest texts that are searched for. Shorter ones would be found everywhere, and say little.
const (
	shortestName   = 3
	shortestNumber = 5
)

// narrowNeedles are what is taken out of texts about others: e-mail addresses, and whole names of two words or more, as
// names are written. Whoever may name a contact may name it like a word, a town or a number of somebody else's, and
// delete it: so a single word, a phone number and a name in small letters change nothing.
func narrowNeedles(s *record.Schema, recs []*record.Record) *needles {
	n := &needles{}
	for _, r := range recs {
		n.add(strings.TrimSpace(r.Value(record.PropertyEmail).Text()), shortestNumber)
		first, last := nameOf(s, r, "firstname"), nameOf(s, r, "lastname")
		if !likeName(first) || !likeName(last) {
			continue
		}
		for _, whole := range []string{first + " " + last, last + ", " + first} {
			n.add(whole, shortestName)
			n.names = append(n.names, fold(whole))
		}
	}
	slices.SortStableFunc(n.texts, func(a, b string) int { return len(b) - len(a) })
	return n
}

// addresses are the needles that are e-mail addresses.
func (n *needles) addresses() *needles {
	return &needles{texts: slices.DeleteFunc(slices.Clone(n.texts), func(text string) bool { return slices.Contains(n.names, text) })}
}

// likeName reports whether a part of a name holds letters and nothing that makes it a number or a sentence.
func likeName(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsMark(r) && !strings.ContainsRune(" -'’.", r)
	}) && strings.ContainsFunc(text, unicode.IsLetter)
}

// written reports whether each word of the text begins as a name does: not with a small letter.
func written(text string) bool {
	return !slices.ContainsFunc(strings.Fields(text), func(word string) bool {
		first, _ := utf8.DecodeRuneInString(word)
		return unicode.IsLower(first)
	})
}

// nameOf is a text of a contact, without blanks around it.
func nameOf(s *record.Schema, r *record.Record, property string) string {
	p := s.Named(property)
	if p == nil || p.Type != record.String {
		return ""
	}
	return strings.TrimSpace(r.Value(p.Number).Text())
}

// newNeedles collects all that a contact can be told by: also its first and last name, and its phone numbers. They are
// taken out of what is the contact's own, and looked for in what people are to change by hand.
func newNeedles(s *record.Schema, recs []*record.Record) *needles {
	n := &needles{}
	text := func(r *record.Record, name string) string { return nameOf(s, r, name) }
	for _, r := range recs {
		n.add(strings.TrimSpace(r.Value(record.PropertyEmail).Text()), shortestNumber)
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
			if !alone(folded, from, to) || slices.Contains(n.names, one) && !written(text[from:to]) {
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
