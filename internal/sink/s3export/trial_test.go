package s3export

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/sink"
)

// refusing is a store that refuses some requests, and records all.
type refusing struct {
	http.Handler
	mu       sync.Mutex
	refuse   func(r *http.Request) bool
	requests []string
}

func (h *refusing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	refused := h.refuse(r)
	h.requests = append(h.requests, r.Method+" "+r.URL.Path)
	h.mu.Unlock()
	if !refused {
		h.Handler.ServeHTTP(w, r)
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusForbidden)
	_, _ = io.WriteString(w, "<Error><Code>AccessDenied</Code></Error>")
}

func none(*http.Request) bool { return false }
func method(name string) func(r *http.Request) bool {
	return func(r *http.Request) bool { return r.Method == name }
}

func testEvent() *event.Event {
	e := event.Draft{ID: "0195f3a0-7b1c-7c3d-8e9f-000000000001", Name: "sluice.test", Payload: []byte(`{"test":true}`)}.Stamp("acme", noon)
	return &e
}

func TestTestLeavesNoFile(t *testing.T) {
	s := newStore(t)
	h := &refusing{Handler: s.handler, refuse: none}
	v := open(t, exportTo(serve(t, h))).Test(t.Context(), testEvent())
	if v.Outcome != sink.Delivered || v.Cause != "" || v.Status != 200 {
		t.Errorf("%+v", v)
	}
	if len(h.requests) != 2 || !strings.HasPrefix(h.requests[0], "PUT /"+bucket+"/in/events/acme/sluice-test-") || h.requests[1] != "DELETE"+strings.TrimPrefix(h.requests[0], "PUT") {
		t.Errorf("requests: %q", h.requests)
	}
	s.mustBeEmpty(t)
}

func TestTestSaysWhatItCannotDo(t *testing.T) {
	s := newStore(t)
	h := &refusing{Handler: s.handler, refuse: method("PUT")}
	x := open(t, exportTo(serve(t, h)))
	if v := x.Test(t.Context(), testEvent()); v.Outcome != sink.Retry || v.Status != 403 || !strings.HasPrefix(v.Cause, "AccessDenied (HTTP status code 403)") || len(h.requests) != 1 {
		t.Errorf("%+v after %q", v, h.requests)
	}
	h.refuse = method("DELETE")
	v := x.Test(t.Context(), testEvent())
	keys, content := s.files(t)
	if v.Outcome != sink.Delivered || len(keys) != 1 || !strings.Contains(v.Cause, "the file "+keys[0]+" was written, but could not be deleted: AccessDenied") ||
		content[keys[0]] != string(testEvent().Body)+"\n" {
		t.Errorf("%+v; files %q", v, content)
	}
	in := exportTo(serve(t, h))
	in.S3.Bucket = "no-such-bucket"
	if v := open(t, in).Test(t.Context(), testEvent()); v.Outcome != sink.Retry || !strings.Contains(v.Cause, "NoSuchBucket") {
		t.Errorf("%+v", v)
	}
}

func TestProbeLeavesNothing(t *testing.T) {
	s := newStore(t)
	h := &refusing{Handler: s.handler, refuse: none}
	x := open(t, exportTo(serve(t, h)))
	if v := x.Probe(t.Context()); v.Outcome != sink.Delivered || len(h.requests) != 2 || !strings.HasPrefix(h.requests[0], "POST ") || !strings.HasPrefix(h.requests[1], "DELETE ") {
		t.Errorf("%+v after %q", v, h.requests)
	}
	s.mustBeEmpty(t)
	for refused, cause := range map[string]string{"POST": "AccessDenied", "DELETE": "AccessDenied"} {
		h.refuse = method(refused)
		if v := x.Probe(t.Context()); v.Outcome != sink.Retry || !strings.Contains(v.Cause, cause) {
			t.Errorf("with %s refused: %+v", refused, v)
		}
	}
	in := exportTo(serve(t, h))
	in.S3.Bucket = "no-such-bucket"
	h.refuse = none
	if v := open(t, in).Probe(t.Context()); v.Outcome != sink.Retry || !strings.Contains(v.Reason, "NoSuchBucket") {
		t.Errorf("%+v", v)
	}
}
