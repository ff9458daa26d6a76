package definition

import (
	"strconv"
	"strings"
)

// Percent is a percentage with at most two decimals: 10 %, 0.5 %.
func Percent(p float64) string {
	s := strconv.FormatFloat(p, 'f', 2, 64)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	return s + " %"
}
