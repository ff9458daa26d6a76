// Package unseen finds characters that a reader does not see, or takes for a blank. It goes by Unicode's
// properties and not by a list, so that a character that Unicode adds is found without a change here.
//
// The package promises nothing about look-alikes of letters, except for words that mix scripts ([Mixed]).
package unseen

import (
	"unicode"
	"unicode/utf8"
)

// Is reports whether a character leaves no mark of its own on a screen or on paper, or changes how others are shown:
// control characters other than tab and line feed, what Unicode calls default-ignorable (zero-width characters,
// soft hyphens, variation selectors, fillers, tags), all marks of direction, and line ends that editors do not show.
func Is(r rune) bool {
	switch {
	case r == '\t' || r == '\n':
		return false
	case r < utf8.RuneSelf:
		return r < ' ' || r == 0x7f
	case unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Noncharacter_Code_Point):
		return true
	case unicode.Is(unicode.Prepended_Concatenation_Mark, r): // format characters that are drawn, such as U+0600
		return false
	case r == 0x2800 || r == 0x1d159: // an empty Braille pattern and an empty note head: drawn as nothing, and no property says so
		return true
	}
	return unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Blank reports whether a character looks like a blank and is not one, such as the no-break space.
func Blank(r rune) bool { return r != ' ' && unicode.Is(unicode.Zs, r) }

// In finds the first character of a text that decides something (an expression, a name, a value) which is unseen or
// only looks like a blank. At is its offset in bytes.
func In(s string) (at int, r rune, found bool) {
	for at, r = range s {
		if r >= utf8.RuneSelf && (Is(r) || Blank(r)) || r < ' ' && Is(r) || r == 0x7f {
			return at, r, true
		}
	}
	return 0, 0, false
}

// Word says what is wrong with a character that [In] found: it "cannot be seen", or "looks like a blank and is none".
func Word(r rune) string {
	if Blank(r) {
		return "looks like a blank and is none"
	}
	return "cannot be seen"
}

// Help says what to write instead of a character that [In] found.
func Help(r rune) string {
	if Blank(r) {
		return "write a blank"
	}
	return "take it out"
}

// InProse finds the first unseen character of a text for people (a title, a comment) that has no business there.
// Some have: what joins emoji or picks their colour, and the joiners that Persian or Hindi are written with.
// Wide and no-break spaces are left alone.
func InProse(s string) (at int, r rune, found bool) {
	before := rune(0) // the last character that is seen, or a joiner
	for at, r = range s {
		if r < utf8.RuneSelf && !Is(r) || r >= utf8.RuneSelf && !Is(r) {
			before = r
			continue
		}
		next, _ := utf8.DecodeRuneInString(s[at+utf8.RuneLen(r):])
		switch {
		case r == utf8.RuneError: // bytes that are no character are another finding
		case variation(r) && (symbol(before) || unicode.In(before, unicode.Han, unicode.Mongolian, unicode.Myanmar, unicode.Phags_Pa) || keycap(before, next)):
		case r == joiner && symbol(before) && symbol(next):
		case (r == joiner || r == nonJoiner) && joins(before) && joins(next):
		case tag(r) && (before == blackFlag || tag(before)):
			before = r
		default:
			return at, r, true
		}
	}
	return 0, 0, false
}

const (
	nonJoiner = '\u200c'
	joiner    = '\u200d'
	blackFlag = '\U0001F3F4' // the flag of a region is this one and the region's name in tags
)

// Joins reports whether an unseen character belongs to what is drawn: it joins emoji, or picks one of their drawings.
func Joins(r rune) bool { return r == joiner || variation(r) }

// variation reports whether r picks one of several drawings of the character before it.
func variation(r rune) bool { return unicode.Is(unicode.Variation_Selector, r) }

func tag(r rune) bool { return r >= 0xe0020 && r <= 0xe007f }

// symbol reports whether r can be part of an emoji.
func symbol(r rune) bool {
	return unicode.In(r, unicode.So, unicode.Sm, unicode.Sk) || r == 0x203c || r == 0x2049 || r == 0x3030 || r == 0x303d
}

// keycap reports whether a digit and what follows it are a key such as 1️⃣.
func keycap(before, next rune) bool {
	return (before >= '0' && before <= '9' || before == '#' || before == '*') && next == 0x20e3
}

// joins reports whether r is of a script whose letters change their form when they are joined.
func joins(r rune) bool {
	return unicode.In(r, unicode.Arabic, unicode.Syriac, unicode.Mongolian, unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi, unicode.Gujarati,
		unicode.Oriya, unicode.Tamil, unicode.Telugu, unicode.Kannada, unicode.Malayalam, unicode.Sinhala, unicode.Khmer, unicode.Myanmar)
}

// Mixed finds the first word of a text whose letters are of two scripts that are mistaken for each other, such as
// a Cyrillic а among Latin letters. From and to are offsets in bytes; stranger is the first letter of the smaller part.
func Mixed(s string) (from, to int, stranger rune, found bool) {
	start := -1
	for i, r := range s + " " {
		letter := unicode.In(r, unicode.L, unicode.M)
		switch {
		case letter && start < 0:
			start = i
		case !letter && start >= 0:
			if stranger, mixed := mixed(s[start:i]); mixed {
				return start, i, stranger, true
			}
			start = -1
		}
	}
	return 0, 0, 0, false
}

func mixed(word string) (stranger rune, mixed bool) {
	scripts := []*unicode.RangeTable{unicode.Latin, unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Cherokee}
	counts, first := make([]int, len(scripts)), make([]rune, len(scripts))
	for _, r := range word {
		for i, script := range scripts {
			if unicode.Is(script, r) {
				if counts[i]++; counts[i] == 1 {
					first[i] = r
				}
			}
		}
	}
	smallest := -1
	kinds := 0
	for i, n := range counts {
		if n == 0 {
			continue
		}
		kinds++
		if smallest < 0 || n <= counts[smallest] {
			smallest = i
		}
	}
	if kinds < 2 {
		return 0, false
	}
	return first[smallest], true
}
