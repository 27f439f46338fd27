package aws

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sluicehq/sluice/test/aws/emulators"
	"github.com/sluicehq/sluice/test/aws/front"
	"github.com/sluicehq/sluice/test/aws/stack"
)

// TestGivenUpBatches makes fanout fail for a tenant until the event source mapping gives up.
// A sweep counts what the bucket then has, an operator redrives it, and all events arrive.
func TestGivenUpBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stack.Options{RecordAge: 3 * time.Second})
	r := w.newRound(t)
	separate := w.newRoundInOtherLane(t, r)
	to, other := r.register("one", nil), separate.register("one", nil)
	r.publish(3, 0)
	w.until(t, "all arrived", func() bool { return r.lacks(to) == 0 })
	repair := w.Front.Inject(front.Fault{Kind: front.Error500, Match: func(service, op string, body []byte) bool {
		return service == front.DynamoDB && op == "PutItem" && bytes.Contains(body, []byte("S#0#"+r.name))
	}})
	r.publish(3, 0)
	r.publish(3, 0)
	separate.publish(3, 0)
	w.until(t, "the other tenant's events arrived", func() bool { return separate.lacks(other) == 0 })
	w.until(t, "the batches that cannot be appended are given up", func() bool { return w.givenUp(t) > 0 && w.Poller.Idle() })
	repair()
	if n := r.lacks(to); n != 6 {
		t.Fatalf("%d events wait for a redrive, want 6", n)
	}
	if d := w.Poller.Stats().Discarded; d != 2 {
		t.Errorf("%d records were given up, want 2", d)
	}
	if n := w.counted(t); n != w.givenUp(t) {
		t.Errorf("the sweep counts %d batches, the bucket has %d", n, w.givenUp(t))
	}
	w.redrive(t)
	w.until(t, "all arrived", func() bool { return r.lacks(to) == 0 })
	w.until(t, "the stream is drained", w.Poller.Idle)
	if n := w.givenUp(t); n > 0 || w.counted(t) != 0 {
		t.Errorf("%d objects are still in the bucket", n)
	}
}

// givenUp returns the number of batches in the bucket that were given up.
func (w *world) givenUp(t *testing.T) int {
	t.Helper()
	out, err := w.S3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &w.Bucket, Prefix: aws.String("aws/lambda/")})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Contents)
}

// counted sweeps, and returns the number of such batches in the sweep's metric.
func (w *world) counted(t *testing.T) int {
	t.Helper()
	if err := w.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`"BatchesGivenUp":(\d+)`).FindAllSubmatch(w.Host.Log("sweep"), -1)
	if len(all) == 0 {
		t.Fatal("the sweep has not counted the batches that were given up")
	}
	n, err := strconv.Atoi(string(all[len(all)-1][1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// redrive runs cmd/redrive as an operator does.
func (w *world) redrive(t *testing.T) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "redrive")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/sluicehq/sluice/cmd/redrive").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), path, "--stream", w.Stream, "--bucket", w.Bucket, "--yes")
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+w.Front.URL(), "AWS_REGION="+emulators.Region,
		"AWS_ACCESS_KEY_ID=AKIDTEST", "AWS_SECRET_ACCESS_KEY=test")
	out, err := cmd.CombinedOutput()
	t.Logf("redrive: %s", out)
	if err != nil {
		t.Fatalf("redrive: %v", err)
	}
}
