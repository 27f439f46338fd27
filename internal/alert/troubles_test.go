package alert_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/alert"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/health"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

func (r *rig) troubles() *alert.Troubles {
	return &alert.Troubles{
		Store:    r.store,
		Health:   &health.Service{Partitions: r.store, Log: r.log, Settings: r.settings, Now: r.now, Cursor: r.store.Cursor},
		Settings: r.settings, Now: r.now, Logger: slog.New(slog.DiscardHandler),
	}
}

// inTrouble fails unless the list has these integrations, each with since when it is in
// trouble, in minutes after base, and the kinds of alerts.
func (r *rig) inTrouble(want ...string) {
	r.Helper()
	page, next, err := r.troubles().List(r.Context(), "", 100)
	if err != nil || next != "" {
		r.Fatalf("next %q, %v", next, err)
	}
	got := []string{}
	for _, t := range page {
		if t.Health == nil {
			r.Errorf("%s has no health", t.ID)
		}
		got = append(got, fmt.Sprintf("%s/%s %v %v", t.Tenant, t.ID, t.Since.Sub(base).Minutes(), t.Alerts))
	}
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		r.Errorf("in trouble (-want +got):\n%s", diff)
	}
}

// An integration is in the list from its first alert until it delivers again; which alert it
// is then may change.
func TestWhatFailsOrLagsIsInTroubleUntilItRecovers(t *testing.T) {
	r := newRig(t)
	r.registered("acme", "hook", 2)
	p := r.process(r.store)
	r.commit(p, store.PutCursor{Cursor: r.failing(0, 14*time.Minute)})
	r.inTrouble()
	r.at = base.Add(time.Minute)
	c := r.cursor(1)
	c.Lagging = true
	r.commit(p, store.PutCursor{Cursor: c})
	r.inTrouble("acme/hook 1 [lagging]")
	r.at = base.Add(9 * time.Minute)
	failing := r.failing(0, 23*time.Minute)
	r.commit(p, store.PutCursor{Cursor: failing})
	r.inTrouble("acme/hook 1 [failing lagging]")
	failing.EndOutage()
	r.commit(p, store.PutCursor{Cursor: failing})
	r.inTrouble("acme/hook 1 [lagging]")
	c.Lagging = false
	r.commit(p, store.PutCursor{Cursor: c})
	r.inTrouble()
	r.at = base.Add(20 * time.Minute) // again
	c.Lagging = true
	r.commit(p, store.PutCursor{Cursor: c})
	r.inTrouble("acme/hook 20 [lagging]")
}

// What failed until it was stopped is in trouble still; what was stopped by hand is not.
func TestWhatWasStoppedAfterFailingIsInTroubleUntilItIsStarted(t *testing.T) {
	for cause, want := range map[integration.StopCause][]string{
		integration.StoppedAfterFailing: {"acme/hook 0 [stopped]"}, integration.StoppedByAPI: nil,
	} {
		r := newRig(t)
		r.registered("acme", "hook", 1)
		p := r.process(r.store)
		c := r.failing(0, time.Hour)
		r.commit(p, store.PutCursor{Cursor: c})
		r.at = base.Add(time.Hour)
		in := r.integration()
		in.Running, in.StoppedAt, in.StoppedBy = false, r.at, cause
		handoff.Pause(&handoff.PartitionState{}, c, 2)
		r.commit(p, store.PutIntegration{Integration: in}, store.PutCursor{Cursor: c}, r.entry(stopped, integration.ActionStopped))
		r.inTrouble(want...)
		if cause == integration.StoppedAfterFailing {
			r.at = r.at.Add(28 * 24 * time.Hour)
			r.inTrouble("acme/hook 0 [stopped restart_window_closing]")
		}
		in.Running = true
		handoff.Resume(c, 3, r.at)
		r.commit(p, store.PutIntegration{Integration: in}, store.PutCursor{Cursor: c}, r.entry("", integration.ActionStarted))
		r.inTrouble()
	}
}

// One that also rejects everything says so, until it delivers something.
func TestWhatRejectsIsSaidOfWhatIsInTrouble(t *testing.T) {
	r := newRig(t)
	r.registered("acme", "hook", 1)
	p := r.process(r.store)
	r.commit(p, r.entry(rejecting, integration.ActionEventRejected))
	r.inTrouble() // it goes on
	r.at = base.Add(time.Minute)
	c := r.cursor(0)
	c.Lagging = true
	r.commit(p, store.PutCursor{Cursor: c})
	r.inTrouble("acme/hook 1 [lagging rejecting]")
	c.Tally.DeliveredAt = r.at
	r.commit(p, store.PutCursor{Cursor: c})
	r.inTrouble("acme/hook 1 [lagging]")
}

