package s3export

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/sink"
)

// A web console, a login page or an error page may respond with 200 to everything.
func TestResponseWithoutProofIsNoSuccess(t *testing.T) {
	const (
		html   = "<!doctype html><html><title>Console</title></html>"
		failed = "<Error><Code>InternalError</Code></Error>"
		want   = "not a valid S3 response (HTTP status code 200); check s3_parameters.endpoint"
	)
	for _, tt := range []struct {
		name, at, etag, body string
		reason               string
	}{
		{"put with no ETag", "put", "", "", want},
		{"put with a page", "put", "", html, want},
		{"put with a page and its weak ETag", "put", `W/"36-cDBl"`, html, want},
		{"put with a page and a strong ETag", "put", `"36-cDBl"`, html, want},
		{"put with a weak ETag", "put", `W/"0"`, "", want},
		{"part with a page and an ETag", "part", `"36-cDBl"`, html, want},
		{"create with a page", "create", "", html, want},
		{"create with nothing", "create", "", "", want},
		{"create with an endless id", "create", "", "<InitiateMultipartUploadResult><UploadId>" + strings.Repeat("x", maxProof+1) + "</UploadId></InitiateMultipartUploadResult>", want},
		{"part with no ETag", "part", "", "", want},
		{"part with a page", "part", "", html, want},
		{"complete with an ETag in its header alone", "complete", `"0"`, "", want},
		{"complete with a page", "complete", "", html, want},
		{"complete with a result without ETag", "complete", "", "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>", want},
		{"complete with an error", "complete", "", failed, "InternalError"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := open(t, exportTo(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if requestKind(r) != tt.at {
					discard(w, r)
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				if tt.etag != "" {
					w.Header().Set("ETag", tt.etag)
				}
				_, _ = io.WriteString(w, tt.body)
			}))))
			size := 6 << 20
			if tt.at == "put" {
				size = 100
			}
			v := x.Export(t.Context(), toFile(lines(1, size)), yes)
			if v.Outcome != sink.Retry || !strings.Contains(v.Reason, tt.reason) {
				t.Errorf("Export = %+v, want a Retry with %q", v, tt.reason)
			}
		})
	}
}

// A failure after the proof has arrived changes nothing.
func TestProofCountsWhateverFollows(t *testing.T) {
	for _, at := range []string{"put", "part", "complete"} {
		x := open(t, exportTo(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if discard(w, r); requestKind(r) != at {
				return
			}
			w.(http.Flusher).Flush()
			if at != "complete" {
				_, _ = io.WriteString(w, "<Err") // a body that breaks off
				w.(http.Flusher).Flush()
			}
			panic(http.ErrAbortHandler)
		}))))
		size := 6 << 20
		if at == "put" {
			size = 100
		}
		if v := x.Export(t.Context(), toFile(lines(1, size)), yes); v != delivered {
			t.Errorf("cut after the proof of %s: Export = %+v", at, v)
		}
	}
}

// The result of a completion counts as soon as it is whole, although the response
// does not end.
func TestResultCountsBeforeTheResponseEnds(t *testing.T) {
	ended := make(chan struct{})
	defer close(ended)
	for _, length := range []string{"", "5000"} { // chunked, or a Content-Length that does not come
		x := open(t, exportTo(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if requestKind(r) != "complete" {
				discard(w, r)
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			if length != "" {
				w.Header().Set("Content-Length", length)
			}
			for _, piece := range []string{"<?xml?>\n  ", `<CompleteMultipartUploadResult><ETag>"x"</ETag></CompleteMulti`, "partUploadResult>"} {
				_, _ = io.WriteString(w, piece)
				w.(http.Flusher).Flush()
			}
			<-ended
		}))))
		done := make(chan sink.Verdict, 1)
		go func() { done <- x.Export(t.Context(), toFile(lines(1, 6<<20)), yes) }()
		select {
		case v := <-done:
			if v != delivered {
				t.Errorf("Content-Length %q: Export = %+v", length, v)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("Content-Length %q: still waiting for the end of the response", length)
		}
	}
}
