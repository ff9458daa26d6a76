package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
)

const (
	bom      = "\xef\xbb\xbf"
	utf8Name = "UTF-8"
)

// guessed are the encodings that are recognised without a byte order mark.
var guessed = []struct {
	name string
	set  *charmap.Charmap
}{{"Windows-1252", charmap.Windows1252}, {"Mac Roman", charmap.Macintosh}}

// namedEncoding finds an encoding by one of its usual names.
func namedEncoding(name string) (encoding.Encoding, string, error) {
	for _, g := range guessed {
		if strings.EqualFold(plainName(name), plainName(g.name)) {
			return g.set, g.name, nil
		}
	}
	enc, err := htmlindex.Get(strings.TrimSpace(name))
	if err != nil {
		return nil, "", &FormatError{fmt.Sprintf("no encoding is named %q", name), "usual ones are utf-8, windows-1252, mac-roman, windows-1250, windows-1251, iso-8859-2, shift_jis, gb18030"}
	}
	canonical, err := htmlindex.Name(enc)
	if err != nil {
		canonical = name
	}
	if canonical == "utf-8" {
		canonical = utf8Name
	}
	return enc, canonical, nil
}

func plainName(s string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(strings.TrimSpace(s)))
}

// findEncoding looks at the whole source.
func (f *File) findEncoding(ctx context.Context) error {
	valid, err := f.isUTF8(ctx)
	if err != nil {
		return err
	}
	f.Encoding = utf8Name
	if valid {
		return nil
	}
	c, err := f.census(ctx)
	if err != nil || c.valid > c.invalid { // UTF-8 but for few places, which the caller finds
		return err
	}
	at, best, second := -1, 0, 0
	for i, g := range guessed {
		well, badly := c.score(g.set)
		switch score := well - badly; {
		case badly*fewBad <= well && score > best:
			best, second, at = score, best, i
		case score > second:
			second = score
		}
	}
	if at >= 0 && best > second {
		f.Encoding, f.decoder, f.Decoded = guessed[at].name, guessed[at].set, true
		return nil
	}
	return &FormatError{
		"this text is not UTF-8, and it is not certain which encoding it has: " + c.sample(),
		"save it as CSV UTF-8, or say --encoding, such as windows-1252, mac-roman or windows-1250",
	}
}

