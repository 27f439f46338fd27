package delivery_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	logmemory "github.com/sluicehq/sluice/internal/eventlog/memory"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
)

type confirmFunc = func(context.Context, handoff.Upload) error

// written is what one export had to write.
type written struct {
	again *handoff.Upload
	ids   []string
}

// writes is a bucket that gives the test's answers and records its exports. It pulls
// the events of a file only if the file is not already stored.
func (r *rig) writes(answer func(ctx context.Context, n int, w written, confirm confirmFunc) sink.Verdict) func() []written {
	var sent []written
	r.mu.Lock()
	defer r.mu.Unlock()
	r.export = func(ctx context.Context, f sink.File, confirm confirmFunc) sink.Verdict {
		r.mu.Lock()
		n := len(sent)
		r.mu.Unlock()
		w := written{again: f.Pending}
		if f.Pending == nil || n%2 == 0 {
			for body := range f.Bodies {
				w.ids = append(w.ids, idOf(body))
			}
		}
		r.mu.Lock()
		sent = append(sent, w)
		r.mu.Unlock()
		if confirm(ctx, handoff.Upload{Key: "file", ID: "upload", Size: int64(len(w.ids))}) != nil {
			return cutOff
		}
		return answer(ctx, n, w, confirm)
	}
	return func() []written {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.Clone(sent)
	}
}

// unanswered is a bucket that does not respond before the writer gives up.
func unanswered(ctx context.Context, confirm confirmFunc) sink.Verdict {
	for confirm(ctx, handoff.Upload{Key: "file", ID: "upload"}) == nil {
		select {
		case <-ctx.Done():
			return sink.Verdict{Outcome: sink.Interrupted, Unknown: true}
		case <-time.After(3 * time.Second):
		}
	}
	return sink.Verdict{Outcome: sink.Interrupted, Unknown: true}
}

var lost = sink.Verdict{Outcome: sink.Retry, Unknown: true, Reason: "No response."}

// A file whose response was lost is resolved before another is written. Events published
// meanwhile go into the next file.
func TestUnknownFileIsResolvedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, nil)
		sent := r.writes(func(_ context.Context, n int, _ written, _ confirmFunc) sink.Verdict {
			if n == 0 {
				r.publish(2)
				return lost
			}
			return delivered
		})
		r.register(bucketSpec("bucket"))
		time.Sleep(time.Second)
		first := r.publish(3)
		time.Sleep(20 * time.Minute)
		if len(sent()) != 3 {
			t.Fatalf("%d exports, want one, its lookup, and the next: %+v", len(sent()), sent())
		}
		resolved, next := sent()[1], sent()[2]
		if resolved.again == nil || resolved.again.Key != "file" || resolved.again.Size != 3 || resolved.ids != nil {
			t.Errorf("the second export is %+v, want a lookup of the first", resolved)
		}
		if next.again != nil || len(next.ids) != 2 || slices.Contains(next.ids, first[0]) {
			t.Errorf("the third export is %+v, want the two events after the file", next)
		}
		if u := r.cursor("bucket").Upload; u != nil {
			t.Errorf("still unknown: %+v", u)
		}
	})
}

// A file that is not stored is written again with the same events and key, whatever
// was published meanwhile.
func TestUnknownFileIsWrittenAgainAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, nil)
		sent := r.writes(func(_ context.Context, n int, _ written, _ confirmFunc) sink.Verdict {
			if n < 2 {
				r.publish(2)
				return lost
			}
			return delivered
		})
		r.register(bucketSpec("bucket"))
		time.Sleep(time.Second)
		first := r.publish(3)
		time.Sleep(20 * time.Minute)
		if len(sent()) < 4 {
			t.Fatalf("exports %+v", sent())
		}
		if again := sent()[2]; again.again == nil || !slices.Equal(again.ids, first) {
			t.Errorf("written again is %+v, want %v", again, first)
		}
	})
}

// A process that ends while a bucket is slow leaves its file to the next process.
func TestUnknownFileOutlivesTheProcess(t *testing.T) {
	for name, kill := range map[string]bool{"shutdown": false, "kill": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, nil)
				r.engine.Grace = 3 * time.Second
				r.writes(func(ctx context.Context, _ int, _ written, confirm confirmFunc) sink.Verdict {
					return unanswered(ctx, confirm)
				})
				r.register(bucketSpec("bucket"))
				time.Sleep(time.Second)
				r.publish(3)
				time.Sleep(6 * time.Minute)
				if u := r.cursor("bucket").Upload; u == nil {
					t.Fatal("the cursor does not say that a file may be stored")
				}
				if kill {
					r.crash()
				}
				sent := r.writes(func(context.Context, int, written, confirmFunc) sink.Verdict { return delivered })
				r.restart()
				time.Sleep(10 * time.Minute)
				if len(sent()) != 1 || sent()[0].again == nil {
					t.Errorf("exports of the next process %+v, want a lookup of the one file", sent())
				}
			})
		})
	}
}

