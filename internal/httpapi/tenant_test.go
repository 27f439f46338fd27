package httpapi_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
)

// endOf returns how many publish calls a tenant has in its log.
func (w *world) endOf(t *testing.T, tenant string) uint64 {
	t.Helper()
	end, err := w.log.End(t.Context(), event.Partition{Tenant: tenant})
	if err != nil {
		t.Fatal(err)
	}
	return end
}

func TestAPlatformTokenActsForTheTenantThatIsNamed(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook).of("acme"))
	w.want(t, 200, get(base+"/hook").as("acme"+all))
	w.wantError(t, 404, problem.NotFound, "hook", get(base+"/hook").of("globex"))
	w.want(t, 202, post(events, `{"name":"a.b","payload":{}}`).of("globex"))
	w.want(t, 202, post(events, `{"events":[{"name":"a.b","payload":{}},{"tenant":"umbrella","name":"a.b","payload":{}},{"tenant":null,"name":"a.b","payload":{}}]}`).of("globex"))
	w.want(t, 202, post(events, `{"tenant":"umbrella","name":"a.b","payload":{}}`).of(""))
	for tenant, want := range map[string]uint64{"globex": 2, "umbrella": 2, "acme": 0, "": 0} {
		if got := w.endOf(t, tenant); got != want {
			t.Errorf("%q has %d segments, want %d", tenant, got, want)
		}
	}
}

func TestACallOfAPlatformTokenMustNameATenant(t *testing.T) {
	w := setup()
	for _, c := range []call{
		get(base), post(base, webhook), get(base + "/hook"), patch(base+"/hook", `{}`), remove(base + "/hook"),
		post(base+"/hook/_start", ""), post(base+"/hook/_stop", ""), get(base + "/hook/logs"), get(base + "/hook/rejected_events"),
	} {
		w.wantError(t, 400, problem.TenantRequired, "Sluice-Tenant", c.of(""))
	}
	w.wantError(t, 400, problem.TenantRequired, "events[1].tenant is required",
		post(events, `{"events":[{"tenant":"acme","name":"a.b","payload":{}},{"name":"a.b","payload":{}}]}`).of(""))
	w.wantError(t, 400, problem.TenantRequired, "tenant is required", post(events, `{"tenant":null,"name":"a.b","payload":{}}`).of(""))
	if got := w.endOf(t, "acme"); got > 0 {
		t.Error("an event of a refused call was published")
	}
}

func TestOnlyAPlatformTokenActsForAnotherTenant(t *testing.T) {
	w := setup()
	acme := "acme" + all
	for _, c := range []call{get(base), post(base, webhook), post(events, `{"name":"a.b","payload":{}}`)} {
		for _, tenant := range []string{"globex", "acme"} {
			for _, token := range []string{acme, acme + ",tenants/any"} { // the scope means nothing beside a tenant
				refused := c.as(token)
				refused.tenant = tenant
				rec := w.do(t, refused)
				if rec.Code != 403 || !strings.Contains(rec.Header().Get("WWW-Authenticate"), `scope="tenants:any"`) {
					t.Errorf("%s %s for %s: %d %s %s", c.method, c.path, tenant, rec.Code, rec.Header().Get("WWW-Authenticate"), rec.Body)
				}
			}
		}
	}
	w.wantError(t, 403, problem.Forbidden, "events[1].tenant is another tenant",
		post(events, `{"events":[{"name":"a.b","payload":{}},{"tenant":"globex","name":"a.b","payload":{}}]}`).as(acme))
	w.wantError(t, 403, problem.Forbidden, "tenants:any", post(events, `{"tenant":"globex","name":"a.b","payload":{}}`).as(acme+",tenants/any"))
	w.wantError(t, 403, problem.Forbidden, "events:publish", post(events, `{"tenant":"globex","name":"a.b","payload":{}}`).as(":integrations/write,tenants/any"))
	w.want(t, 202, post(events, `{"tenant":"acme","name":"a.b","payload":{}}`).as(acme))
	if acme, globex := w.endOf(t, "acme"), w.endOf(t, "globex"); acme != 1 || globex != 0 {
		t.Errorf("acme has %d segments and globex %d, want 1 and 0", acme, globex)
	}
}

func TestATenantIsNamedByTheRulesOfTheClaim(t *testing.T) {
	w := setup()
	for tenant, why := range map[string]string{
		"a/b": "contains a slash", "..": "is a path", strings.Repeat("a", 129): "is longer than 128 bytes", "a\u200bb": "invisible character",
	} {
		body := `{"tenant":"` + tenant + `","name":"a.b","payload":{}}`
		w.wantError(t, 400, problem.InvalidRequest, "tenant", post(events, body).of(""))
		if strings.Contains(tenant, "\\") {
			continue // an escape of JSON
		}
		w.wantError(t, 400, problem.InvalidRequest, why, get(base).of(tenant))
	}
	w.wantError(t, 400, problem.InvalidRequest, "tenant must be a string", post(events, `{"tenant":7,"name":"a.b","payload":{}}`).of(""))
	w.wantError(t, 400, problem.InvalidRequest, "tenant", post(events, `{"tenant":"","name":"a.b","payload":{}}`).of("acme"))
	longest := strings.Repeat("ä", 64)
	w.want(t, 200, get(base).of(longest))
	w.want(t, 202, post(events, `{"tenant":"`+longest+`","name":"a.b","payload":{}}`).of(""))

	twice := get(base).of("acme").request()
	twice.Header.Add("Sluice-Tenant", "globex")
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, twice)
	if rec.Code != 400 || !strings.Contains(rec.Body.String(), "2 times") {
		t.Errorf("two headers: %d %s", rec.Code, rec.Body)
	}
}

// A call that names no tenant itself has a valid token: each has a line in the log.
func TestEveryCallOfAPlatformTokenIsLogged(t *testing.T) {
	w := setup()
	for range 5 {
		w.want(t, 202, post(events, `{"tenant":"acme","name":"a.b","payload":{}}`).of(""))
	}
	if n := strings.Count(w.lines.String(), `"status":202`); n != 5 {
		t.Errorf("%d lines, want 5:\n%s", n, w.lines)
	}
}
