package test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice/internal/event"
)

// The sample events can be published unchanged: each file has the events of the
// entity it is named after, with unique ids.
func TestSampleEvents(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "events", "samples", "*.ndjson"))
	if err != nil || len(files) < 6 {
		t.Fatalf("found %d files of sample events, %v; want one for each of six entities", len(files), err)
	}
	ids := map[string]bool{}
	orders := map[string]int{} // number of files that mention an order
	for _, file := range files {
		mentioned := map[string]bool{}
		for i, line := range lines(t, file) {
			var e struct {
				ID, Name string
				Payload  map[string]any
			}
			dec := json.NewDecoder(strings.NewReader(line))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&e); err != nil {
				t.Errorf("%s line %d: %v", file, i+1, err)
				continue
			}
			entity := strings.TrimSuffix(filepath.Base(file), ".ndjson")
			if !event.ValidName(e.Name) || event.Entity(e.Name) != entity || len(e.Payload) == 0 {
				t.Errorf("%s line %d: %q with a payload of %d fields is not an event of its entity", file, i+1, e.Name, len(e.Payload))
			}
			if id, err := uuid.Parse(e.ID); err != nil || id.Version() != 7 || ids[e.ID] {
				t.Errorf("%s line %d: %q is not a unique UUIDv7", file, i+1, e.ID)
			}
			ids[e.ID] = true
			if order, ok := e.Payload["order_id"].(string); ok && !mentioned[order] {
				mentioned[order] = true
				orders[order]++
			}
		}
	}
	if len(ids) < 300 {
		t.Errorf("%d sample events; the demo and the benchmarks need at least 300", len(ids))
	}
	whole := 0
	for _, n := range orders {
		if n >= 3 {
			whole++
		}
	}
	if whole < 20 {
		t.Errorf("only %d orders are in three or more files, so the files do not belong together", whole)
	}
}

func lines(t *testing.T, file string) []string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var out []string
	scan := bufio.NewScanner(f)
	for scan.Scan() {
		out = append(out, scan.Text())
	}
	if err := scan.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