// An export to a slow bucket keeps its lease but no place: others write meanwhile, and
// no other actor takes the cursor.
func TestSlowBucketBlocksNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, nil)
		r.bound(1)
		sent := r.writes(func(ctx context.Context, n int, _ written, confirm confirmFunc) sink.Verdict {
			for range 180 {
				if n > 0 {
					break
				}
				time.Sleep(3 * time.Second)
				if err := confirm(ctx, handoff.Upload{Key: "file", ID: "upload"}); err != nil {
					t.Errorf("confirm: %v", err)
				}
			}
			return delivered
		})
		r.register(bucketSpec("slow"))
		time.Sleep(time.Second)
		r.publish(1)
		time.Sleep(6 * time.Minute) // the first file has no response yet
		r.register(bucketSpec("other"))
		r.publish(1)
		time.Sleep(6 * time.Minute)
		if len(sent()) != 2 {
			t.Errorf("%d exports while the first has no response, want those of both buckets", len(sent()))
		}
		time.Sleep(10 * time.Minute)
		if len(sent()) != 3 {
			t.Errorf("%d exports, want three", len(sent()))
		}
	})
}

// While a bucket may still carry out a request, the status is stopping.
func TestStopIsNotStoppedWhileAFileMayAppear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, func(s *settings.Settings) { s.S3FileInterval = time.Minute })
		r.writes(func(ctx context.Context, n int, _ written, confirm confirmFunc) sink.Verdict {
			if n == 0 {
				return unanswered(ctx, confirm)
			}
			return delivered
		})
		in := r.register(bucketSpec("bucket"))
		time.Sleep(time.Second)
		ids := r.publish(3)
		time.Sleep(time.Minute + time.Second)
		sent := time.Now()
		if _, err := r.life.Stop(t.Context(), tenant, in.ID); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(sent); took > sink.ConfirmedTimeout {
			t.Errorf("the stop took %v", took)
		}
		if got := r.status(in.ID); got != integration.Stopping {
			t.Errorf("%s while the file may still appear", got)
		}
		time.Sleep(sink.UploadTimeout)
		if got := r.status(in.ID); got != integration.Stopped {
			t.Errorf("%s after the bucket's deadline", got)
		}
		if _, err := r.life.Start(t.Context(), tenant, in.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		if c := r.cursor("bucket"); c.Upload != nil || c.Offset.Segment != 1 {
			t.Errorf("after the start the file of %v is not resolved: %+v", ids, c)
		}
	})
}

// A response that arrives while the integration is stopping counts, and completes the
// stop.
func TestResponseDuringAStopCounts(t *testing.T) {
	for _, verdict := range []sink.Verdict{delivered, {Outcome: sink.Retry, Status: 403, Reason: "Refused."}} {
		t.Run(verdict.Outcome.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, func(s *settings.Settings) { s.S3FileInterval = time.Minute })
				answer := make(chan sink.Verdict, 1)
				sent := r.writes(func(context.Context, int, written, confirmFunc) sink.Verdict { return <-answer })
				in := r.register(bucketSpec("bucket"))
				time.Sleep(time.Second)
				r.publish(3)
				time.Sleep(time.Minute + time.Second)
				time.AfterFunc(time.Second, func() { answer <- verdict })
				if _, err := r.life.Stop(t.Context(), tenant, in.ID); err != nil {
					t.Fatal(err)
				}
				if got := r.status(in.ID); got != integration.Stopped {
					t.Errorf("%s after the response came", got)
				}
				if _, err := r.life.Start(t.Context(), tenant, in.ID); err != nil {
					t.Fatal(err)
				}
				answer <- delivered
				time.Sleep(5 * time.Minute)
				want := 1
				if verdict != delivered {
					want = 2
				}
				if got := sent(); len(got) != want || got[want-1].again != nil {
					t.Errorf("exports %+v, want %d", got, want)
				}
			})
		})
	}
}

// An update to another bucket or filter starts a new file.
func TestUpdateForgetsTheUnknownFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, func(s *settings.Settings) {
			s.S3FileInterval, s.RetryMin, s.RetryMax = time.Minute, time.Hour, time.Hour
		})
		sent := r.writes(func(_ context.Context, n int, _ written, _ confirmFunc) sink.Verdict {
			if n == 0 {
				return lost
			}
			return delivered
		})
		in := r.register(bucketSpec("bucket"))
		time.Sleep(time.Second)
		r.publish(3)
		time.Sleep(time.Minute + time.Second)
		if _, err := r.life.Stop(t.Context(), tenant, in.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(sink.UploadTimeout)
		spec := bucketSpec("bucket")
		spec.S3.Bucket = "other"
		if _, err := r.life.Update(t.Context(), tenant, in.ID, func(*integration.Integration) (integration.Spec, error) { return spec, nil }); err != nil {
			t.Fatal(err)
		}
		if _, err := r.life.Start(t.Context(), tenant, in.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if len(sent()) != 2 || sent()[1].again != nil || len(sent()[1].ids) != 3 {
			t.Errorf("exports %+v, want the three events in a file of their own", sent())
		}
	})
}

