package golden_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/test/aws/emulators"
	"github.com/sluicehq/sluice/test/aws/golden"
	"github.com/sluicehq/sluice/test/aws/stack"
)

var update = flag.Bool("update", false, "write the inputs that are generated from records, and the golden files")

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	flag.Parse()
	defer stack.RemoveBuilt()
	return emulators.Run(m)
}

// Every function has samples, and every sample belongs to a function.
func TestFunctionsHaveSamples(t *testing.T) {
	functions, err := filepath.Glob(filepath.Join(stack.Root(), "functions", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i, dir := range functions {
		functions[i] = filepath.Base(dir)
	}
	sampled, err := golden.Functions()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(functions)), slices.Sorted(slices.Values(sampled))); diff != "" {
		t.Errorf("functions/ and the folders of events/ differ (-functions +events):\n%s", diff)
	}
}

// Inputs are JSON, and their stream records are as the code encodes them.
func TestSampleRecordsAreMade(t *testing.T) {
	made := 0
	for _, c := range all(t) {
		want, err := c.InputOf()
		if err != nil {
			t.Errorf("%s: %v", c, err)
		}
		if want == nil {
			if input, err := c.Input(); c.Function == "fanout" || err != nil || !json.Valid(input) {
				t.Errorf("%s has no readable records, so its input must be JSON: %v", c, err)
			}
			continue
		}
		made++
		if *update {
			if err := c.WriteInput(want); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := c.Input(); err != nil || !bytes.Equal(want, got) {
			t.Errorf("%s does not match its records: %v; run this test with -update", c, err)
		}
	}
	if made == 0 {
		t.Error("no sample is generated from records; the search for them is broken")
	}
}

// TestSamples runs each sample through the real function.
func TestSamples(t *testing.T) {
	if testing.Short() {
		t.Skip("it deploys a stack")
	}
	w := golden.New(t)
	for _, c := range all(t) {
		t.Run(c.String(), func(t *testing.T) {
			ran, err := w.Run(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			got, err := w.Text(c, ran.Outcome)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := c.WriteGolden(got); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := c.Golden()
			if err != nil {
				t.Fatalf("%v; run this test with -update and review what it writes", err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("the outcome differs (-want +got):\n%s\nthe function wrote:\n%s", diff, ran.Log)
			}
		})
	}
}

func all(t *testing.T) []golden.Case {
	t.Helper()
	functions, err := golden.Functions()
	if err != nil {
		t.Fatal(err)
	}
	var cases []golden.Case
	for _, f := range functions {
		of, err := golden.Cases(f)
		if err != nil {
			t.Fatal(err)
		}
		if len(of) == 0 {
			t.Errorf("%s has no samples", f)
		}
		cases = append(cases, of...)
	}
	return cases
}
