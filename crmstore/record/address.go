package record

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/crm-workflow/crm-workflow/crmstore/unseen"
)

// ErrNoAddress says that something is no e-mail address.
var ErrNoAddress = errors.New("not an e-mail address")

// NormalAddress is the one form of an e-mail address in which it is stored, claimed, blocked and compared. Two spellings
// of one address have one normal form, and the normal form's normal form is itself:
//
//   - "Ann <ann@x.example>", mailto:ann@x.example?subject=Hi, 'ann@x.example' and ann@x.example; are all ann@x.example:
//     blanks, invisible characters, quotes, angle brackets with the name before them, and . , ; : at the ends go.
//   - Letters are lower case, in Unicode's form NFKC, so that full-width letters are plain ones.
//   - A domain is in Unicode letters: xn--bcher-kva.example is bücher.example.
//
// The empty text's normal form is the empty text. What is no address, or more than one, is refused with ErrNoAddress.
func NormalAddress(s string) (string, error) {
	if plainAddress(s) {
		return s, nil
	}
	text := cleanAddress(s)
	if text == "" {
		if strings.ContainsFunc(s, func(r rune) bool { return !blank(r) }) {
			return "", ErrNoAddress
		}
		return "", nil
	}
	if low := strings.ToLower(text); strings.HasPrefix(low, "mailto:") {
		text = cleanAddress(withoutMailto(text[len("mailto:"):]))
	}
	if open := strings.LastIndexByte(text, '<'); open >= 0 { // a name stands before it
		text, _, _ = strings.Cut(text[open+1:], ">")
		text = cleanAddress(text)
		if low := strings.ToLower(text); strings.HasPrefix(low, "mailto:") {
			text = cleanAddress(withoutMailto(text[len("mailto:"):]))
		}
	}
	local, domain, ok := strings.Cut(text, "@")
	switch {
	case !ok:
		return "", ErrNoAddress
	case strings.Contains(domain, "@"):
		return "", fmt.Errorf("%w: it has more than one @", ErrNoAddress)
	}
	local = strings.TrimFunc(local, func(r rune) bool { return blank(r) || quoting(r) })
	domain = normalDomain(strings.TrimFunc(domain, func(r rune) bool { return blank(r) || quoting(r) }))
	switch {
	case local == "" || domain == "":
		return "", fmt.Errorf("%w: nothing stands before or after the @", ErrNoAddress)
	case strings.ContainsFunc(local, func(r rune) bool { return !inLocal(r) }):
		return "", fmt.Errorf("%w: %q is not possible before the @", ErrNoAddress, firstOf(local, inLocal))
	case !domainLiteral(domain) && strings.ContainsFunc(domain, func(r rune) bool { return !inDomain(r) }):
		return "", fmt.Errorf("%w: %q is not possible after the @", ErrNoAddress, firstOf(domain, inDomain))
	case strings.Contains(domain, "..") || domain[0] == '.':
		return "", fmt.Errorf("%w: its domain has an empty part", ErrNoAddress)
	}
	if err := decorated(local, domain); err != nil {
		return "", err
	}
	return local + "@" + domain, nil
}

// decorated is ErrNoAddress for what has the form of an address and is one with something before, behind or in it that
// belongs to a spreadsheet, a table or another alphabet: it would be a second person whom keep list and block list miss.
func decorated(local, domain string) error {
	first := local[0]
	if strings.IndexByte("=*|/{}.", first) >= 0 || first == '+' && (len(local) == 1 || local[1] < '0' || local[1] > '9') { // a number may begin so
		return fmt.Errorf("%w: %q is not possible at its beginning", ErrNoAddress, local[:1])
	}
	for part := range strings.SplitSeq(domain, ".") {
		if part[0] == '-' || part[len(part)-1] == '-' {
			return fmt.Errorf("%w: a part of its domain begins or ends with -", ErrNoAddress)
		}
	}
	if domain[len(domain)-1] == '_' {
		return fmt.Errorf("%w: %q is not possible at its end", ErrNoAddress, "_")
	}
	if _, _, stranger, mixed := unseen.Mixed(local + "@" + domain); mixed {
		return fmt.Errorf("%w: its %q is %U, not the letter that it looks like", ErrNoAddress, stranger, stranger)
	}
	return nil
}

// AddressPart reports whether some address in its normal form can hold the text, which is folded already ([FoldPart]).
func AddressPart(s string) bool {
	local, domain, whole := strings.Cut(s, "@")
	switch {
	case whole:
		bracket := strings.HasPrefix(domain, "[") // an IP address
		return !strings.ContainsFunc(local, func(r rune) bool { return !inLocal(r) }) &&
			(bracket || !strings.ContainsFunc(domain, func(r rune) bool { return !inDomain(r) }))
	case strings.ContainsAny(s, "[]"):
		return true
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return !inLocal(r) && !inDomain(r) })
}

