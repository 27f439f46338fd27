package httpapi_test

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
)

const lanesPath = "/api/v1/org/lanes"

func putLanes(body string) call {
	return call{method: "PUT", path: lanesPath, media: jsonMedia, body: body}
}

func TestLanes(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook).of("acme"))
	sameJSON(t, `{"tenant":"acme","lanes":1}`, w.want(t, 200, get(lanesPath).of("acme")))
	sameJSON(t, `{"tenant":"acme","lanes":4}`, w.want(t, 200, putLanes(`{"lanes":4}`).of("acme")))
	sameJSON(t, `{"tenant":"acme","lanes":4}`, w.want(t, 200, putLanes(`{"lanes":4.0}`).of("acme")))
	sameJSON(t, `{"tenant":"globex","lanes":1}`, w.want(t, 200, get(lanesPath).of("globex")))
	for _, refused := range []struct {
		status  int
		code    problem.Code
		message string
		call    call
	}{
		{400, problem.InvalidRequest, "lanes is missing", putLanes(`{}`).of("acme")},
		{400, problem.InvalidRequest, "lanes is 0; it must be from 1 to 32", putLanes(`{"lanes":0}`).of("acme")},
		{400, problem.InvalidRequest, "lanes is 33; it must be from 1 to 32", putLanes(`{"lanes":33}`).of("acme")},
		{409, problem.Conflict, "lanes is 3, and the tenant has 4 already", putLanes(`{"lanes":3}`).of("acme")},
		{400, problem.InvalidRequest, "lanes", putLanes(`{"lanes":"4"}`).of("acme")},
		{400, problem.InvalidRequest, "lanes is 4.5; it must be a whole number", putLanes(`{"lanes":4.5}`).of("acme")},
		{400, problem.InvalidRequest, "lanes is 1e+300; it must be a whole number", putLanes(`{"lanes":1e300}`).of("acme")},
		{400, problem.UnknownField, "lane is not a known field", putLanes(`{"lane":4}`).of("acme")},
		{400, problem.UnknownParameter, "tenant", get(lanesPath + "?tenant=acme").of("acme")},
		{400, problem.TenantRequired, "Sluice-Tenant", putLanes(`{"lanes":5}`).of("")},
		{403, problem.Forbidden, "tenants:any", putLanes(`{"lanes":5}`)},
		{403, problem.Forbidden, "tenants:any", get(lanesPath).as("acme" + all + ",tenants/any")},
		{403, problem.Forbidden, "integrations:write", putLanes(`{"lanes":5}`).as(":events/publish,tenants/any")},
	} {
		w.wantError(t, refused.status, refused.code, refused.message, refused.call)
	}
	sameJSON(t, `{"tenant":"acme","lanes":4}`, w.want(t, 200, get(lanesPath).of("acme")))

	lines := strings.Repeat(`{"name":"a.b","payload":{}}`+"\n", 100)
	for _, tenant := range []string{"acme", "globex"} {
		ndjson := call{method: "POST", path: events, media: "application/x-ndjson", body: lines}
		w.want(t, 202, ndjson.of(tenant))
	}
	for tenant, want := range map[string]int{"acme": 4, "globex": 1} {
		used := 0
		for lane := range 8 {
			if end, _ := w.log.End(t.Context(), event.Partition{Tenant: tenant, Lane: lane}); end > 0 {
				used++
			}
		}
		if used != want {
			t.Errorf("the events of %s are in %d lanes, want %d", tenant, used, want)
		}
	}
	in, err := w.store.Integration(t.Context(), "acme", "hook")
	if err != nil || in.Lanes != 4 {
		t.Errorf("the integration has %+v, %v; want 4 lanes", in, err)
	}
}
