// Package spelling guesses which word was meant, for "did you mean" in findings, refusals and reports of imports.
//
// It promises a guess only where the two words are nearly the same: a wrong guess is worse than none. It never changes
// what a person wrote.
package spelling

import "strings"

// longest is how long a word may be in bytes. No name is longer, and the work grows with the length.
const longest = 100

// Nearest is the word of the lists that is most like word, or "" when none is near enough. Of two that are equally near
// it is the first. A letter that is inserted, removed or changed counts as one difference, and so do two letters that
// changed places; upper and lower case are alike. A word of two to five letters may have one difference, a longer word
// one for every three letters.
func Nearest(word string, lists ...[]string) string {
	if len(word) > longest {
		return ""
	}
	letters := []rune(strings.ToLower(word))
	limit := len(letters) / 3
	if limit == 0 && len(letters) > 1 {
		limit = 1
	}
	best := ""
	for _, list := range lists {
		for _, candidate := range list {
			other := []rune(strings.ToLower(candidate))
			if len(other) > len(letters)+limit {
				continue
			}
			if d := distance(letters, other); d < limit || d == limit && best == "" {
				best, limit = candidate, d
			}
		}
	}
	return best
}

// distance is the number of differences between two words.
func distance(s, t []rune) int {
	before, last, row := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(s); i++ {
		row[0] = i
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(t)]
}