// MeansAddress reports whether a word stands for an e-mail address rather than for an id, right or wrong.
func MeansAddress(word string) bool {
	return strings.ContainsAny(word, "@＠﹫") || strings.HasPrefix(strings.ToLower(strings.TrimFunc(word, blank)), "mailto:")
}

// FoldAddress is a text in the form in which it is compared with e-mail addresses: the normal form of an address, and of
// anything else, such as several addresses, what [FoldPart] makes of it.
func FoldAddress(s string) string {
	if plainPart(s) {
		return s
	}
	if text, err := NormalAddress(s); err == nil {
		return text
	}
	return FoldPart(s)
}

// FoldPart is a part of an address, such as "@ACME.example", as it stands in the address's normal form.
func FoldPart(s string) string { return unicodeLabels(lowerForm(strings.Map(visible, s))) }

// plainAddress reports whether s is a normal form already, for most addresses at the cost of one look at each byte.
func plainAddress(s string) bool {
	at := strings.IndexByte(s, '@')
	if at <= 0 || at == len(s)-1 || strings.Contains(s, "xn--") {
		return false
	}
	for i := range at {
		if b := s[i]; (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '.' && b != '_' && b != '-' && b != '+' {
			return false
		}
	}
	edge := true // a part of the domain begins here, which is not empty and has no - at its ends
	for i := at + 1; i < len(s); i++ {
		switch b := s[i]; {
		case b >= 'a' && b <= 'z' || b >= '0' && b <= '9':
			edge = false
		case b == '.' && !edge && s[i-1] != '-':
			edge = true
		case b != '-' || edge:
			return false
		}
	}
	return !edge && s[len(s)-1] != '-' && s[0] != '.' && s[0] != '+'
}

// plainPart reports whether folding leaves s as it is, for texts of plain characters.
func plainPart(s string) bool {
	if plainAddress(s) {
		return true
	}
	for i := range len(s) {
		if b := s[i]; (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '.' && b != '@' && b != '_' && b != '+' && b != '-' {
			return false
		}
	}
	at := strings.IndexByte(s, '@')
	return at <= 0 && !strings.Contains(s, "xn--") // what may be a whole address is looked at by NormalAddress
}

// cleanAddress takes off what stands around an address: NFKC, lower case, nothing invisible, no quotes or stops at the ends.
func cleanAddress(s string) string {
	s = strings.TrimFunc(s, func(r rune) bool { return blank(r) || quoting(r) }) // NFKC makes two characters of some accents
	s = lowerForm(strings.Map(visible, s))
	for {
		before := s
		s = strings.TrimFunc(s, func(r rune) bool { return blank(r) || quoting(r) || r == ',' || r == ';' || r == ':' })
		s = strings.TrimRight(s, ".。")
		if s != "" && s[0] == '<' && strings.IndexByte(s, '>') == len(s)-1 {
			s = s[1 : len(s)-1]
		}
		if s == before {
			return s
		}
	}
}

// lowerForm is NFKC in lower case. One may undo the other, so each is applied until nothing changes.
func lowerForm(s string) string {
	for range 4 {
		next := strings.Map(visible, norm.NFKC.String(strings.ToLower(norm.NFKC.String(s))))
		if next == s {
			break
		}
		s = next
	}
	return s
}

// visible keeps what can be seen, and line ends, for strings.Map. A line end within an address is no part of it that was
// lost to the eye: the address is refused.
func visible(r rune) rune {
	if unseen.Is(r) && !unicode.IsSpace(r) {
		return -1
	}
	return r
}

func blank(r rune) bool { return unicode.IsSpace(r) || unseen.Is(r) }

// quoting reports whether a character is put around words: quotes of all languages, and the accents that stand in for them.
func quoting(r rune) bool {
	return r == '"' || r == '\'' || r == '`' || r == '´' || r > 0x7f && unicode.In(r, unicode.Pi, unicode.Pf, unicode.Quotation_Mark)
}

// inLocal reports whether a character can stand before the @, as RFC 5321 and 6531 have it without quotes.
func inLocal(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", r)
	}
	return lettersOfAddress(r)
}

// lettersOfAddress are the characters beyond ASCII that an address can hold: letters and digits of all languages, and the five
// signs that stand among them (RFC 5892). Signs and pictures around an address are decoration.
func lettersOfAddress(r rune) bool {
	return r != utf8.RuneError && (unicode.In(r, unicode.L, unicode.M, unicode.N) || strings.ContainsRune("\u00b7\u0375\u05f3\u05f4\u30fb", r))
}

// inDomain reports whether a character can stand in a domain.
func inDomain(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_'
	}
	return lettersOfAddress(r)
}

