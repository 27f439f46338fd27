package bench

import (
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/sluicehq/sluice/test/aws/emulators"
	"github.com/sluicehq/sluice/test/aws/stack"
)

var jsonFile = flag.String("json", "", "file for the figures, such as measured.json")

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	flag.Parse()
	defer stack.RemoveBuilt()
	return emulators.Run(m)
}

// TestBench measures, if it is asked to, and prints a report in Markdown.
func TestBench(t *testing.T) {
	if os.Getenv("SLUICE_BENCH") == "" {
		t.Skip("set SLUICE_BENCH to measure, which takes a quarter of an hour; or run 'make bench-aws'")
	}
	command := "make bench-aws"
	if testing.Short() {
		command += " ARGS=-test.short"
	}
	m := Run(t, command, testing.Short())
	if err := write(os.Stdout, m); err != nil {
		t.Fatal(err)
	}
	if *jsonFile == "" {
		return
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(*jsonFile, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
