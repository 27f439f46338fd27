package httpapi

import (
	"net/http"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/problem"
)

// lanesDocument is over how many lanes the events of a tenant are spread.
type lanesDocument struct {
	Tenant string `json:"tenant"`
	Lanes  int    `json:"lanes"`
}

func (a *api) lanes(x *exchange, r *http.Request) error {
	if err := operatorOnly(x, lanesAreTheOperators); err != nil {
		return err
	}
	n, err := a.Lanes.Of(r.Context(), x.tenant)
	if err != nil {
		return err
	}
	a.respond(x, http.StatusOK, lanesDocument{x.tenant, n})
	return nil
}

// lanesAreTheOperators says why: they cost something.
const lanesAreTheOperators = "Lanes are the operator's."

// operatorOnly refuses the token of a tenant, and says why.
func operatorOnly(x *exchange, why string) error {
	if x.anyTenant {
		return nil
	}
	challengeScope(x, auth.TenantsAny)
	return problem.New(problem.Forbidden, "%s The call needs an access token with the scope %s and without a tenant of its own.", why, auth.TenantsAny)
}

func (a *api) raiseLanes(x *exchange, r *http.Request) error {
	if err := operatorOnly(x, lanesAreTheOperators); err != nil {
		return err
	}
	var d struct {
		Lanes *float64 `json:"lanes"` // 4.0 is an integer in JSON Schema
	}
	if _, err := a.decode(x, r, &d, mediaJSON); err != nil {
		return err
	}
	if d.Lanes == nil {
		return problem.New(problem.InvalidRequest, "lanes is missing; send how many lanes the tenant is to have.")
	}
	n := int(*d.Lanes)
	if float64(n) != *d.Lanes {
		return problem.New(problem.InvalidRequest, "lanes is %v; it must be a whole number.", *d.Lanes)
	}
	if err := a.Lanes.Raise(r.Context(), x.tenant, n); err != nil {
		return err
	}
	return a.lanes(x, r)
}