func firstOf(s string, good func(rune) bool) string {
	i := strings.IndexFunc(s, func(r rune) bool { return !good(r) })
	_, size := utf8.DecodeRuneInString(s[i:])
	return s[i : i+size]
}

// domainLiteral reports whether a domain is an IP address in square brackets.
func domainLiteral(s string) bool {
	return len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' && strings.Trim(s[1:len(s)-1], "0123456789abcdef.:ipv") == ""
}

// withoutMailto is the address of what follows mailto: in a link.
func withoutMailto(s string) string {
	s, _, _ = strings.Cut(strings.TrimLeft(s, "/"), "?") // slashes are written after mailto: too
	if plain, err := url.PathUnescape(s); err == nil && utf8.ValidString(plain) {
		return plain
	}
	return s
}

// normalDomain is a domain in lower case with Unicode letters, without the dot of the root at its end.
func normalDomain(s string) string {
	s = strings.ReplaceAll(s, "。", ".") // the full stop of Chinese and Japanese
	return unicodeLabels(strings.TrimRight(s, "."))
}

const punycodePrefix = "xn--"

// unicodeLabels writes each part of a domain that is in Punycode in Unicode letters. A part that is no Punycode stays.
func unicodeLabels(s string) string {
	if !strings.Contains(s, punycodePrefix) {
		return s
	}
	var b strings.Builder
	for s != "" {
		end := strings.IndexFunc(s, func(r rune) bool { return r == '.' || r == '@' || r == ',' || r == ';' || unicode.IsSpace(r) })
		if end < 0 {
			end = len(s)
		}
		label := s[:end]
		if code, ok := strings.CutPrefix(label, punycodePrefix); ok {
			if text, ok := punycode(code); ok {
				label = text
			}
		}
		b.WriteString(label)
		if end < len(s) {
			_, size := utf8.DecodeRuneInString(s[end:])
			b.WriteString(s[end : end+size])
			end += size
		}
		s = s[end:]
	}
	return b.String()
}

// Bootstring's parameters for Punycode (RFC 3492).
const (
	punyBase, punyMin, punyMax = 36, 1, 26
	punySkew, punyDamp         = 38, 700
	punyBias, punyFirst        = 72, 128
)

// punycode decodes a part of a domain, after its xn--. It is not ok when that gives anything but a normal form with a
// letter that needed the encoding, so that no two parts have one form by mistake.
func punycode(s string) (string, bool) {
	var out []rune
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		out, s = []rune(s[:i]), s[i+1:]
	}
	n, at, bias := punyFirst, 0, punyBias
	for first := true; s != ""; first = false {
		old, weight := at, 1
		for k := punyBase; ; k += punyBase {
			if s == "" {
				return "", false
			}
			digit, ok := punyDigit(s[0])
			if s = s[1:]; !ok || weight > 1<<24 {
				return "", false
			}
			at += digit * weight
			t := min(max(k-bias, punyMin), punyMax)
			if digit < t {
				break
			}
			weight *= punyBase - t
		}
		bias = punyAdapt(at-old, len(out)+1, first)
		n += at / (len(out) + 1)
		at %= len(out) + 1
		if n > unicode.MaxRune {
			return "", false
		}
		out = slices.Insert(out, at, rune(n))
		at++
	}
	text := string(out)
	foreign := func(r rune) bool { return r >= utf8.RuneSelf }
	fits := func(r rune) bool { return !inDomain(r) || r == '.' || r == '。' }
	return text, strings.ContainsFunc(text, foreign) && !strings.ContainsFunc(text, fits) && lowerForm(text) == text
}

func punyDigit(b byte) (int, bool) {
	switch {
	case b >= 'a' && b <= 'z':
		return int(b - 'a'), true
	case b >= '0' && b <= '9':
		return int(b-'0') + 26, true
	}
	return 0, false
}

func punyAdapt(delta, points int, first bool) int {
	if first {
		delta /= punyDamp
	} else {
		delta /= 2
	}
	delta += delta / points
	k := 0
	for ; delta > (punyBase-punyMin)*punyMax/2; k += punyBase {
		delta /= punyBase - punyMin
	}
	return k + (punyBase-punyMin+1)*delta/(delta+punySkew)
}