// stores is a bucket that never answers, and completes no file before the test says so. It
// cannot be asked for a file either. It returns what would be in each file, newest last.
func (r *rig) stores(answer func(n int) sink.Verdict) func() map[string][][]string {
	files, n := map[string][][]string{}, 0
	r.mu.Lock()
	defer r.mu.Unlock()
	r.export = func(ctx context.Context, f sink.File, confirm confirmFunc) sink.Verdict {
		u := handoff.Upload{Key: f.Created.String(), ID: "upload"}
		if f.Pending != nil {
			if u = *f.Pending; confirm(ctx, u) != nil {
				return sink.Verdict{Outcome: sink.Interrupted, Unknown: true}
			}
		}
		var ids []string
		for body := range f.Bodies {
			ids = append(ids, idOf(body))
		}
		if len(ids) == 0 {
			return delivered
		}
		if confirm(ctx, u) != nil {
			return sink.Verdict{Outcome: sink.Interrupted, Unknown: f.Pending != nil}
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		files[u.Key] = append(files[u.Key], ids)
		n++
		return answer(n)
	}
	return func() map[string][][]string {
		r.mu.Lock()
		defer r.mu.Unlock()
		return maps.Clone(files)
	}
}

// A file that may be stored is not written again with fewer events, if one of its segments
// has become damaged: what can still be read goes into a file of its own, as the first one
// may be whole.
func TestUnknownFileIsNotOverwrittenByASmallerOne(t *testing.T) {
	for name, damaged := range map[string][]uint64{
		"the first segment": {1}, "one between": {2}, "the last": {3}, "all of them": {1, 2, 3}, "the next file's": {4},
	} {
		for _, batch := range []int{1, 1 << 20} {
			t.Run(fmt.Sprintf("%s, in reads of %d", name, batch), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, false, func(s *settings.Settings) { s.S3FileInterval = time.Minute })
					r.engine.Observer = &skips{}
					r.engine.BatchBytes = batch
					files := r.stores(func(n int) sink.Verdict {
						if n == 1 {
							return lost
						}
						return delivered
					})
					since := time.Now().UTC().Truncate(time.Millisecond)
					ids := r.publish(1)
					ids = append(ids, r.publish(1)...)
					ids = append(ids, r.publish(1)...)
					spec := bucketSpec("bucket")
					spec.StartsAt = since
					r.register(spec)
					time.Sleep(time.Second / 10) // it backs off
					if len(files()) != 1 || r.cursor("bucket").Upload == nil {
						t.Fatalf("files %v, want one that may be stored", files())
					}
					ids = append(ids, r.publish(1)...)
					for _, n := range damaged {
						r.w.log.(*logmemory.Log).Damage(partition, n)
					}
					time.Sleep(time.Hour)
					arrived := map[string]int{}
					for key, contents := range files() {
						for _, c := range contents {
							if !slices.Equal(c, contents[0]) {
								t.Errorf("the file %s is written with %v, then with %v", key, contents[0], c)
							}
						}
						for _, id := range contents[len(contents)-1] {
							arrived[id]++
						}
					}
					for i, id := range ids {
						if !slices.Contains(damaged, uint64(i+1)) && arrived[id] == 0 {
							t.Errorf("event %d is in no file: %v", i+1, files())
						}
					}
					if c := r.cursor("bucket"); c.Upload != nil || c.State != handoff.Live {
						t.Errorf("finally %+v", c)
					}
				})
			})
		}
	}
}

// A replay whose events are trimmed, or damaged, while an upload of them has no response
// is complete, but stopping until the file can no longer appear.
func TestACompleteReplayIsNotStoppedWhileAFileMayAppear(t *testing.T) {
	for name, lose := range map[string]func(r *rig){
		"trimmed": func(r *rig) { r.w.log.(*logmemory.Log).Trim(time.Now()) },
		"damaged": func(r *rig) { r.w.log.(*logmemory.Log).Damage(partition, 1) },
	} {
		for _, sole := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, sole owner %v", name, sole), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, false, func(s *settings.Settings) { s.RetryMin, s.RetryMax = time.Minute, time.Minute })
					r.engine.Observer = &skips{}
					if !sole {
						r.engine.SoleOwner = nil
					}
					r.stores(func(int) sink.Verdict { return lost })
					since := time.Now()
					r.publish(3)
					time.Sleep(time.Second)
					r.register(replay(bucketSpec("bucket"), since, time.Now()))
					time.Sleep(100 * time.Millisecond)
					u := r.cursor("bucket").Upload
					if u == nil {
						t.Fatal("no file may be stored")
					}
					lose(r)
					var completed time.Time
					for completed.IsZero() {
						time.Sleep(100 * time.Millisecond)
						in, err := r.w.records.Integration(t.Context(), tenant, "bucket")
						if err != nil {
							t.Fatal(err)
						}
						completed = in.CompletedAt
					}
					if got := r.status("bucket"); !time.Now().Before(u.Until) || got != integration.Stopping {
						t.Errorf("%v before its file can no longer appear it is %s", time.Until(u.Until), got)
					}
					time.Sleep(sink.UploadTimeout)
					if got := r.status("bucket"); got != integration.Stopped {
						t.Errorf("finally it is %s", got)
					}
				})
			})
		}
	}
}
