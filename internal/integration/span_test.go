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

func TestAbout(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                                    "0 s",
		449 * time.Millisecond:               "0.4 s",
		8*time.Second + 900*time.Millisecond: "8 s",
		time.Minute:                          "1 min",
		90 * time.Second:                     "1 min 30 s",
		3*time.Hour + 4*time.Minute + 59*time.Second: "3 h 4 min",
		3*time.Hour + 4*time.Second:                  "3 h",
		71*time.Hour + 59*time.Minute:                "2 d 23 h",
	} {
		if got := integration.About(d); got != want {
			t.Errorf("About(%v) = %q, want %q", d, got, want)
		}
	}
}
