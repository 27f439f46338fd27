package httpapi

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/sluicehq/sluice/internal/problem"
)

// statuses maps every problem code to its HTTP status.
var statuses = map[problem.Code]int{
	problem.InvalidRequest:       http.StatusBadRequest,
	problem.InvalidJSON:          http.StatusBadRequest,
	problem.UnknownField:         http.StatusBadRequest,
	problem.UnknownParameter:     http.StatusBadRequest,
	problem.InvalidTarget:        http.StatusBadRequest,
	problem.LimitReached:         http.StatusBadRequest,
	problem.AlreadyExists:        http.StatusConflict,
	problem.NotFound:             http.StatusNotFound,
	problem.NotStopped:           http.StatusBadRequest,
	problem.ReplayFinished:       http.StatusBadRequest,
	problem.InvalidPosition:      http.StatusBadRequest,
	problem.PositionExpired:      http.StatusGone,
	problem.WindowRequired:       http.StatusBadRequest,
	problem.WindowTooLarge:       http.StatusBadRequest,
	problem.Conflict:             http.StatusConflict,
	problem.RetryInProgress:      http.StatusConflict,
	problem.ReceiverFailed:       http.StatusBadGateway,
	problem.NotBlocked:           http.StatusConflict,
	problem.AlertsOff:            http.StatusConflict,
	problem.IdempotencyMismatch:  http.StatusUnprocessableEntity,
	problem.KeyInProgress:        http.StatusConflict,
	problem.Unauthorized:         http.StatusUnauthorized,
	problem.Forbidden:            http.StatusForbidden,
	problem.TenantRequired:       http.StatusBadRequest,
	problem.MethodNotAllowed:     http.StatusMethodNotAllowed,
	problem.PayloadTooLarge:      http.StatusRequestEntityTooLarge,
	problem.UnsupportedMediaType: http.StatusUnsupportedMediaType,
	problem.TooManyRequests:      http.StatusTooManyRequests,
	problem.Unavailable:          http.StatusServiceUnavailable,
	problem.Internal:             http.StatusInternalServerError,
}

// retryAfter is the Retry-After header of a 429 or 503 whose problem has none.
const retryAfter = 5 * time.Second

// seconds returns the header's value, rounded up.
func seconds(after time.Duration) string {
	return strconv.FormatInt(int64((after+time.Second-1)/time.Second), 10)
}

type errorDocument struct {
	Code      problem.Code `json:"error_code"`
	Message   string       `json:"message"`
	RequestID string       `json:"request_id"`
}

// fail responds with err. Its cause goes to the log only.
func (a *api) fail(x *exchange, err error) {
	x.memory.Release() // before the answer, for which a caller may let us wait
	err = interrupted(err)
	x.err = err
	code := problem.CodeOf(err)
	status, ok := statuses[code]
	if !ok {
		code, status = problem.Internal, http.StatusInternalServerError
	}
	after := problem.RetryAfterOf(err)
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		after = cmp.Or(after, retryAfter)
	}
	if after > 0 {
		x.Header().Set("Retry-After", seconds(after))
	}
	a.respond(x, status, errorDocument{code, problem.MessageOf(err), x.id})
}

// interrupted turns the error of a request that timed out or was canceled into
// problem.Unavailable, so that a client that still waits tries again.
func interrupted(err error) error {
	ended := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	if ended && problem.CodeOf(err) == problem.Internal {
		return problem.Wrap(err, problem.Unavailable, "The request was interrupted and may have taken effect. Check the current state before you try again.")
	}
	return err
}

// empty is the body of a 200 that returns no data.
type empty struct{}

// respond writes a JSON body. Write errors are ignored: the client is gone.
func (a *api) respond(x *exchange, status int, document any) {
	body, err := json.Marshal(document)
	if err != nil {
		panic(err) // our own types always encode; end recovers
	}
	a.send(x, status, "application/json", body)
}

// send writes a body, which may be in parts.
func (a *api) send(x *exchange, status int, mediaType string, body ...[]byte) {
	length := 0
	for _, part := range body {
		length += len(part)
	}
	x.Header().Set("Content-Type", mediaType)
	x.Header().Set("Content-Length", strconv.Itoa(length))
	x.WriteHeader(status)
	for _, part := range body {
		_, _ = x.Write(part)
	}
}
