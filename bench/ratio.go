package main

import (
	"fmt"
	"slices"
)

// spread summarizes several measurements of one quantity.
type spread struct{ min, median, max float64 }

// spreadOf returns the spread of the values, zero if there are none.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return spread{min: v[0], median: (v[(n-1)/2] + v[n/2]) / 2, max: v[n-1]}
}

// pairwise returns the spread of a[i] / b[i], pairs measured one right after the
// other. It skips pairs whose b is 0.
func pairwise(a, b []float64) spread {
	var ratios []float64
	for i := range min(len(a), len(b)) {
		if b[i] != 0 {
			ratios = append(ratios, a[i]/b[i])
		}
	}
	return spreadOf(ratios)
}

// times formats a spread of ratios.
func (s spread) times() string {
	return fmt.Sprintf("%.2f × (%.2f–%.2f)", s.median, s.min, s.max)
}

// share formats a spread of fractions as percentages.
func (s spread) share() string {
	return fmt.Sprintf("%.0f %% (%.0f–%.0f)", 100*s.median, 100*s.min, 100*s.max)
}
