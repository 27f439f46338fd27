package webhook

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/timelimit"
)

func benchEvent() *event.Event {
	e := event.Draft{ID: sample().ID, Name: "order.created", Payload: []byte(`{"lines":"` + strings.Repeat("x", 1000) + `"}`)}.Stamp("acme", noon)
	return &e
}

func sink200(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }

// BenchmarkBareClient is the baseline for Send: a plain http.Client sends the same
// body to the same receiver, without a timeout or headers.
func BenchmarkBareClient(b *testing.B) {
	url := receiver(b, sink200)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	body := benchEvent().Body
	b.ReportAllocs()
	for b.Loop() {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
}

func BenchmarkSend(b *testing.B) { benchSend(b, false) }

func BenchmarkSendSigned(b *testing.B) { benchSend(b, true) }

func benchSend(b *testing.B, signed bool) {
	in := hookTo(receiver(b, sink200))
	in.Webhook.PreviousSecret = secret.Sealed{}
	if !signed {
		in.Webhook.SigningSecret = secret.Sealed{}
	}
	sender := open(b, newClient(b, nil), in)
	e := benchEvent()
	calls := timelimit.New(b.Context())
	defer calls.Close()
	b.ReportAllocs()
	for b.Loop() {
		if v := sender.Send(calls, e, 1); v.Outcome != sink.Delivered {
			b.Fatalf("%+v", v)
		}
	}
}
