package awsenv

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/statemachine"
	"github.com/sluicehq/sluice/internal/store"
)

// Part of an invocation's time is kept for what comes after.
func TestTimeIsKeptForTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		invocation, end := context.WithTimeout(t.Context(), 290*time.Second)
		defer end()
		began := time.Now()
		working, cancel := withReserve(invocation, time.Minute)
		defer cancel()
		<-working.Done()
		if took := time.Since(began); took != 230*time.Second || invocation.Err() != nil {
			t.Errorf("the work ended after %v, and the invocation: %v", took, invocation.Err())
		}
		endless, cancel := withReserve(context.Background(), time.Minute)
		defer cancel()
		if _, ok := endless.Deadline(); ok {
			t.Error("an invocation without an end got one")
		}
	})
}

// hanging is a store of overdue cursors, and a Step Functions that does not respond.
type hanging struct{ store.Store }

func (hanging) Due(context.Context, time.Time, int) ([]handoff.Key, error) {
	keys := make([]handoff.Key, 20_000)
	for i := range keys {
		keys[i] = handoff.Key{Tenant: "acme", Integration: fmt.Sprint(i)}
	}
	return keys, nil
}

func (hanging) Cursor(_ context.Context, k handoff.Key) (*handoff.Cursor, error) {
	return &handoff.Cursor{Key: k, DueAt: time.Unix(1, 0)}, nil
}

func (hanging) StartExecution(ctx context.Context, _ *sfn.StartExecutionInput, _ ...func(*sfn.Options)) (*sfn.StartExecutionOutput, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A sweep that can start nothing leaves the rest of the function its time: otherwise it
// would be killed, each time, before it says how many are overdue.
func TestASweepThatCanStartNothingLeavesTimeForTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		invocation, end := context.WithTimeout(t.Context(), 290*time.Second)
		defer end()
		restarting, cancel := withReserve(invocation, sweepReserve)
		defer cancel()
		s := &statemachine.Scheduler{SFN: hanging{}, Cursors: hanging{}, Replay: func(context.Context, handoff.Key) (bool, error) { return true, nil }, Logger: slog.New(slog.DiscardHandler), Now: time.Now}
		e := &delivery.Engine{Store: hanging{}, Settings: settings.Default(), Now: time.Now, Schedule: s.Start}
		began := time.Now()
		if n, err := e.Sweep(restarting); n == 0 || err != nil {
			t.Errorf("it found %d, %v", n, err)
		}
		if left := 290*time.Second - time.Since(began); left < freeTime {
			t.Errorf("%v are left, want %v at least", left, freeTime)
		}
	})
}
