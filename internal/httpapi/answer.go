package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"

	"github.com/sluicehq/sluice/internal/problem"
)

// statuses has the HTTP status of every code: the one place that knows.
var statuses = map[problem.Code]int{
	problem.InvalidRequest:       http.StatusBadRequest,
	problem.InvalidJSON:          http.StatusBadRequest,
	problem.UnknownField:         http.StatusBadRequest,
	problem.InvalidTarget:        http.StatusBadRequest,
	problem.LimitReached:         http.StatusBadRequest,
	problem.AlreadyExists:        http.StatusConflict,
	problem.NotFound:             http.StatusNotFound,
	problem.NotStopped:           http.StatusBadRequest,
	problem.ReplayFinished:       http.StatusBadRequest,
	problem.Conflict:             http.StatusConflict,
	problem.RetryInProgress:      http.StatusConflict,
	problem.ReceiverFailed:       http.StatusBadGateway,
	problem.Unauthorized:         http.StatusUnauthorized,
	problem.Forbidden:            http.StatusForbidden,
	problem.MethodNotAllowed:     http.StatusMethodNotAllowed,
	problem.PayloadTooLarge:      http.StatusRequestEntityTooLarge,
	problem.UnsupportedMediaType: http.StatusUnsupportedMediaType,
	problem.TooManyRequests:      http.StatusTooManyRequests,
	problem.Unavailable:          http.StatusServiceUnavailable,
	problem.Internal:             http.StatusInternalServerError,
}

// retryAfter is what a caller is asked to wait where trying again may help, in
// seconds.
const retryAfter = "5"

type errorDocument struct {
	Code      problem.Code `json:"error_code"`
	Message   string       `json:"message"`
	RequestID string       `json:"request_id"`
}

// fail answers with an error, whose cause goes to the log alone.
func (a *api) fail(x *exchange, err error) {
	err = cutShort(err)
	x.err = err
	code := problem.CodeOf(err)
	status, ok := statuses[code]
	if !ok {
		code, status = problem.Internal, http.StatusInternalServerError
	}
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		x.Header().Set("Retry-After", retryAfter)
	}
	a.answer(x, status, errorDocument{code, problem.MessageOf(err), x.id})
}

// cutShort says of a call that ran out of time, or whose client left, that
// trying again may help. A client that left does not read it.
func cutShort(err error) error {
	ended := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	if ended && problem.CodeOf(err) == problem.Internal {
		return problem.Wrap(err, problem.Unavailable, "The call ended before it was done; it may have taken effect. Look, and try again.")
	}
	return err
}

// empty is the body of every 200 without one of its own.
type empty struct{}

// answer writes a JSON body. What cannot be written is for the client to miss.
func (a *api) answer(w http.ResponseWriter, status int, document any) {
	body, err := json.Marshal(document)
	if err != nil {
		panic(err) // a document of ours always encodes; the recovery answers
	}
	a.send(w, status, "application/json", body)
}

func (a *api) send(w http.ResponseWriter, status int, mediaType string, body []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
