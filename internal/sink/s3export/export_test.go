package s3export

import (
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/sink"
)

var delivered = sink.Verdict{Outcome: sink.Delivered}

func TestFileIsWholeWhateverItsSize(t *testing.T) {
	tests := []struct {
		name    string
		n, size int
		want    []string // requests
	}{
		{"one event", 1, 100, []string{"put"}},
		{"small", 1000, 400, []string{"put"}},
		{"largest single request", 1, maxPut - 1, []string{"put"}},
		{"just over it", 1, maxPut, []string{"create", "part", "complete"}},
		{"exactly a part", 1, partSize - 1, []string{"create", "part", "complete"}},
		{"a byte more", 1, partSize, []string{"create", "part", "part", "complete"}},
		{"exactly two parts", 2, partSize - 1, []string{"create", "part", "part", "complete"}},
		{"many lines", 24, 256 << 10, []string{"create", "part", "part", "complete"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStore(t)
			var asked []string
			x := open(t, exportTo(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, requestKind(r))
				s.handler.ServeHTTP(w, r)
			}))))
			confirmed := 0
			v := x.Export(t.Context(), toFile(lines(tt.n, tt.size)), func(context.Context, handoff.Upload) error {
				confirmed++
				if keys, _ := s.files(t); len(keys) != 0 {
					t.Errorf("%v could be seen before confirm", keys)
				}
				return nil
			})
			if v != delivered || confirmed != 1 {
				t.Fatalf("Export = %+v, confirmed %d times", v, confirmed)
			}
			keys, content := s.files(t)
			if len(keys) != 1 || content[keys[0]] != text(lines(tt.n, tt.size)) {
				t.Errorf("%v is not the one whole file", keys)
			}
			if strings.Join(asked, " ") != strings.Join(tt.want, " ") {
				t.Errorf("requests %v, want %v", asked, tt.want)
			}
			if n := s.uploads(t); n != 0 {
				t.Errorf("%d multipart uploads are left", n)
			}
		})
	}
}

// requestKind returns the kind of a request that an export makes.
func requestKind(r *http.Request) string {
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		return "create"
	case r.Method == http.MethodPost && q.Has("uploadId"):
		return "complete"
	case r.Method == http.MethodPut && q.Has("partNumber"):
		return "part"
	case r.Method == http.MethodPut:
		return "put"
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		return "abort"
	case r.Method == http.MethodHead:
		return "head"
	}
	return r.Method + " " + r.URL.String()
}

func TestNoEventsMakeNoFile(t *testing.T) {
	s := newStore(t)
	x := open(t, exportTo(serve(t, s.handler)))
	v := x.Export(t.Context(), toFile(lines(0, 0)), func(context.Context, handoff.Upload) error {
		t.Error("confirm was called for no file")
		return nil
	})
	if v != delivered {
		t.Errorf("Export = %+v", v)
	}
	s.mustBeEmpty(t)
}

func TestNotConfirmedLeavesNothing(t *testing.T) {
	for name, size := range map[string]int{"small": 100, "in parts": 6 << 20} {
		s := newStore(t)
		x := open(t, exportTo(serve(t, s.handler)))
		v := x.Export(t.Context(), toFile(lines(1, size)), func(context.Context, handoff.Upload) error { return errors.New("no longer ours") })
		if v != (sink.Verdict{Outcome: sink.Interrupted}) {
			t.Errorf("%s: Export = %+v, want Interrupted", name, v)
		}
		s.mustBeEmpty(t)
	}
}

func TestConfirmHasADeadline(t *testing.T) {
	s := newStore(t)
	x := open(t, exportTo(serve(t, s.handler)))
	x.Export(t.Context(), toFile(lines(1, 100)), func(ctx context.Context, _ handoff.Upload) error {
		at, ok := ctx.Deadline()
		if left := time.Until(at); !ok || left > confirmTimeout {
			t.Errorf("confirm has %v (%v), want at most %v", left, ok, confirmTimeout)
		}
		return nil
	})
}

func TestCancelIsInterruptedAndLeavesNothing(t *testing.T) {
	for _, at := range []string{"create", "part", "complete", "put", "body", "confirm"} {
		t.Run(at, func(t *testing.T) {
			s := newStore(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			x := open(t, exportTo(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if requestKind(r) == at {
					cancel()
					if at == "create" { // the store has created the upload, but its id is lost
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					<-r.Context().Done()
					return
				}
				s.handler.ServeHTTP(w, r)
			}))))
			size := 3 << 20
			if at == "put" {
				size = 1000
			}
			bodies := func(yield func([]byte) bool) {
				for body := range lines(2, size) {
					if !yield(body) {
						return
					}
					if at == "body" {
						cancel()
					}
				}
			}
			v := x.Export(ctx, toFile(bodies), func(context.Context, handoff.Upload) error {
				if at == "confirm" {
					cancel()
				}
				return nil
			})
			unknown := at == "put" || at == "complete" // the store may have got it
			if v != (sink.Verdict{Outcome: sink.Interrupted, Unknown: unknown}) {
				t.Errorf("Export = %+v, want Interrupted", v)
			}
			if !unknown {
				s.mustBeEmpty(t)
			}
		})
	}
}

