package s3export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/sink/s3export/s3test"
)

// attempts writes one file as the engine does: the next attempt resolves an unknown
// outcome. It returns the verdicts.
func attempts(t testing.TB, x *Exporter, size int) []sink.Verdict {
	t.Helper()
	var verdicts []sink.Verdict
	var again, last *handoff.Upload
	for range 20 {
		f := sink.File{Created: noon, Bodies: lines(1, size), Pending: again}
		v := x.Export(context.Background(), f, func(_ context.Context, u handoff.Upload) error {
			u.Created, last = noon, &u
			return nil
		})
		verdicts = append(verdicts, v)
		if v.Outcome == sink.Delivered {
			return verdicts
		}
		if again = nil; v.Unknown {
			again = last
		}
	}
	t.Fatalf("not delivered: %+v", verdicts)
	return nil
}

// cuts lists where to cut the successive requests of each kind.
type cuts struct {
	mu   sync.Mutex
	plan map[string][]s3test.Cut
}

func (c *cuts) next(r *http.Request) s3test.Cut {
	c.mu.Lock()
	defer c.mu.Unlock()
	kind := requestKind(r)
	if len(c.plan[kind]) == 0 {
		return s3test.Nowhere
	}
	at := c.plan[kind][0]
	c.plan[kind] = c.plan[kind][1:]
	return at
}

// Wherever connections are cut, the events end up in the bucket exactly once: a
// file whose response was lost is found or overwritten.
func TestLostResponsesMakeNoSecondFile(t *testing.T) {
	cut := rapid.SliceOfN(rapid.SampledFrom([]s3test.Cut{s3test.Nowhere, s3test.BeforeBody, s3test.InBody, s3test.AfterStored, s3test.InResponse}), 0, 3)
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.SampledFrom([]int{100, maxPut}).Draw(rt, "size")
		mayAsk := rapid.Bool().Draw(rt, "the keys may ask for files")
		plan := &cuts{plan: map[string][]s3test.Cut{}}
		for _, kind := range []string{"create", "part", "put", "complete", "head"} {
			plan.plan[kind] = cut.Draw(rt, kind)
		}
		s := newStore(t)
		proxy := s3test.Proxy{Cut: plan.next}
		x := open(t, exportTo(proxy.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if requestKind(r) == "head" && !mayAsk {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			s.handler.ServeHTTP(w, r)
		}))))
		verdicts := attempts(t, x, size)
		keys, content := s.files(t)
		if len(keys) != 1 || content[keys[0]] != text(lines(1, size)) {
			rt.Fatalf("files %v, want the one whole file; verdicts %+v", keys, verdicts)
		}
		for _, v := range verdicts[:len(verdicts)-1] {
			if strings.Contains(v.Reason, "not a valid S3 response") {
				rt.Errorf("a cut connection is called %q", v.Reason)
			}
		}
	})
}

// losing serves a store that loses its answers to the first completions, and counts
// its requests by kind.
func losing(t *testing.T, completions int) (endpoint string, asked map[string]int) {
	var mu sync.Mutex
	asked = map[string]int{}
	proxy := s3test.Proxy{Cut: func(r *http.Request) s3test.Cut {
		mu.Lock()
		defer mu.Unlock()
		asked[requestKind(r)]++
		if requestKind(r) == "complete" && asked["complete"] <= completions {
			return s3test.AfterStored
		}
		return s3test.Nowhere
	}}
	return proxy.Serve(t, newStore(t).handler), asked
}

// A completion whose response was lost is repeated, without uploading again.
func TestLostCompletionUploadsNothingAgain(t *testing.T) {
	endpoint, asked := losing(t, 1)
	verdicts := attempts(t, open(t, exportTo(endpoint)), 6<<20)
	if len(verdicts) != 2 || verdicts[0].Outcome != sink.Retry || !verdicts[0].Unknown || asked["create"] != 1 || asked["part"] != 2 || asked["abort"] != 0 {
		t.Errorf("verdicts %+v, requests %v", verdicts, asked)
	}
}

// A request that was never sent or was refused is not unknown: the next attempt
// writes a new file.
func TestRefusalIsNotUnknown(t *testing.T) {
	for name, endpoint := range map[string]string{
		"refused":   serve(t, refuse(http.StatusForbidden, "AccessDenied")),
		"not there": "http://127.0.0.1:1",
	} {
		v := open(t, exportTo(endpoint)).Export(t.Context(), toFile(lines(1, 100)), yes)
		if v.Outcome != sink.Retry || v.Unknown {
			t.Errorf("%s: Export = %+v, want a Retry that is not unknown", name, v)
		}
	}
}

