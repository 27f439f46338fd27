package bench

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/test/aws/bench/cost"
)

var update = flag.Bool("update", false, "write the report of measured.json into docs/benchmarks.md")

// TestPage holds docs/benchmarks.md to the recorded measurement.
func TestPage(t *testing.T) {
	const page, begin, end = "../../../docs/benchmarks.md", "<!-- aws -->\n", "<!-- /aws -->\n"
	m, err := cost.Read("measured.json")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the report", page)
	}
	var report strings.Builder
	if err := write(&report, m); err != nil {
		t.Fatal(err)
	}
	want := before + begin + report.String() + end + after
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("the page is not what the measurement makes; run 'go test ./test/aws/bench -update' (-want +got):\n%s", diff)
	}
}