func TestExportsSideBySide(t *testing.T) {
	s := newStore(t)
	x := open(t, exportTo(serve(t, s.handler)))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if v := x.Export(t.Context(), toFile(lines(i+1, 400<<10)), yes); v != delivered {
				t.Errorf("Export = %+v", v)
			}
		})
	}
	all.Wait()
	_, content := s.files(t)
	seen := map[int]bool{}
	for _, c := range content {
		n := strings.Count(c, "\n")
		seen[n] = true
		if c != text(lines(n, 400<<10)) {
			t.Errorf("the file of %d lines is not what was written", n)
		}
	}
	if len(seen) != 8 {
		t.Errorf("%d files, want 8", len(seen))
	}
}

// discard is an S3 server that accepts everything and keeps nothing.
func discard(w http.ResponseWriter, r *http.Request) {
	buf := make([]byte, 32<<10)
	for {
		if _, err := r.Body.Read(buf); err != nil {
			break
		}
	}
	w.Header().Set("ETag", `"0"`)
	switch requestKind(r) {
	case "create":
		_, _ = io.WriteString(w, `<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>`)
	case "complete":
		_, _ = io.WriteString(w, `<CompleteMultipartUploadResult><ETag>"0"</ETag></CompleteMultipartUploadResult>`)
	}
}

// The test counts all allocations for a file of 50 MiB, of client and server, not
// only memory in use at the same time.
func TestMemoryOfALargeFile(t *testing.T) {
	x := open(t, exportTo(serve(t, http.HandlerFunc(discard))))
	bodies := lines(50*64, 16<<10)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	v := x.Export(t.Context(), toFile(bodies), yes)
	runtime.ReadMemStats(&after)
	if v != delivered {
		t.Fatalf("Export = %+v", v)
	}
	used := after.TotalAlloc - before.TotalAlloc
	t.Logf("allocated %d KiB", used>>10)
	if used > partSize+4<<20 {
		t.Errorf("a file of 50 MiB allocated %d KiB, want about one part", used>>10)
	}
}

func TestNameOfAFile(t *testing.T) {
	const ms = "1772366400123"
	tests := []struct{ prefix, tenant, want string }{
		{"in/events", "acme", `^in/events/acme/` + ms + `-data-[a-z0-9]{26}\.export$`},
		{"", "acme", `^acme/` + ms + `-data-[a-z0-9]{26}\.export$`},
		{"", "auth0|Me & You/x", `^auth0%7CMe%20%26%20You%2Fx/` + ms + `-data-`},
		{"", "a@b.example", `^a@b\.example/`},
		{"p", "..", `^p/%2E\./`},
		{"p", ".", `^p/%2E/`},
		{"p", "...", `^p/\.\.\./`},
		{"p", "50%", `^p/50%25/`},
		{"p", "ü", `^p/%C3%BC/`},
	}
	for _, tt := range tests {
		s := newStore(t)
		in := exportTo(serve(t, s.handler))
		in.S3.KeyPrefix = tt.prefix
		key := in.S3.SecretAccessKey
		in.Tenant = tt.tenant
		in.S3.SecretAccessKey.Ciphertext = []byte(strings.Replace(string(key.Ciphertext), "acme/", tt.tenant+"/", 1))
		x := open(t, in)
		for range 2 {
			if v := x.Export(t.Context(), toFile(lines(1, 10)), yes); v != delivered {
				t.Fatalf("Export = %+v", v)
			}
		}
		keys, _ := s.files(t)
		if len(keys) != 2 { // of the same millisecond
			t.Errorf("tenant %q: files %v, want two", tt.tenant, keys)
		}
		for _, k := range keys {
			if !regexp.MustCompile(tt.want).MatchString(k) {
				t.Errorf("tenant %q: key %s, want %s", tt.tenant, k, tt.want)
			}
		}
	}
}

func FuzzEscapeTenant(f *testing.F) {
	for _, s := range []string{"acme", "..", "a/b", "a%2Fb", "\x00", "ü"} {
		f.Add(s, s+"x")
	}
	segment := regexp.MustCompile(`^([A-Za-z0-9_.@-]|%[0-9A-F]{2})+$`)
	f.Fuzz(func(t *testing.T, a, b string) {
		ea, eb := escapeTenant(a), escapeTenant(b)
		if (a == b) != (ea == eb) {
			t.Errorf("%q and %q become %q and %q", a, b, ea, eb)
		}
		if a != "" && !segment.MatchString(ea) || ea == "." || ea == ".." {
			t.Errorf("%q becomes %q", a, ea)
		}
	})
}

func TestRegionWithCapitalsIsSignedAsItIs(t *testing.T) {
	var authorization string
	in := exportTo(serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { authorization = r.Header.Get("Authorization") })))
	in.S3.Region = "RegionOne"
	name := bucket
	_, _ = open(t, in).s3.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: &name})
	if !strings.Contains(authorization, "/RegionOne/s3/aws4_request") {
		t.Errorf("Authorization is %q, want the region RegionOne in it", authorization)
	}
}
