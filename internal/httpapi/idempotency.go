package httpapi

import (
	"net/http"

	"github.com/sluicehq/sluice/internal/idempotency"
	"github.com/sluicehq/sluice/internal/problem"
)

// keyHeader is the key of a call that is done once.
const keyHeader = "Idempotency-Key"

// idempotencyKey returns the key of a call, "" if it has none.
func idempotencyKey(r *http.Request) (string, error) {
	given := r.Header.Values(keyHeader)
	switch {
	case len(given) == 0:
		return "", nil
	case len(given) > 1:
		return "", problem.New(problem.InvalidRequest, "The header %s is there %d times; send it once.", keyHeader, len(given))
	case given[0] == "" || len(given[0]) > idempotency.MaxBytes:
		return "", problem.New(problem.InvalidRequest, "The header %s has %d characters; it must have 1 to %d.", keyHeader, len(given[0]), idempotency.MaxBytes)
	}
	for i := range len(given[0]) {
		if c := given[0][i]; c < ' ' || c > '~' {
			return "", problem.New(problem.InvalidRequest,
				"The header %s has a byte at position %d that is not printable ASCII; use letters, digits and signs such as -.", keyHeader, i+1)
		}
	}
	return given[0], nil
}