// chunks hands the source on, bit by bit, each with the bytes before it that were left over.
func (f *File) chunks(ctx context.Context, look func(chunk []byte, last bool) (left int)) error {
	if err := f.rewind(); err != nil {
		return err
	}
	buf, held := make([]byte, 256<<10), 0
	for {
		n, err := io.ReadFull(f.source, buf[held:])
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return fmt.Errorf("read: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		chunk := buf[:held+n]
		left := look(chunk, last)
		if last || left < 0 {
			return f.rewind()
		}
		held = copy(buf, chunk[len(chunk)-left:])
	}
}

func (f *File) isUTF8(ctx context.Context) (bool, error) {
	valid := true
	err := f.chunks(ctx, func(chunk []byte, last bool) int {
		left := 0
		if !last {
			left = unfinished(chunk)
		}
		if valid = utf8.Valid(chunk[:len(chunk)-left]); !valid {
			return -1
		}
		return left
	})
	return valid, err
}

// unfinished is how many bytes at the end begin a character that goes on in the next chunk.
func unfinished(chunk []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(chunk); n++ {
		if b := chunk[len(chunk)-n]; utf8.RuneStart(b) {
			if b >= utf8.RuneSelf && !utf8.FullRune(chunk[len(chunk)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}

// census is what stands between what in a text that is not UTF-8.
type census struct {
	valid, invalid int             // characters of several bytes, and bytes that belong to none
	between        map[[3]byte]int // bytes beyond ASCII with what stands before and after them
	first          []byte          // words around the first of them
}

// counted bounds what is looked at closely.
const counted = 1 << 20

func (f *File) census(ctx context.Context) (*census, error) {
	c := &census{between: make(map[[3]byte]int)}
	n := 0
	err := f.chunks(ctx, func(chunk []byte, last bool) int {
		end := len(chunk)
		if !last {
			end -= utf8.UTFMax // looked at with the next chunk
		}
		for i := min(1, end); i < end; { // the first byte was looked at with the chunk before, or is that of a header
			if chunk[i] < utf8.RuneSelf {
				i++
				continue
			}
			if c.first == nil {
				c.first = append([]byte{}, chunk[max(0, i-16):min(len(chunk), i+16)]...)
			}
			size := 1
			if r, s := utf8.DecodeRune(chunk[i:]); r != utf8.RuneError {
				c.valid++
				size = s
			} else {
				c.invalid++
			}
			for range size {
				next := byte(' ')
				if i+1 < len(chunk) {
					next = chunk[i+1]
				}
				c.between[[3]byte{chunk[i-1], chunk[i], next}]++
				i++
			}
			if n++; n >= counted {
				return -1
			}
		}
		if last {
			return 0
		}
		return utf8.UTFMax + 1
	})
	return c, err
}

// sample is the words around the first letter in question, in each encoding.
func (c *census) sample() string {
	var all []string
	for _, g := range guessed {
		text, err := g.set.NewDecoder().Bytes(c.first)
		if err != nil {
			continue
		}
		words := strings.FieldsFunc(string(text), func(r rune) bool { return r < ' ' || strings.ContainsRune(",;|\"", r) })
		for _, w := range words {
			if strings.IndexFunc(w, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
				all = append(all, fmt.Sprintf("%q in %s", w, g.name))
				break
			}
		}
	}
	return strings.Join(all, ", ")
}

// fewBad is how many letters that sit well there are to be for each one that does not.
const fewBad = 6

// score says how many letters sit well between their neighbours, and how many do not.
func (c *census) score(set *charmap.Charmap) (well, badly int) {
	for t, n := range c.between {
		if p := plausible(set.DecodeByte(t[0]), set.DecodeByte(t[1]), set.DecodeByte(t[2])); p > 0 {
			well += n * p
		} else {
			badly -= n * p
		}
	}
	return well, badly
}

// rare are letters of the two sets that few texts have; a letter that stands in their place in the other set is likelier.
const rare = "ŸÿƒˆıﬁﬂΩπ∂µªºþðÞÐšŠžŽœŒˇ˘"

func isLetter(r rune) bool { return unicode.In(r, unicode.Lu, unicode.Ll) }

// plausible says how well a character sits between its neighbours: above 0 when people write so, below 0 when hardly anybody does.
func plausible(before, r, after rune) int {
	left, right := isLetter(before), isLetter(after)
	inWord := left && right
	switch {
	case r == utf8.RuneError || r >= 0x80 && r < 0xa0:
		return -8
	case isLetter(r):
		return plausibleLetter(before, r, after, left, right)
	case unicode.Is(unicode.Sc, r):
		if left || right {
			return -2
		}
		return 1
	case r == '’' && inWord:
		return 1
	case strings.ContainsRune("‘’“”–—…•™®©°«»¿¡·§±×½¼¾²³ªº\u00a0„‚‹›", r):
		if inWord {
			return -2
		}
		return 1
	case left || right:
		return -2
	}
	return -1
}

func plausibleLetter(before, r, after rune, left, right bool) int {
	score := 2
	upper := unicode.IsUpper(r)
	switch {
	case !left && !right && upper:
		score = -1
	case !left && !right:
		score = 0
	case upper && unicode.IsLower(before):
		score = -3
	case !upper && unicode.IsUpper(after):
		score = -2
	case before >= utf8.RuneSelf && after >= utf8.RuneSelf: // three letters beyond ASCII in a row: another alphabet
		score = -3
	}
	if strings.ContainsRune(rare, r) {
		score--
	}
	return score
}
