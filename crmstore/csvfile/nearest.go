package csvfile

import "strings"

// nearest is the known word most like s, or "" when none is near enough to be what was meant.
func nearest(s string, lists ...[]string) string {
	if len(s) > 100 {
		return "" // no name is that long, and the search takes time with the length
	}
	s = strings.ToLower(s)
	letters := len([]rune(s))
	best, at := "", max(min(2, letters/2), letters/3)+1
	for _, words := range lists {
		for _, w := range words {
			if d := distance(s, strings.ToLower(w)); d < at {
				best, at = w, d
			}
		}
	}
	return best
}

// distance counts the letters to insert, drop or change to make a into b.
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	row := make([]int, len(t)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range s {
		corner := row[0]
		row[0] = i + 1
		for j, y := range t {
			cost := corner
			if x != y {
				cost = 1 + min(corner, row[j], row[j+1])
			}
			corner, row[j+1] = row[j+1], cost
		}
	}
	return row[len(t)]
}
