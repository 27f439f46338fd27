// Package model has models of the hand-off between live delivery and catch-up, and of how lanes
// grow. Each is a program that explores every interleaving of a small case.
package model

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// What docs/adr/0027-each-batch-commits.md says of each variant is what the model says, in
// small cases. The larger ones of the page take half a minute each.
func TestWaysToCommit(t *testing.T) {
	const faults, givenUp, calm = "2,1,2,0,0,0", "2,1,2,1,0,1", "2,1,4,0,0,0"
	const odd = "2,1,1,0,0,0" // every second batch commits, so that the last one does not
	for _, c := range []struct {
		variant, size, want string
	}{
		{"every", faults, "holds"},
		{"every", givenUp, "holds"},
		{"every", calm, "holds; 0 sent again without a fault"},
		{"blind", faults, "VIOLATION lost"},
		{"read", odd, "VIOLATION stranded"},
		{"read+end", faults, "holds"},
		{"read+end", givenUp, "holds"},
		{"read+end", calm, "holds; 1 sent again without a fault"},
		{"carry", faults, "VIOLATION stranded"},
		{"carry+end", faults, "holds"},
		{"carry+end", givenUp, "holds"},
		{"carry+end", calm, "holds; 1 sent again without a fault"},
		{"order", faults, "VIOLATION lost"},
		{"order+end", faults, "holds"},
		{"order+end", givenUp, "VIOLATION lost"},
		{"order+end", calm, "holds; 0 sent again without a fault"},
	} {
		t.Run(c.variant+" "+c.size, func(t *testing.T) {
			args := []string{c.variant, c.size}
			if c.size == calm {
				args = append(args, "calm")
			}
			says(t, c.want, "livecommit.py", args...)
		})
	}
}

// What docs/adr/0024-lanes-of-a-tenant.md does in three steps loses an event without any of them.
func TestHowLanesGrow(t *testing.T) {
	const small, crashes = "1,1,1", "1,1,2"
	for _, c := range []struct {
		variant, size, want string
	}{
		{"ok", crashes, "holds"},
		{"open-first", small, "VIOLATION lost"},
		{"no-widen", small, "VIOLATION lost"},
		{"blind", small, "VIOLATION lost"},
		{"blind-start", small, "VIOLATION lost"},
		{"no-replay", small, "VIOLATION lost"},
	} {
		t.Run(c.variant, func(t *testing.T) { says(t, c.want, "lanes.py", c.variant, c.size) })
	}
}

// says runs a model, and compares what it says of all states.
func says(t *testing.T, want, model string, args ...string) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("no python3: the model does not run")
	}
	out, _ := exec.CommandContext(t.Context(), python, append([]string{model}, args...)...).Output() // it exits with 1 for a violation
	first, _, _ := strings.Cut(string(out), "\n")
	if _, got, _ := strings.Cut(first, " states; "); got != want {
		t.Errorf("the model says %q, want %q", first, want)
	}
}
