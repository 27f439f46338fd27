package lifecycle_test

import (
	"slices"
	"testing"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
)

// A bucket is probed after each change that may have broken or mended it, and only then.
func TestChangesOfABucketAreProbed(t *testing.T) {
	b := setup(t)
	var probed []uint64
	b.Probe = func(in *integration.Integration) { probed = append(probed, in.Generation) }
	want := func(step string, generations ...uint64) {
		t.Helper()
		if !slices.Equal(probed, generations) {
			t.Errorf("%s: generations %v were probed, want %v", step, probed, generations)
		}
	}
	b.register(s3("files"))
	want("registration", 1)
	b.start("files")
	want("start while it runs", 1)
	b.stop("files")
	want("stop", 1)
	b.pass(quietAfter)
	prefix := func(s *integration.Spec) { s.S3.KeyPrefix = "a" }
	b.update("files", prefix)
	want("update", 1, 3)
	b.update("files", prefix)
	want("update that changes nothing", 1, 3)
	b.start("files")
	want("start", 1, 3, 4)
	b.register(webhook("hook"))
	want("a webhook", 1, 3, 4)
	_, err := b.Register(t.Context(), tenant, s3("files"))
	b.is(err, problem.AlreadyExists)
	want("a registration that failed", 1, 3, 4)
}
