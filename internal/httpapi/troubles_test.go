package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/alert"
	"github.com/sluicehq/sluice/internal/health"
	"github.com/sluicehq/sluice/internal/httpapi"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

const troublesPath = "/api/v1/org/integrations/health"

// troubled registers an integration of a tenant that the operator was told to fail.
func (w *world) troubled(t *testing.T, tenant, id string) {
	t.Helper()
	w.want(t, 200, post(base, strings.Replace(webhook, `"hook"`, `"`+id+`"`, 1)).of(tenant))
	in, err := w.store.Integration(t.Context(), tenant, id)
	if err != nil {
		t.Fatal(err)
	}
	in.Alerts.Failing, in.Alerts.Since = 1, w.now
	if err := w.store.Commit(t.Context(), store.PutIntegration{Integration: in}); err != nil {
		t.Fatal(err)
	}
}

func TestTroubles(t *testing.T) {
	w := setup()
	sameJSON(t, `{"integrations":[],"next":null}`, w.want(t, 200, get(troublesPath).of("")))
	w.troubled(t, "globex", "b")
	w.want(t, 200, post(base, webhook).of("acme"))
	w.now = w.now.Add(time.Minute)
	w.troubled(t, "acme", "a")
	first := w.want(t, 200, get(troublesPath+"?limit=1").as(":integrations/read,tenants/any"))
	var page struct{ Next string }
	if err := json.Unmarshal([]byte(first), &page); err != nil {
		t.Fatal(err)
	}
	sameJSON(t, `{"integrations":[{"tenant":"globex","id":"b","since":"2026-03-01T12:00:00.000Z","alerts":["integration.failing"],"health":`+healthy+`}],
		"next":"`+page.Next+`"}`, first)
	sameJSON(t, `{"integrations":[{"tenant":"acme","id":"a","since":"2026-03-01T12:01:00.000Z","alerts":["integration.failing"],"health":`+healthy+`}],"next":null}`,
		w.want(t, 200, get(troublesPath+"?after="+page.Next).of("")))
}

// What fails in other tenants is nobody's but the operator's.
func TestTroublesAreForTheOperatorAlone(t *testing.T) {
	w := setup()
	w.troubled(t, "globex", "secret-id")
	for _, token := range []string{
		"acme" + all, "globex" + all, "acme" + all + ",tenants/any", "operator" + all, "operator" + all + ",tenants/any",
		":events/publish,tenants/any", ":tenants/any", all,
	} {
		rec := w.do(t, get(troublesPath).as(token))
		if rec.Code != 403 && rec.Code != 401 || strings.Contains(rec.Body.String(), "secret-id") || strings.Contains(rec.Body.String(), "globex") {
			t.Errorf("%s: %d %s", token, rec.Code, rec.Body)
		}
	}
	w.want(t, 401, get(troublesPath).as("none"))
	w.wantError(t, 403, problem.Forbidden, "tenants:any", get(troublesPath))
	w.wantError(t, 400, problem.InvalidRequest, "omit the header Sluice-Tenant", get(troublesPath).of("acme"))
	w.wantError(t, 400, problem.UnknownParameter, `"tenant"`, get(troublesPath+"?tenant=acme").of(""))
	for _, query := range []string{"limit=0", "limit=201", "limit=x", "after=", "after=!", "after=eA", "after=LTEvYS9i"} {
		w.want(t, 400, get(troublesPath+"?"+query).of(""))
	}
	w.want(t, 405, call{method: "POST", path: troublesPath}.of(""))
}

func TestTroublesAreNotKnownWithoutAlerts(t *testing.T) {
	w := setup()
	off := *w.deps.Troubles.(*alert.Troubles)
	off.Settings.OperatorTenant = ""
	w.deps.Troubles = &off
	w.api = httpapi.New(w.deps)
	w.wantError(t, 409, problem.AlertsOff, "SLUICE_OPERATOR_TENANT", get(troublesPath).of(""))
	w.wantError(t, 403, problem.Forbidden, "tenants:any", get(troublesPath))
}

// A page reads the health of what it shows, and of nothing else.
func TestAPageOfTroublesReadsWhatItShows(t *testing.T) {
	w := setup()
	for i := range 60 {
		w.troubled(t, fmt.Sprint("tenant-", i%9), fmt.Sprint("hook-", i))
	}
	for limit, query := range map[int]string{50: "", 7: "?limit=7"} {
		var page struct{ Integrations []struct{ ID string } }
		if err := json.Unmarshal([]byte(w.want(t, 200, get(troublesPath+query).of(""))), &page); err != nil || len(page.Integrations) != limit {
			t.Errorf("%q: %d integrations, %v", query, len(page.Integrations), err)
		}
	}
}

// oneDamaged tells nothing of one integration, and all of the others.
type oneDamaged struct{ alert.Healths }

func (d oneDamaged) Of(ctx context.Context, all ...*integration.Integration) ([]*health.Health, error) {
	for _, in := range all {
		if in.ID == "damaged" {
			return nil, problem.New(problem.Internal, "a stored record is damaged")
		}
	}
	return d.Healths.Of(ctx, all...)
}

func TestOneDamagedIntegrationHidesNoOtherTrouble(t *testing.T) {
	w := setup()
	odd := *w.deps.Troubles.(*alert.Troubles)
	odd.Health = oneDamaged{odd.Health}
	w.deps.Troubles = &odd
	w.api = httpapi.New(w.deps)
	w.troubled(t, "acme", "damaged")
	w.troubled(t, "globex", "whole")
	sameJSON(t, `{"integrations":[
		{"tenant":"acme","id":"damaged","since":"2026-03-01T12:00:00.000Z","alerts":["integration.failing"],"health":null},
		{"tenant":"globex","id":"whole","since":"2026-03-01T12:00:00.000Z","alerts":["integration.failing"],"health":`+healthy+`}],"next":null}`,
		w.want(t, 200, get(troublesPath).of("")))
}
