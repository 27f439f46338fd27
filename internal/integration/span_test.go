package integration_test

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
)

// One span reads the same in every log entry.
func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		720 * time.Hour:         "30 days",
		24 * time.Hour:          "1 day",
		36 * time.Hour:          "36 hours",
		time.Hour:               "1 hour",
		90 * time.Minute:        "90 minutes",
		90 * time.Second:        "90 s",
		1500 * time.Millisecond: "1.5 s",
		0:                       "0 s",
	} {
		if got := integration.Span(d); got != want {
			t.Errorf("Span(%v) = %q, want %q", d, got, want)
		}
	}
}
