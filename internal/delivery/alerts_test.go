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
	return newRig(t, false, func(s *settings.Settings) {
		s.OperatorTenant = operator
		if edit != nil {
			edit(s)
		}
	})
}

// operator is a tenant without integrations.
const operator = "operator"

// tells reports whether an operator is told in a case. Where an integration has several
// lanes, its health waits for a lock, and with that the bubble's clock.
func (s *scenario) tells() bool { return s.Lanes == 1 && s.Grown == 0 && s.Seed%3 == 1 }

// tell has a process tell an operator, if the case has one.
func (p *process) tell() {
	s := p.w.settings
	if s.OperatorTenant == "" {
		return
	}
	told := &alert.Store{
		Store: ports{p: p}, Log: ports{p: p}, Settings: s, Now: p.now, Logger: p.logger,
		Newest: p.engine.Cursor, Added: func([]*store.Alert) {},
	}
	p.engine.Store, p.life.Store, p.rejects.Store = told, told, told
}

// checkAlerts checks, of each integration that is left, that no alert is missing or there
// twice, and that each tells of another state than the one before.
func (w *world) checkAlerts() {
	alerts, err := w.records.Alerts(context.Background(), time.Now().AddDate(1, 0, 0), 1<<20)
	if err != nil {
		w.fail("alerts: %v", err)
	}
	byHistory := map[store.History]map[uint64]integration.AlertKind{}
	for _, a := range alerts {
		if byHistory[a.History] == nil {
			byHistory[a.History] = map[uint64]integration.AlertKind{}
		}
		byHistory[a.History][a.Number] = a.Kind
	}
	for _, p := range w.Plans {
		in, err := w.records.Integration(context.Background(), p.Tenant, p.ID)
		if err == nil {
			w.checkAlertsOf(in, byHistory[store.HistoryOf(in)])
		}
	}
}

func (w *world) checkAlertsOf(in *integration.Integration, byNumber map[uint64]integration.AlertKind) {
	var trouble integration.AlertKind
	const perCommit = 16 // the first number is one more than a multiple of it
	first := in.Alerts.Number
	for n := range byNumber {
		first = min(first, n)
	}
	if first > 0 && (len(byNumber) == 0 || first%perCommit != 1) {
		w.fail("the first alerts of %s, before %d, are missing", lifeName(in), first)
	}
	for n := max(first, 1); n <= in.Alerts.Number; n++ {
		switch kind := byNumber[n]; {
		case kind == "" && byNumber[n-1] == integration.AlertStopped: // a start has removed the one about its window
		case kind == "":
			w.fail("alert %d of %s is missing", n, lifeName(in))
		case kind == integration.AlertStopped:
			trouble = ""
		case kind == integration.AlertRecovered && trouble == "", kind == trouble:
			w.fail("alert %d of %s says %s after %q", n, lifeName(in), kind, trouble)
		case kind == integration.AlertRecovered:
			trouble = ""
		case kind == integration.AlertFailing || kind == integration.AlertLagging:
			trouble = kind
		}
	}
	// What an operator lists is what was told last, and what failed until it was stopped.
	if in.Running && (trouble != "") == in.Alerts.Since.IsZero() ||
		!in.Running && in.Alerts.Number > 0 && (in.StoppedBy == integration.StoppedAfterFailing) == in.Alerts.Since.IsZero() {
		w.fail("%s was told last to be %q, running %v, stopped by %q, and is in trouble since %v", lifeName(in), trouble, in.Running, in.StoppedBy, in.Alerts.Since)
	}
	if got := uint64(len(byNumber)); got > in.Alerts.Number {
		w.fail("%s has %d alerts, the last of them is %d", lifeName(in), got, in.Alerts.Number)
	}
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

// The events of a file wait for it, and are no later than that.
func TestFilesOfALongIntervalDoNotLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := telling(t, func(s *settings.Settings) { s.AlertLag, s.S3FileInterval = 10*time.Minute, 30*time.Minute })
		r.register(bucketSpec("files"))
		for range 200 {
			r.publish(1)
			time.Sleep(time.Minute)
		}
		r.told()
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
