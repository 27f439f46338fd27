package rejected

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/worker"
)

// unfit are webhooks to which no call succeeds.
type unfit struct {
	sink.Sinks
	verdict sink.Verdict
	err     error // of opening one
}

func (u unfit) Webhook(context.Context, *integration.Integration) (sink.Sender, error) {
	return u, u.err
}
func (u unfit) Send(context.Context, *event.Event, int) sink.Verdict { return u.verdict }
func (u unfit) Close()                                               {}

// The caller of a bulk retry is told what the receiver failed with, and nothing of our side:
// what that lacks, or an error in it, is for the operator.
func TestCausesOfABulkRetryHideOurSide(t *testing.T) {
	const ours = "the egress proxy cannot be reached"
	for name, c := range map[string]struct {
		sinks  unfit
		cause  string
		logged bool // the reason
		noted  bool // that it failed
	}{
		"the receiver refuses it again": {unfit{verdict: sink.Verdict{Outcome: sink.Rejected, Cause: "bad request", Reason: "It failed."}}, "bad request", false, false},
		"our side cannot connect":       {unfit{verdict: sink.Verdict{Outcome: sink.Unsent, Reason: ours}}, string(problem.Unavailable), false, true},
		"our side has an error":         {unfit{err: errors.New(ours)}, string(problem.Internal), true, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, _, target := setup(5)
			var log bytes.Buffer
			s.Logger = slog.New(slog.NewTextHandler(&log, nil))
			s.Integrations = only{target.Integration}
			s.Targets = worker.NewRegistry(worker.Options{Sinks: c.sinks, InFlight: 1, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
			ok(t, add(t.Context(), s, target, 0, 1, 10))
			got, err := s.RetryAll(t.Context(), "a", "hook", nil)
			if err != nil || len(got.Failed) != 1 || got.Failed[0].Cause != c.cause {
				t.Errorf("%s: %+v, %v; want the cause %q", name, got, err, c.cause)
			}
			if strings.Contains(log.String(), ours) != c.logged || strings.Contains(log.String(), "not retried") != c.noted {
				t.Errorf("%s: the log has %q", name, log.String())
			}
		})
	}
}