// One that is registered again by the same id has none of the trouble of the one before, and
// the operator's own are never in the list.
func TestADeletedIntegrationTakesItsTroubleAlong(t *testing.T) {
	r := newRig(t)
	r.registered("acme", "hook", 1)
	r.registered("operator", "hook", 1)
	p := r.process(r.store)
	c := r.failing(0, time.Hour)
	r.commit(p, store.PutCursor{Cursor: c})
	own, err := r.store.Cursor(t.Context(), handoff.Key{Tenant: "operator", Integration: "hook"})
	if err != nil {
		t.Fatal(err)
	}
	own.Failures, own.FailingSince = 9, base.Add(-time.Hour)
	r.commit(p, store.PutCursor{Cursor: own})
	r.inTrouble("acme/hook 0 [failing]")
	r.commit(p, store.DeleteIntegration{Integration: r.integration()}, store.DeleteCursor{Cursor: c})
	r.inTrouble()
	r.registered("acme", "hook", 1)
	r.inTrouble()
}

// Pages go on where the one before ended, also if that one recovers meanwhile.
func TestPagesOfTroubles(t *testing.T) {
	r := newRig(t)
	p := r.process(r.store)
	for i := range 7 {
		id := fmt.Sprint("hook-", i)
		r.registered("acme", id, 1)
		c, err := r.store.Cursor(t.Context(), handoff.Key{Tenant: "acme", Integration: id})
		if err != nil {
			t.Fatal(err)
		}
		c.Lagging, r.at = true, base.Add(time.Duration(-i/2)*time.Minute)
		r.commit(p, store.PutCursor{Cursor: c})
	}
	r.at = base
	var ids []string
	for after := ""; ; {
		page, next, err := r.troubles().List(t.Context(), after, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range page {
			ids = append(ids, one.ID[5:])
			c, err := r.store.Cursor(t.Context(), handoff.Key{Tenant: "acme", Integration: one.ID})
			if err != nil {
				t.Fatal(err)
			}
			c.Lagging = false
			r.commit(p, store.PutCursor{Cursor: c})
		}
		if after = next; next == "" {
			break
		}
	}
	if want := []string{"6", "4", "5", "2", "3", "0", "1"}; !slices.Equal(ids, want) {
		t.Errorf("%v, want %v", ids, want)
	}
	for _, odd := range []string{"x", "1/a", "a/b/c", "-1/a/b", "1/a/b/c", "9223372036855/a/b"} {
		if _, _, err := r.troubles().List(t.Context(), odd, 2); problem.CodeOf(err) != problem.InvalidRequest {
			t.Errorf("%q (%s): %v", odd, base64.RawURLEncoding.EncodeToString([]byte(odd)), err)
		}
	}
}

func TestWithoutAnOperatorNothingIsKnownOfTroubles(t *testing.T) {
	r := newRig(t)
	r.settings.OperatorTenant = ""
	if _, _, err := r.troubles().List(t.Context(), "", 2); problem.CodeOf(err) != problem.AlertsOff {
		t.Errorf("got %v", err)
	}
}

// some is a store of which some records cannot be decoded, and healths that are not known.
type some struct {
	alert.Healths
	*rig
	damaged, unknown string
}

func (s some) Troubled(ctx context.Context, after store.TroublePlace, limit int) ([]store.Troubled, store.TroublePlace, error) {
	found, next, err := s.store.Troubled(ctx, after, limit)
	for i := range found {
		if found[i].ID == s.damaged {
			found[i].Integration, found[i].Err = nil, errors.New("its record is damaged")
		}
	}
	return found, next, err
}

func (s some) Of(ctx context.Context, all ...*integration.Integration) ([]*health.Health, error) {
	for _, in := range all {
		if in.ID == s.unknown {
			return nil, errors.New("its cursor is damaged")
		}
	}
	return s.Healths.Of(ctx, all...)
}

// What is damaged is in trouble all the more, and hides nothing else that is.
func TestWhatCannotBeReadHidesNoOtherTrouble(t *testing.T) {
	r := newRig(t)
	p := r.process(r.store)
	for i := range 5 {
		id := fmt.Sprint("hook-", i)
		r.registered("acme", id, 1)
		c, err := r.store.Cursor(t.Context(), handoff.Key{Tenant: "acme", Integration: id})
		if err != nil {
			t.Fatal(err)
		}
		c.Lagging = true
		r.commit(p, store.PutCursor{Cursor: c})
	}
	var lines bytes.Buffer
	troubles := r.troubles()
	odd := some{troubles.Health, r, "hook-1", "hook-3"}
	troubles.Store, troubles.Health, troubles.Logger = odd, odd, slog.New(slog.NewTextHandler(&lines, nil))
	page, next, err := troubles.List(t.Context(), "", 100)
	if err != nil || next != "" {
		t.Fatalf("next %q, %v", next, err)
	}
	var got []string
	for _, one := range page {
		got = append(got, fmt.Sprint(one.ID, " ", one.Since.Equal(base), " ", one.Alerts, " ", one.Health != nil))
	}
	want := []string{"hook-0 true [lagging] true", "hook-1 true [] false", "hook-2 true [lagging] true", "hook-3 true [lagging] false", "hook-4 true [lagging] true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("in trouble (-want +got):\n%s", diff)
	}
	for _, said := range []string{"integration=hook-1 error=\"its record", "integration=hook-3 error=\"its cursor"} {
		if strings.Count(lines.String(), said) != 1 {
			t.Errorf("want %s once in:\n%s", said, &lines)
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, _, err := troubles.List(ended, "", 100); err == nil {
		t.Error("a call that has ended has a list")
	}
}
