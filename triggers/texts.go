package triggers

import (
	"strconv"
	"strings"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// domainOf is what stands after the @ of an e-mail address, in the form in which addresses are compared; the flag is false
// where the text is no address.
func domainOf(s string) (string, bool) {
	address, err := record.NormalAddress(s)
	if err != nil || address == "" {
		return "", false
	}
	return address[strings.LastIndexByte(address, '@')+1:], true
}

// The signs before the fraction of a number that is read from a text.
const (
	pointSign = "point"
	commaSign = "comma"
)

// numberIn reads a number with a decimal point, or a decimal comma, from a text. The other sign may stand between
// thousands. The flag is false where the text is anything else.
func numberIn(s, sign string) (float64, bool) {
	decimal, thousands := ".", ","
	if sign == commaSign {
		decimal, thousands = thousands, decimal
	}
	s = strings.TrimSpace(s)
	digits := strings.TrimLeft(s, "+-")
	minus := s[:len(s)-len(digits)]
	if len(minus) > 1 || digits == "" {
		return 0, false
	}
	mantissa, exponent := digits, ""
	if i := strings.IndexAny(digits, "eE"); i >= 0 {
		mantissa, exponent = digits[:i], digits[i:]
	}
	whole, fraction, pointed := strings.Cut(mantissa, decimal)
	if pointed && fraction == "" || strings.Trim(fraction, "0123456789") != "" {
		return 0, false
	}
	groups := strings.Split(whole, thousands)
	for i, group := range groups {
		if strings.Trim(group, "0123456789") != "" || len(groups) > 1 && (i > 0 && len(group) != 3 || i == 0 && (group == "" || len(group) > 3)) {
			return 0, false
		}
	}
	if len(groups) > 1 && exponent != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(minus+strings.Join(groups, "")+"."+fraction+"0"+exponent, 64)
	if err != nil || whole == "" && fraction == "" {
		return 0, false
	}
	return f, true
}
