package triggers

import (
	"encoding/binary"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestCellMatch holds each way of asking for cells to the set itself, at the edges of its ranges, with
// columns that end early and with words that are asked in part.
func TestCellMatch(t *testing.T) {
	t.Parallel()
	edge := rapid.OneOf(rapid.Uint64Range(0, 70), rapid.SampledFrom([]uint64{math.MaxUint64, math.MaxUint64 - 1, 1 << 63, 1<<63 - 1}), rapid.Uint64())
	rapid.Check(t, func(t *rapid.T) {
		var set cells
		var points []uint64
		for range rapid.IntRange(0, 5).Draw(t, "ranges") {
			a, b := edge.Draw(t, "a"), edge.Draw(t, "b")
			set = set.union(cells{{min(a, b), max(a, b)}})
			points = append(points, a, b, a-1, a+1, b-1, b+1)
		}
		if rapid.Bool().Draw(t, "flip") {
			set = set.complement()
		}
		slots := rapid.IntRange(1, 200).Draw(t, "slots")
		column := make([]byte, slots*8)
		for i := range slots {
			cell := edge.Draw(t, "cell")
			if len(points) > 0 && i%2 == 0 {
				cell = points[i%len(points)]
			}
			binary.LittleEndian.PutUint64(column[i*8:], cell)
		}
		column = column[:rapid.IntRange(0, slots).Draw(t, "there")*8]
		mask, out := make([]uint64, (slots+63)/64), make([]uint64, (slots+63)/64)
		for w := range mask {
			mask[w] = rapid.SampledFrom([]uint64{math.MaxUint64, 0, 5, 1 << 63}).Draw(t, "mask")
		}
		match := newCellMatch(set)
		match.test(column, mask, out)
		for i := range slots {
			cell := uint64(0)
			if i*8 < len(column) {
				cell = binary.LittleEndian.Uint64(column[i*8:])
			}
			in := false
			for _, r := range set {
				in = in || r.low <= cell && cell <= r.high
			}
			if got, want := out[i/64]>>(i%64)&1 == 1, in && mask[i/64]>>(i%64)&1 == 1; got != want || set.contains(cell) != in {
				t.Fatalf("cell %d in %v: %t, want %t", cell, set, got, want)
			}
		}
	})
}

func TestCells(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) cells {
			var set cells
			for range rapid.IntRange(0, 4).Draw(t, name) {
				a, b := rapid.Uint64Range(0, 12).Draw(t, "a"), rapid.Uint64Range(0, 12).Draw(t, "b")
				set = set.union(cells{{min(a, b), max(a, b)}})
			}
			return set
		}
		a, b := draw("first"), draw("second")
		for c := range uint64(15) {
			if got := a.union(b).contains(c); got != (a.contains(c) || b.contains(c)) {
				t.Fatalf("%v or %v: %d %t", a, b, c, got)
			}
			if got := a.intersect(b).contains(c); got != (a.contains(c) && b.contains(c)) {
				t.Fatalf("%v and %v: %d %t", a, b, c, got)
			}
			if got := a.complement().contains(c); got == a.contains(c) {
				t.Fatalf("not %v: %d %t", a, c, got)
			}
		}
		if !a.union(a.complement()).isAll() {
			t.Fatalf("%v and its complement are not all", a)
		}
	})
}
