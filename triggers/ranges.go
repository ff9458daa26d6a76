package triggers

import (
	"cmp"
	"math"
	"slices"
)

// cells is a set of column cells: inclusive ranges that are sorted, do not touch and do not overlap.
type cells []cellRange

type cellRange struct{ low, high uint64 }

// anyKnown is every cell but 0, which means unknown.
func anyKnown() cells { return cells{{1, math.MaxUint64}} }

func oneCell(c uint64) cells { return cells{{c, c}} }

func (s cells) contains(c uint64) bool {
	i, found := slices.BinarySearchFunc(s, c, func(r cellRange, c uint64) int { return cmp.Compare(r.low, c) })
	return found || i > 0 && c <= s[i-1].high
}

func (s cells) union(t cells) cells {
	all := slices.Concat(s, t)
	slices.SortFunc(all, func(a, b cellRange) int { return cmp.Compare(a.low, b.low) })
	var merged cells
	for _, r := range all {
		last := len(merged) - 1
		if last >= 0 && (merged[last].high == math.MaxUint64 || r.low <= merged[last].high+1) {
			merged[last].high = max(merged[last].high, r.high)
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

// complement is every cell that is not in s, 0 included.
func (s cells) complement() cells {
	var rest cells
	next := uint64(0)
	for _, r := range s {
		if r.low > next {
			rest = append(rest, cellRange{next, r.low - 1})
		}
		if r.high == math.MaxUint64 {
			return rest
		}
		next = r.high + 1
	}
	return append(rest, cellRange{next, math.MaxUint64})
}

func (s cells) intersect(t cells) cells {
	return s.complement().union(t.complement()).complement()
}

func (s cells) isAll() bool { return len(s) == 1 && s[0] == cellRange{0, math.MaxUint64} }

// firstCell finds the first cell from low ≤ c ≤ high for which holds is true; holds is false up to there and
// true from there on. The flag is false when it is true for none.
func firstCell(low, high uint64, holds func(c uint64) bool) (uint64, bool) {
	if !holds(high) {
		return 0, false
	}
	for low < high {
		middle := low + (high-low)/2
		if holds(middle) {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low, true
}