// An upload that cannot be completed is abandoned in the end.
func TestStuckCompletionIsNotRepeatedForever(t *testing.T) {
	s := newStore(t)
	x := open(t, exportTo(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requestKind(r) == "complete" && r.URL.Query().Get("uploadId") == "stuck" {
			t.Error("the stuck upload is completed once more")
		}
		s.handler.ServeHTTP(w, r)
	}))))
	u := &handoff.Upload{Key: "in/events/acme/1-data-a.export", ID: "stuck", ETags: []string{`"0"`}, Size: 101, Created: noon.Add(-completeFor)}
	f := sink.File{Created: noon, Bodies: lines(1, 100), Pending: u}
	if v := x.Export(t.Context(), f, yes); v != delivered {
		t.Errorf("Export = %+v", v)
	}
	if keys, _ := s.files(t); len(keys) != 1 || keys[0] != u.Key {
		t.Errorf("files %v, want %s", keys, u.Key)
	}
}

// Export waits minutes for a slow completion and keeps calling confirm.
func TestSlowResponseIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var confirmed []time.Duration
		u := &upload{confirm: func(context.Context, handoff.Upload) error {
			confirmed = append(confirmed, time.Since(began))
			return nil
		}}
		err := u.last(t.Context(), sink.UploadTimeout, func(context.Context) error {
			time.Sleep(9 * time.Minute)
			return nil
		})
		if err != nil || u.unknown {
			t.Errorf("last = %v, unknown %v", err, u.unknown)
		}
		for i := 1; i < len(confirmed); i++ {
			if d := confirmed[i] - confirmed[i-1]; d > sink.ConfirmedTimeout-confirmTimeout {
				t.Errorf("%v passed between two calls of confirm", d)
			}
		}
		if at := confirmed[len(confirmed)-1]; at < 9*time.Minute-sink.ConfirmedTimeout {
			t.Errorf("confirm was last called after %v", at)
		}
	})
}

// hanging is an HTTP client to a store that responds to the first n requests only.
type hanging struct {
	responses int
	http      interface {
		Do(*http.Request) (*http.Response, error)
	}
}

func (h *hanging) Do(r *http.Request) (*http.Response, error) {
	if h.responses--; h.responses < 0 {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return h.http.Do(r)
}

// created responds to the creation of an upload.
type created struct{}

func (created) Do(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	_, _ = io.WriteString(rec, "<InitiateMultipartUploadResult><UploadId>upload</UploadId></InitiateMultipartUploadResult>")
	res := rec.Result()
	res.Request = r
	return res, nil
}

// An upload may take as long as its size needs at the least throughput, and no longer: a
// store that hangs must not hold the place of a file for a minute, whatever its size.
func TestHangingStoreFailsByTheSizeOfTheUpload(t *testing.T) {
	for _, tt := range []struct {
		name      string
		size      int
		responses int
		want      time.Duration
	}{
		{"small file", 1000, 0, 11 * time.Second},
		{"largest single request", maxPut - 1, 0, 18 * time.Second},
		{"creation", partSize, 0, responseTimeout},
		{"part", partSize, 1, 50 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := open(t, exportTo("http://127.0.0.1:9"))
				o := x.s3.Options()
				o.HTTPClient = &hanging{responses: tt.responses, http: created{}}
				x.s3 = s3.New(o)
				began := time.Now()
				v := x.Export(t.Context(), toFile(lines(1, tt.size)), yes)
				took := time.Since(began)
				if tt.responses > 0 {
					took -= abortTimeout
				}
				if v.Outcome != sink.Retry || !strings.Contains(v.Reason, "no response within "+tt.want.String()) || took != tt.want {
					t.Errorf("after %v: %+v; want no response within %v", took, v, tt.want)
				}
			})
		})
	}
}

// If confirm fails the wait ends, unless the response comes first.
func TestWaitEndsWhenItIsNotConfirmed(t *testing.T) {
	for _, proof := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			u := &upload{confirm: func(context.Context, handoff.Upload) error {
				if time.Since(began) > 10*time.Second {
					return errors.New("no longer ours")
				}
				return nil
			}}
			err := u.last(t.Context(), sink.UploadTimeout, func(ctx context.Context) error {
				<-ctx.Done()
				if proof {
					return nil // the response arrived as the wait ended
				}
				return fmt.Errorf("sdk says: %w", ctx.Err())
			})
			if proof && err != nil || !proof && !errors.Is(err, errNotConfirmed) {
				t.Errorf("with proof %v: last = %v", proof, err)
			}
			if took := time.Since(began); took > 10*time.Second+sink.ConfirmedTimeout {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// A completion whose response is lost each time is resolved by asking for the key.
func TestCompletionWithoutAnyResponseIsResolvedByTheKey(t *testing.T) {
	endpoint, asked := losing(t, 2) // the store refuses the repeated completion: that response is lost too
	verdicts := attempts(t, open(t, exportTo(endpoint)), 6<<20)
	if len(verdicts) != 2 || verdicts[1].Outcome != sink.Delivered || asked["create"] != 1 || asked["complete"] != 2 {
		t.Errorf("verdicts %+v, requests %v", verdicts, asked)
	}
}
