// Package table holds measurements and prints them: medians, spreads, ratios pair by pair, and targets met or missed.
//
// It promises that a ratio is the median of the ratios of single rounds, never a ratio of medians: what slows the
// machine down for a round slows both sides of the pair. It never measures anything itself.
package table

import (
	"slices"
)

// Sample is one measurement: an amount (seconds, bytes) for so many units (contacts, processes).
type Sample struct {
	Amount float64
	Units  float64
}

// Each is the amount for one unit; 0 without units.
func (s Sample) Each() float64 {
	if s.Units == 0 {
		return 0
	}
	return s.Amount / s.Units
}

// Median is the middle value, or the mean of the two in the middle; 0 of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Spread is half the distance between the smallest and the largest value, as a share of the median; 0 of none.
func Spread(values []float64) float64 {
	m := Median(values)
	if m == 0 {
		return 0
	}
	return (slices.Max(values) - slices.Min(values)) / 2 / m
}

// Ratio is the median over the rounds of a's amount for each unit divided by b's in the same round; 0 when there is no
// round that has both.
func Ratio(a, b []Sample) float64 {
	var ratios []float64
	for i := range min(len(a), len(b)) {
		if each := b[i].Each(); each > 0 {
			ratios = append(ratios, a[i].Each()/each)
		}
	}
	return Median(ratios)
}

// amounts are the samples' amounts.
func amounts(samples []Sample) []float64 {
	list := make([]float64, len(samples))
	for i, s := range samples {
		list[i] = s.Amount
	}
	return list
}
