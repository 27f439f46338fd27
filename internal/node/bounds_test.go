package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/secret"
)

// An integration that waits for a place for its file is stopped, and deleted, while all
// places stay taken.
func TestAStopDoesNotWaitForAPlaceForFiles(t *testing.T) {
	n := openNodeWith(t, t.TempDir(), func(c *Config) { c.MaxFiles = 4 })
	defer closeNode(t, n)
	files := n.places.Steps[delivery.Export]
	taken := 0
	for files.Take(fmt.Sprint("other", taken), nil) {
		taken++
	}
	ids := []string{"stopped", "deleted"}
	for _, id := range ids {
		_, err := n.life.Register(t.Context(), "acme", integration.Spec{
			ID: id, Type: integration.Permanent, StartsAt: time.Now().Add(-time.Hour).UTC().Truncate(time.Millisecond),
			S3: &integration.S3Spec{
				AccessKeyID: "AK", SecretAccessKey: secret.NewString("a secret key"), Region: "eu-central-1", Bucket: "bucket", Endpoint: "http://127.0.0.1:1",
			},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	publishTo(t, n, 1)
	until(t, "both wait for a place", func() bool { return files.Waiting() == len(ids) })
	if in, err := n.life.Stop(t.Context(), "acme", "stopped"); err != nil || in.StatusAt(time.Now()) != integration.Stopped {
		t.Errorf("Stop: %+v, %v", in, err)
	}
	if err := n.life.Delete(t.Context(), "acme", "deleted"); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if files.Waiting() != len(ids) || files.Held() != taken {
		t.Errorf("%d wait and %d places are taken, want that nothing has changed", files.Waiting(), files.Held())
	}
	for i := range taken {
		files.Give(fmt.Sprint("other", i))
	}
	until(t, "nobody waits", func() bool { return files.Waiting() == 0 && files.Held() == 0 })
}

// The disk space of events whose retention has passed is given back.
func TestATrimGivesTheDiskBack(t *testing.T) {
	dir := t.TempDir()
	n := openNode(t, dir)
	defer closeNode(t, n)
	payload := []byte(`"` + strings.Repeat("x", 256<<10) + `"`)
	for i := range 96 { // 24 MiB
		if err := n.log.Publish(t.Context(), "acme", event.Lanes{Each: 1}, []event.Draft{{ID: fmt.Sprint("e", i), Name: "order.created", Payload: payload}}); err != nil {
			t.Fatal(err)
		}
	}
	size := func() int64 {
		info, err := os.Stat(filepath.Join(dir, "sluice.db"))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	n.db.Checkpoint()
	until(t, "the events are in the database", func() bool { return size() > 8<<20 })
	n.trim(t.Context(), n.now().Add(40*24*time.Hour))
	until(t, "the file is smaller", func() bool { n.db.Checkpoint(); return size() < 8<<20 })
}
