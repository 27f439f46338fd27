package bench

import (
	"archive/zip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/publish/kinesis"
	"github.com/sluicehq/sluice/test/aws/bench/cost"
	"github.com/sluicehq/sluice/test/aws/stack"
)

// names are those of the functions.
var names = []string{"api", "fanout", "advance", "sweep"}

// trivial are invocations with next to nothing to do.
var trivial = map[string]string{
	"api": `{"version":"2.0","routeKey":"GET /healthz","rawPath":"/healthz","headers":{},
		"requestContext":{"http":{"method":"GET","path":"/healthz","protocol":"HTTP/1.1"},"stage":"$default"}}`,
	"fanout":  `{"Records":[]}`,
	"advance": `{"tenant":"nobody","integration":"none","lane":0,"version":"1","shadow":false,"wait_seconds":0,"count":0,"next":"wait","renewal":""}`,
	"sweep":   `{"time":"2026-01-01T00:00:00Z"}`,
}

const starts = 9 // of each function

func (s *stage) functions() []cost.Function {
	s.say("start each function %d times", starts)
	zips := zipSizes(s.t)
	var list []cost.Function
	for _, name := range names {
		var inits, cpu []float64
		f := cost.Function{Name: name, ZipBytes: zips[name]}
		for range starts {
			s.Host.Recycle(name)
			r := s.invoke(name, []byte(trivial[name]))
			inits, cpu = append(inits, ms(r.InitDuration)), append(cpu, ms(r.CPU))
			f.RSS = max(f.RSS, r.MaxRSS)
		}
		f.InitMS, f.InitCPU = median(inits), median(cpu)
		list = append(list, f)
	}
	return list
}

// zipSizes builds the functions as make build-functions does, and packs them.
func zipSizes(t testing.TB) map[string]int64 {
	dir := t.TempDir()
	sizes := map[string]int64{}
	for _, name := range names {
		path := filepath.Join(dir, name)
		cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-tags", "lambda.norpc", "-trimpath",
			"-ldflags", "-s -w -buildid=", "-o", path, "./functions/"+name)
		cmd.Dir = stack.Root()
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, out)
		}
		size, err := zipped(path)
		if err != nil {
			t.Fatal(err)
		}
		sizes[name] = size
	}
	return sizes
}

// zipped is the size of a file in an archive.
func zipped(path string) (int64, error) {
	in, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = in.Close() }()
	var size counter
	archive := zip.NewWriter(&size)
	out, err := archive.Create("bootstrap")
	if err != nil {
		return 0, err
	}
	if _, err := io.Copy(out, in); err != nil {
		return 0, err
	}
	return int64(size), archive.Close()
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

const (
	fullRecords = 100
	// fullData is how much data each of these has, so that all of them, base64 in
	// JSON, take the 6 MB of an invocation.
	fullData = 46_500
)

// fullBatches gives fanout as much as one invocation can have, in records of one
// partition with ten followers.
func (s *stage) fullBatches() []cost.FullBatch {
	kinds := []struct {
		what string
		most int // n of the largest record
		of   func(n int) (events int, payload func(int) []byte)
	}{
		{"random text, hardly compressible", 64_000, func(n int) (int, func(int) []byte) { return 1, func(int) []byte { return noise(n) } }},
		{"orders of 1 KB", 800, func(n int) (int, func(int) []byte) { return n, order }},
		{"one text again and again", 255_000, func(n int) (int, func(int) []byte) { return 4, func(int) []byte { return monotone(n) } }},
	}
	var list []cost.FullBatch
	for i, kind := range kinds {
		s.say("a full batch: %s", kind.what)
		tn := s.newTenant(fmt.Sprintf("full-%d", i), 10, 0)
		n := kind.most
		for ; ; n -= kind.most / 50 {
			if r := tn.record(kind.of(n)); len(kinesis.Encode(r.Events)) <= fullData {
				break
			}
		}
		var batch []Record
		full := cost.FullBatch{What: kind.what}
		for range fullRecords {
			r := tn.record(kind.of(n))
			full.Events += len(r.Events)
			for _, e := range r.Events {
				full.Bodies += len(e.Body)
			}
			batch = append(batch, r)
		}
		payload := s.batch(batch...)
		s.Host.Recycle("fanout")
		s.invoke("fanout", []byte(trivial["fanout"]))
		r := s.invoke("fanout", payload)
		full.Payload, full.RSS, full.BilledMS = len(payload), r.MaxRSS, r.BilledMS
		full.Left = tn.webhooks - tn.followers(s.t.Context())
		list = append(list, full)
		s.quiet()
	}
	return list
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// median of values, 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}
