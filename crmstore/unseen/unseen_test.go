package unseen

import (
	"strings"
	"testing"
	"unicode"
)

func TestIs(t *testing.T) {
	t.Parallel()
	for _, r := range []rune{
		0, '\b', '\r', 0x1b, 0x7f, 0x85, 0x9b, 0xad, 0x34f, 0x61c, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x180b, 0x180e, 0x180f, 0x200b, 0x200c, 0x200d, 0x200e, 0x2028, 0x2029,
		0x202e, 0x2060, 0x2061, 0x2064, 0x2065, 0x2066, 0x206f, 0x2800, 0x3164, 0xfe00, 0xfe0f, 0xfeff, 0xffa0, 0xfff0, 0xfff9, 0xffff, 0x1bca0, 0x1d159, 0x1d173,
		0xe0001, 0xe0041, 0xe0100, 0xe01ef, 0xe0fff,
	} {
		if !Is(r) {
			t.Errorf("%U is seen, and should not be", r)
		}
		if at, found, ok := In("Ber" + string(r) + "lin"); !ok || at != 3 || found != r {
			t.Errorf("In finds %U at %d, %v; want %U at 3", found, at, ok, r)
		}
	}
	for _, r := range "aZ é名ب\t\n☺👍🏴؀\u0301\u0940" {
		if Is(r) {
			t.Errorf("%U is not seen, and should be", r)
		}
	}
}

// The whole property is covered, whatever Unicode adds to it.
func TestIs_HoldsAllThatUnicodeIgnores(t *testing.T) {
	t.Parallel()
	n := 0
	for r := rune(0); r <= unicode.MaxRune; r++ {
		ignored := unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector, unicode.Bidi_Control, unicode.Join_Control)
		ignored = ignored || unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r)
		if ignored && !Is(r) {
			t.Errorf("%U is default-ignorable and taken for seen", r)
		}
		if ignored {
			n++
		}
	}
	if n < 4000 {
		t.Errorf("only %d characters are ignored; the tables are not what they were", n)
	}
}

func TestIn_Blanks(t *testing.T) {
	t.Parallel()
	for _, r := range []rune{0xa0, 0x1680, 0x2000, 0x2003, 0x200a, 0x202f, 0x205f, 0x3000} {
		if _, _, found := In("a" + string(r) + "b"); !found || !Blank(r) {
			t.Errorf("%U passes for a blank", r)
		}
		if _, _, found := InProse("a" + string(r) + "b"); found {
			t.Errorf("%U is refused in prose", r)
		}
	}
	if _, _, found := In("a b\tc\nd é 名前"); found {
		t.Error("plain text is refused")
	}
}

func TestInProse(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"❤️ leads", "👩\u200d💻 team", "👩🏽\u200d💻", "🏳️\u200d🌈", "1️⃣ first", "🏴\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F", "می\u200cخواهم", "क्\u200dष", "辻\U000e0100", "plain\ttext\n", "©️", "Ω",
	} {
		if at, r, found := InProse(s); found {
			t.Errorf("%q: %U at %d is refused", s, r, at)
		}
	}
	for _, s := range []string{
		"a\u200db", "a\u200cb", "Ber\u200blin", "x\ufe0f", "5\ufe0fx", "👩\u200dx", "\u200d", "a\U000E0041", "soft\u00adhyphen", "\u3164", "\u202eabc", "\u200fשלום", "\x1b[1m", "\u009b1m", "a\rb", "❤️\u200b",
	} {
		if _, _, found := InProse(s); !found {
			t.Errorf("%q passes", s)
		}
	}
}

func TestMixed(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]rune{
		"contact.em\u0430il": '\u0430', "\u0412erlin": '\u0412', "москва x москвa": 'a', "Αthens": 'Α', "berlin москва": 0, "50 µm": 0, "Zoë": 0, "": 0, "日本 Tokyo": 0, "Xアプリ": 0,
	} {
		from, to, got, found := Mixed(s)
		if found != (want != 0) || got != want || found && !strings.ContainsRune(s[from:to], want) {
			t.Errorf("%q: %q at %d-%d, %v; want %q", s, got, from, to, found, want)
		}
	}
}
