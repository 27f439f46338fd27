package delivery_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
)

// wantFiles fails unless each event is in exactly one file and no file is empty.
func wantFiles(t *testing.T, files []file, ids []string) {
	t.Helper()
	got := map[string]int{}
	for _, f := range files {
		if len(f.ids) == 0 {
			t.Error("an empty file")
		}
		for _, id := range f.ids {
			got[id]++
		}
	}
	for _, id := range ids {
		if got[id] != 1 {
			t.Errorf("%s is in %d files, want one", id, got[id])
		}
	}
	if len(got) != len(ids) {
		t.Errorf("%d events in files, want %d", len(got), len(ids))
	}
}

// With a steady stream of events, a file is started every five minutes, not as soon
// as the previous one is written.
func TestAFileEveryFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, nil)
		r.write = func([]string) sink.Verdict {
			time.Sleep(1300 * time.Millisecond)
			return delivered
		}
		r.register(bucketSpec("bucket"))
		time.Sleep(time.Second)
		var ids []string
		for range 3600 {
			ids = append(ids, r.publish(1)...)
			time.Sleep(time.Second)
		}
		time.Sleep(10 * time.Minute)
		files := r.exported()
		wantFiles(t, files, ids)
		if len(files) < 11 || len(files) > 13 {
			t.Errorf("%d files in an hour, want 12", len(files))
		}
		for i := 1; i < len(files); i++ {
			if d := files[i].created.Sub(files[i-1].created); d < 5*time.Minute || d > 5*time.Minute+10*time.Second {
				t.Errorf("file %d was started %v after the one before it", i+1, d)
			}
		}
	})
}

// If there is more than fits in a file, the next one is started at once. No file
// exceeds the size limit.
func TestFilesAreCutAtTheirSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const events, perFile = 1000, 30
		size := 0
		r := newRig(t, true, func(s *settings.Settings) {
			size = eventSize + 3 // a rig's ids are longer
			s.S3FileBytes = int64(perFile*(size+1) + 5)
		})
		r.register(bucketSpec("bucket"))
		time.Sleep(time.Second)
		var ids []string
		for range events / 20 {
			ids = append(ids, r.publish(20)...)
		}
		time.Sleep(6 * time.Minute)
		files := r.exported()
		wantFiles(t, files, ids)
		if want := (events + perFile - 1) / perFile; len(files) != want {
			t.Errorf("%d files, want %d", len(files), want)
		}
		for _, f := range files {
			if int64(f.bytes) > r.w.settings.S3FileBytes {
				t.Errorf("a file of %d bytes, want at most %d", f.bytes, r.w.settings.S3FileBytes)
			}
		}
	})
}

// While a bucket is down, the export backs off. Then it writes the same events;
// nothing is rejected.
func TestBucketThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, nil)
		down := true
		r.write = func([]string) sink.Verdict {
			if down {
				return sink.Verdict{Outcome: sink.Retry, Status: 503, Reason: "The bucket is down."}
			}
			return delivered
		}
		r.register(bucketSpec("bucket"))
		time.Sleep(time.Second)
		ids := r.publish(3)
		time.Sleep(time.Hour)
		synctest.Wait()
		retries := r.entries("bucket", integration.ActionRetryTriggered)
		if len(r.exported()) != 0 || len(retries) < 4 || !strings.HasPrefix(retries[0].Reason, "The bucket is down. Attempt 1 since ") {
			t.Errorf("files %v, log %v", r.exported(), retries)
		}
		down = false
		ids = append(ids, r.publish(2)...)
		time.Sleep(11 * time.Minute)
		wantFiles(t, r.exported(), ids)
		if n := len(r.entries("bucket", integration.ActionRecovered)); n != 1 {
			t.Errorf("%d entries say that it has recovered", n)
		}
	})
}

// A stop abandons the file that is being written.
func TestStopWhileAFileIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, func(s *settings.Settings) { s.S3FileInterval = time.Second })
		in := r.register(bucketSpec("bucket"))
		time.Sleep(time.Second)
		ids := r.publish(3)
		r.write = func([]string) sink.Verdict {
			t.Error("a file appeared after the stop")
			return delivered
		}
		// The stop comes between the last event and confirm: the cursor's next
		// commit is the lease that confirm renews.
		time.Sleep(time.Second - time.Millisecond)
		if _, err := r.life.Stop(t.Context(), tenant, in.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		r.write = func([]string) sink.Verdict { return delivered }
		if _, err := r.life.Start(t.Context(), tenant, in.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		wantFiles(t, r.exported(), ids)
	})
}

// During a shutdown a confirm still ends by its deadline, however long the store is
// unavailable: the bucket's request goes on meanwhile, and the lease covers no more.
func TestConfirmKeepsItsDeadlineInAShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = time.Second
		r := newRig(t, false, func(s *settings.Settings) { s.S3FileInterval = time.Second })
		r.screen(func([]store.Write) error {
			return when(r.ctx.Err() != nil, problem.New(problem.Unavailable, "busy"))
		})
		confirms := 0
		r.writes(func(_ context.Context, _ int, _ written, confirm confirmFunc) sink.Verdict {
			<-r.ctx.Done()
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			began := time.Now()
			err := confirm(ctx, handoff.Upload{Key: "file", ID: "upload"})
			if took := time.Since(began); err == nil || took > limit {
				t.Errorf("confirm returned %v after %v, want an error within %v", err, took, limit)
			}
			confirms++
			return cutOff
		})
		r.register(bucketSpec("bucket"))
		time.Sleep(time.Second)
		r.publish(3)
		time.Sleep(2 * time.Second)
		r.shutdown()
		if confirms != 1 {
			t.Errorf("%d confirms during the shutdown, want 1", confirms)
		}
	})
}
