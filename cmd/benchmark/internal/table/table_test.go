package table

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMedianAndSpread(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values         []float64
		median, spread float64
	}{
		{nil, 0, 0},
		{[]float64{4}, 4, 0},
		{[]float64{9, 1, 2}, 2, 2},
		{[]float64{8, 2, 4, 6}, 5, 0.6},
	} {
		if got := Median(c.values); got != c.median {
			t.Errorf("Median(%v) = %v, want %v", c.values, got, c.median)
		}
		if got := Spread(c.values); got != c.spread {
			t.Errorf("Spread(%v) = %v, want %v", c.values, got, c.spread)
		}
	}
	values := []float64{3, 1, 2}
	Median(values)
	if diff := cmp.Diff([]float64{3, 1, 2}, values); diff != "" {
		t.Errorf("Median changed what it was given:\n%s", diff)
	}
}

// The second round was slow for both: the ratio of medians would be 3/1, pair by pair it is 2.
func TestRatio_IsPairByPair(t *testing.T) {
	t.Parallel()
	a := []Sample{{2, 1}, {20, 1}, {3, 1}}
	b := []Sample{{1, 1}, {10, 1}, {1, 1}}
	if got := Ratio(a, b); got != 2 {
		t.Errorf("Ratio = %v, want 2", got)
	}
	if got := Ratio([]Sample{{10, 100}}, []Sample{{10, 10}}); got != 0.1 {
		t.Errorf("Ratio of different units = %v, want 0.1", got)
	}
	if got := Ratio(a, nil); got != 0 {
		t.Errorf("Ratio to nothing = %v, want 0", got)
	}
}

func rows() []Row {
	return []Row{
		{
			What: "evaluate", Samples: []Sample{{0.02, 1e6}, {0.03, 1e6}, {0.02, 1e6}}, Note: "A sample.",
			Against: []Against{
				{Name: "GET", Limit: true, Samples: []Sample{{0.015, 1e6}, {0.015, 1e6}, {0.015, 1e6}}, AtLeast: 0.6},
				{Name: "obvious", Samples: []Sample{{1, 5e4}, {1, 5e4}, {1, 5e4}}, AtLeast: 2000},
			},
		},
		{
			What: "memory", Unit: Bytes, Samples: []Sample{{6e8, 1e6}},
			Against: []Against{{Name: "hash", Samples: []Sample{{1e9, 1e6}}, AtMost: 0.6}},
			Bounds:  []Bound{{Text: "≤ 150 MB", Met: false}},
		},
	}
}

func TestPrint(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	Print(&b, rows(), false)
	want := `
what            median  spread  rate or each  of its limit  against          target                           met
evaluate [1]   20.0 ms  ± 25 %  50,000,000/s  0.75 of GET   1,000 × obvious  ≥ 0.6 of GET, ≥ 2,000 × obvious  yes, NO
memory        600.0 MB   ± 0 %    600 B each                0.6 × hash       ≤ 0.6 × hash, ≤ 150 MB           yes, NO

[1] A sample.
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), b.String()); diff != "" {
		t.Errorf("the table differs (-want +got):\n%s", diff)
	}
}

func TestPrint_Markdown(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	Print(&b, rows()[1:], true)
	want := "| what | median | spread | rate or each | of its limit | against | target | met |\n" +
		"| --- | --- | --- | --- | --- | --- | --- | --- |\n" +
		"| memory | 600.0 MB | ± 0 % | 600 B each |  | 0.6 × hash | ≤ 0.6 × hash, ≤ 150 MB | yes, NO |\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("the table differs (-want +got):\n%s", diff)
	}
}
