package csvfile

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Decimal says which sign stands before the fraction of a number; the other one stands between thousands.
type Decimal string

// The decimal signs.
const (
	NoDecimal    Decimal = ""      // what the numbers of a column show; what can be read in two ways is refused
	DecimalPoint Decimal = "point" // 1,234.5
	DecimalComma Decimal = "comma" // 1.234,5
)

const decimalHelp = "say --decimal point (1,234.5) or --decimal comma (1.234,5)"

// amount is a number as people write it, taken apart.
type amount struct {
	digits  string // with its separators, and a minus sign where it is negative
	unit    string // a currency, such as € or USD; "" = none
	percent bool
	dressed bool // something else than digits and separators was taken off
}

// currencies are words and signs beside amounts that are no currency signs of Unicode.
var currencies = regexp.MustCompile(`^(?i:EUR|USD|GBP|CHF|SEK|NOK|DKK|PLN|CZK|HUF|RON|BGN|TRY|RUB|UAH|JPY|CNY|INR|KRW|AUD|NZD|CAD|HKD|SGD|BRL|MXN|ZAR|ILS|AED|US\$|A\$|C\$|R\$|Fr\.|Fr|kr\.?|zł|Kč|Ft|lei|лв\.?|руб\.?|₽)$`)

// takeApart takes currency, percent sign, thousands that blanks or apostrophes set apart, and brackets off a number. It leaves as it
// is what is no number.
func takeApart(s string) amount {
	if s != "" && strings.Trim(s, "0123456789.,+-") == "" {
		return amount{digits: s}
	}
	a, rest := amount{digits: s}, strings.NewReplacer("\u00a0", " ", "\u202f", " ", "\u2009", " ", "\u2212", "-", "\u2019", "'").Replace(s)
	negative := false
	if inner, ok := strings.CutPrefix(rest, "("); ok && strings.HasSuffix(inner, ")") { // as accountants write it
		negative, rest = true, strings.TrimSuffix(inner, ")")
	}
	first := strings.IndexFunc(rest, isDigit)
	last := strings.LastIndexFunc(rest, isDigit)
	if first < 0 {
		return a
	}
	before, number, after := rest[:first], rest[first:last+1], rest[last+1:]
	if strings.HasSuffix(before, ".") && (len(before) == 1 || strings.HasSuffix(before, " .")) { // .5
		before, number = before[:len(before)-1], "."+number
	}
	if n := strings.Count(before, "-"); n > 1 || n == 1 && negative {
		return a
	} else if n == 1 {
		negative, before = true, strings.Replace(before, "-", "", 1)
	}
	before, after = strings.TrimSpace(before), strings.TrimSpace(after)
	if after, a.percent = strings.CutSuffix(after, "%"); a.percent {
		after = strings.TrimSpace(after)
	} else if before, a.percent = strings.CutPrefix(before, "%"); a.percent {
		before = strings.TrimSpace(before)
	}
	if after == ",-" || after == ".-" || after == ",--" || after == ".--" { // no cents
		after = ""
	}
	switch {
	case before != "" && after != "":
		return amount{digits: s}
	case before != "":
		a.unit = before
	case after != "":
		a.unit = after
	}
	if a.unit != "" && (a.percent || !isCurrency(a.unit)) {
		return amount{digits: s}
	}
	for _, blank := range []string{" ", "'"} {
		if whole, _, _ := strings.Cut(strings.ReplaceAll(number, ",", "."), "."); inThousands(whole, blank) {
			number = strings.Replace(number, whole, strings.ReplaceAll(whole, blank, ""), 1)
		}
	}
	if strings.Trim(number, "0123456789.,") != "" {
		return amount{digits: s}
	}
	if a.digits = number; negative {
		a.digits = "-" + number
	}
	a.dressed = true
	return a
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

func isCurrency(s string) bool {
	if r, size := utf8.DecodeRuneInString(s); size == len(s) {
		return unicode.Is(unicode.Sc, r)
	}
	return currencies.MatchString(s)
}

// shape is how a number is written.
type shape uint8

const (
	shapeNone   shape = iota // no number
	shapePlain               // no separator: the same for everybody
	shapePoint               // only with a decimal point: 1.5, 1,234.50 or 1,234,567
	shapeComma               // only with a decimal comma: 1,5, 1.234,50 or 1.234.567
	shapeEither              // 1.234 or 1,234
)

// shapeOf finds out which decimal sign a number shows.
func shapeOf(s string) shape {
	s = strings.TrimLeft(s, "+-")
	points, commas := strings.Count(s, "."), strings.Count(s, ",")
	if strings.Trim(s, "0123456789.,") != "" {
		if commas == 0 && points <= 1 && strings.Trim(s, "0123456789.eE+-") == "" { // 1.5e3 is written by machines
			return shapePoint
		}
		return shapeNone
	}
	switch {
	case points == 0 && commas == 0:
		return shapePlain
	case points == 1 && commas == 0:
		return oneSign(s, ".", shapePoint)
	case commas == 1 && points == 0:
		return oneSign(s, ",", shapeComma)
	case commas == 1 && strings.LastIndexByte(s, '.') < strings.IndexByte(s, ',') && inThousands(s[:strings.IndexByte(s, ',')], "."):
		return shapeComma
	case points == 1 && strings.LastIndexByte(s, ',') < strings.IndexByte(s, '.') && inThousands(s[:strings.IndexByte(s, '.')], ","):
		return shapePoint
	case commas == 0 && inThousands(s, "."):
		return shapeComma
	case points == 0 && inThousands(s, ","):
		return shapePoint
	}
	return shapeNone
}

// oneSign is the shape of a number with one sign, which stands before a fraction for sure unless three digits follow it.
func oneSign(s, sign string, surely shape) shape {
	whole, fraction, _ := strings.Cut(s, sign)
	if len(fraction) == 3 && len(whole) >= 1 && len(whole) <= 3 && whole[0] != '0' {
		return shapeEither
	}
	return surely
}

// inThousands reports whether a whole number has the sign before each three digits.
func inThousands(s, sign string) bool {
	parts := strings.Split(s, sign)
	for i, p := range parts {
		if i > 0 && len(p) != 3 || i == 0 && (p == "" || len(p) > 3) {
			return false
		}
	}
	return len(parts) > 1
}

// plainSigns is the number with a decimal point and nothing between thousands.
func plainSigns(s string, d Decimal) string {
	if d == DecimalComma {
		return strings.Replace(strings.ReplaceAll(s, ".", ""), ",", ".", 1)
	}
	return strings.ReplaceAll(s, ",", "")
}

// number reads a number as those of its column are written.
func (r reading) number(s string) (record.Value, *problem) {
	if r.exact {
		return numberValue(strings.TrimSuffix(s, "%"))
	}
	written := s
	s = takeApart(s).digits
	how, as := r.decimal, shapeOf(s)
	switch {
	case how == NoDecimal && r.facts == nil: // a value alone
		return numberValue(s)
	case how == NoDecimal && as == shapeEither:
		return record.Value{}, &problem{code: BadNumber, message: quote(written) + " can be read in two ways" + r.facts.others(r.facts.eitherNumber), help: decimalHelp, once: true}
	case how == NoDecimal && as == shapeComma, how == DecimalComma && (as == shapeComma || as == shapeEither):
		return numberValue(plainSigns(s, DecimalComma))
	case how == NoDecimal && as == shapePoint, how == DecimalPoint && (as == shapePoint || as == shapeEither):
		return numberValue(plainSigns(s, DecimalPoint))
	case as == shapeComma || as == shapePoint:
		others := r.facts.comma
		if as == shapePoint {
			others = r.facts.point
		}
		return record.Value{}, &problem{
			code: BadNumber, message: fmt.Sprintf("%s is not written with a decimal %s%s", quote(written), how, r.facts.others(others)),
			help: "write all numbers of the column in the same way, or leave --decimal out, so that each is read as it is written", once: true,
		}
	}
	return numberValue(s)
}

func numberValue(s string) (record.Value, *problem) {
	bad := func(help string) (record.Value, *problem) {
		return record.Value{}, &problem{code: BadNumber, message: quote(s) + " is not a number", help: help}
	}
	digits, whole := 0, true
	for i := range len(s) {
		switch b := s[i]; {
		case b >= '0' && b <= '9':
			digits++
		case b == '+' || b == '-':
		case b == '.' || b == 'e' || b == 'E':
			whole = false
		case b == ',':
			return bad("write it without thousands separators and with a decimal point, like 1234.5")
		default:
			return bad("write it like 1234.5")
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		if errors.Is(err, strconv.ErrRange) {
			return record.Value{}, &problem{code: BadNumber, message: quote(s) + " is too large for a number", help: "numbers reach to about 1.8e308"}
		}
		return bad("write it like 1234.5")
	}
	if zeroFirst(s) {
		return record.Value{}, &problem{
			code: BadNumber, message: quote(s) + " would lose the zero that it begins with",
			help: "keep it in a text property, since it is a code and no number; or write it without the zero",
		}
	}
	if whole && digits > 15 && !exact(s, f) {
		return record.Value{}, &problem{code: BadNumber, message: quote(s) + " has more digits than a number holds", help: "keep it in a text property"}
	}
	return record.NumberValue(f), nil
}

// zeroFirst reports whether digits follow a zero at the beginning, as in 02139.
func zeroFirst(s string) bool {
	s = strings.TrimLeft(s, "+-")
	return len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9'
}
