package delivery_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/alert"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/store"
)

// telling returns a rig that tells an operator.
func telling(t *testing.T, edit func(*settings.Settings)) *rig {
	t.Helper()
	r := newRig(t, false, func(s *settings.Settings) {
		s.OperatorTenant = "operator"
		if edit != nil {
			edit(s)
		}
	})
	r.tell()
	return r
}

// tell has a process tell an operator.
func (r *rig) tell() {
	records := &alert.Store{
		Store: ports{p: r.process}, Log: ports{p: r.process}, Settings: r.w.settings, Now: r.now, Logger: r.engine.Logger,
		Newest: r.engine.Cursor, Added: func([]*store.Alert) {},
	}
	r.engine.Store, r.life.Store, r.rejects.Store = records, records, records
}

// told fails unless these alerts wait.
func (r *rig) told(want ...integration.AlertKind) {
	r.t.Helper()
	due, err := r.w.records.Alerts(context.Background(), time.Now(), 1000)
	if err != nil {
		r.t.Fatal(err)
	}
	var got []integration.AlertKind
	for _, a := range due {
		got = append(got, a.Kind)
	}
	if !slices.Equal(got, want) {
		r.t.Fatalf("told %v, want %v", got, want)
	}
}

// A node keeps failed attempts in memory: what is told of them is saved.
func TestAnOutageIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := telling(t, nil)
		r.register(hookSpec("orders"))
		r.answer(takes(0, busy))
		time.Sleep(time.Second)
		r.publish(1)
		time.Sleep(14 * time.Minute)
		r.told()
		time.Sleep(2 * time.Minute)
		r.told(integration.AlertFailing)
		time.Sleep(10 * time.Hour)
		r.told(integration.AlertFailing)
		r.answer(takes(0, delivered))
		time.Sleep(6 * time.Minute)
		r.told(integration.AlertFailing, integration.AlertRecovered)
		time.Sleep(10 * time.Hour)
		r.told(integration.AlertFailing, integration.AlertRecovered)
	})
}

// A receiver that asks for an hour has failed for 15 minutes all the same.
func TestAnOutageIsToldBeforeItsNextAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := telling(t, nil)
		r.register(hookSpec("orders"))
		asks := busy
		asks.RetryAfter = time.Hour
		r.answer(takes(0, asks))
		time.Sleep(time.Second)
		r.publish(1)
		time.Sleep(16 * time.Minute)
		r.told(integration.AlertFailing)
		if calls := len(r.got()); calls > 2 {
			t.Fatalf("%d calls: this proves nothing", calls)
		}
	})
}

func TestAStopAfterFailingIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := telling(t, nil)
		r.register(hookSpec("orders"))
		r.answer(takes(0, busy))
		time.Sleep(time.Second)
		r.publish(1)
		time.Sleep(73 * time.Hour)
		r.told(integration.AlertFailing, integration.AlertStopped)
	})
}

// What is catching up has the time of SLUICE_ALERT_LAG for that.
func TestALagIsToldAndItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := telling(t, func(s *settings.Settings) { s.AlertLag = 10 * time.Minute })
		r.engine.BatchBytes = 4 << 10
		r.register(hookSpec("orders"))
		r.answer(takes(9*time.Second, delivered))
		time.Sleep(time.Second)
		for range 400 {
			r.publish(5) // 2,000 events, 16 at a time: about 19 minutes
		}
		time.Sleep(9 * time.Minute)
		r.told()
		time.Sleep(3 * time.Minute)
		r.told(integration.AlertLagging)
		time.Sleep(20 * time.Minute)
		r.told(integration.AlertLagging, integration.AlertRecovered)

		if _, err := r.life.Stop(t.Context(), tenant, "orders"); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			r.publish(5)
		}
		time.Sleep(10 * time.Hour)
		if _, err := r.life.Start(t.Context(), tenant, "orders"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute) // 500 events take half of that
		r.told(integration.AlertLagging, integration.AlertRecovered, integration.AlertStopped)
	})
}

func TestTwentyRejectionsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := telling(t, nil)
		r.register(hookSpec("orders"))
		r.answer(takes(0, refused))
		time.Sleep(time.Second)
		r.publish(19)
		time.Sleep(time.Second)
		r.told()
		r.publish(50)
		time.Sleep(time.Second)
		r.told(integration.AlertRejecting)
	})
}
