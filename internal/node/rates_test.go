package node

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/sink"
)

type silent struct {
	delivery.Observer
	ended int
}

func (s *silent) AttemptEnded(*integration.Integration, sink.Verdict, int, time.Time, time.Time) {
	s.ended++
}

func TestRateIsThatOfRecentDeliveries(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	inner := &silent{}
	r := observeRates(inner, 16, func() time.Time { return now })
	hook, files := &integration.Integration{Tenant: "acme", Webhook: &integration.Webhook{}}, &integration.Integration{Tenant: "files", S3: &integration.S3{}}
	about := func(tenant string, want float64) {
		t.Helper()
		if got := r.of(tenant); got < want*0.99 || got > want*1.01 {
			t.Errorf("%s: %f events a second, want %f", tenant, got, want)
		}
	}
	took := func(in *integration.Integration, v sink.Verdict, events int, d time.Duration) {
		r.AttemptEnded(in, v, events, now.Add(-d), now)
	}
	about("acme", 0)
	took(hook, sink.Verdict{Outcome: sink.Retry}, 1, 10*time.Second)
	about("acme", 0)
	took(hook, sink.Verdict{Outcome: sink.Delivered}, 1, 160*time.Millisecond)
	about("acme", 100) // 16 at a time
	for range 200 {
		took(hook, sink.Verdict{Outcome: sink.Delivered}, 1, 320*time.Millisecond)
	}
	about("acme", 50)
	took(files, sink.Verdict{Outcome: sink.Delivered}, 1000, 2*time.Second)
	about("files", 500)
	now = now.Add(rateLife)
	about("acme", 0)
	if inner.ended != 203 {
		t.Errorf("%d attempts were handed on", inner.ended)
	}
}
