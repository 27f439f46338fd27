package httpapi

import (
	"net/http"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/usertext"
)

// tenantHeader names the tenant that a call with a platform token acts for.
const tenantHeader = "Sluice-Tenant"

// actsFor returns the tenant that a call acts for: the token's own or, with a platform
// token, the one that the header names. It is "" only if a call to publish names none, as
// its events may, and for a call that is about all tenants.
func actsFor(x *exchange, r *http.Request, id auth.Identity, rt route) (string, error) {
	named := r.Header.Values(tenantHeader)
	switch {
	case len(named) > 0 && !id.AnyTenant():
		challengeScope(x, auth.TenantsAny)
		return "", problem.New(problem.Forbidden,
			"The header %s needs an access token with the scope %s and without a tenant of its own. Omit the header: the token acts for its own tenant.", tenantHeader, auth.TenantsAny)
	case len(named) > 0 && rt.path == troubles:
		return "", problem.New(problem.InvalidRequest, "The call is about all tenants; omit the header %s.", tenantHeader)
	case len(named) > 1:
		return "", problem.New(problem.InvalidRequest, "The header %s is there %d times; send it once.", tenantHeader, len(named))
	case len(named) == 1:
		if err := usertext.CheckTenant(named[0]); err != nil {
			return "", problem.New(problem.InvalidRequest, "The header %s is not a valid tenant: %q %v.", tenantHeader, clip(named[0]), err)
		}
		return named[0], nil
	case id.AnyTenant() && rt.path != troubles && rt.scope != auth.EventsPublish:
		return "", problem.New(problem.TenantRequired,
			"The access token acts for any tenant, and the call names none; name it in the header %s.", tenantHeader)
	}
	return id.Tenant, nil
}
