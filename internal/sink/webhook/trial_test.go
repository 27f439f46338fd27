package webhook

import (
	"io"
	"net/http"
	"testing"

	"github.com/sluicehq/sluice/internal/sink"
)

// A receiver must be able to tell a test from an event, and nothing else may look like one.
func TestOnlyATestHasTheHeader(t *testing.T) {
	var got []http.Header
	var bodies []string
	status := http.StatusOK
	url := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got, bodies = append(got, r.Header), append(bodies, string(body))
		w.WriteHeader(status)
	})
	s := open(t, newClient(t, nil), hookTo(url))
	if v := s.Send(t.Context(), sample(), 1); v.Outcome != sink.Delivered {
		t.Errorf("%+v", v)
	}
	if v := s.Test(t.Context(), sample()); v.Outcome != sink.Delivered || v.Status != 200 {
		t.Errorf("%+v", v)
	}
	if got[0].Values("sluice-test") != nil || got[1].Get("sluice-test") != "1" || len(got[1]) != len(got[0])+1 || bodies[0] != bodies[1] {
		t.Errorf("an event has %v, a test %v", got[0], got[1])
	}
	status = http.StatusBadRequest
	if v := s.Test(t.Context(), sample()); v.Outcome != sink.Rejected || v.Cause != "bad request (HTTP status code 400)" {
		t.Errorf("%+v", v)
	}
}
