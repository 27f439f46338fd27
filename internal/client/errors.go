package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/retryafter"
)

// maxRetryAfter caps Retry-After.
const maxRetryAfter = 24 * time.Hour

// Error is a response that is not a 2xx.
type Error struct {
	Status     int           // HTTP status
	Code       string        // the stable error_code; empty if the response is not from this API
	Message    string        // for the user
	RequestID  string        // to search the server's log for
	RetryAfter time.Duration // from the header Retry-After; 0 if absent
}

// Error returns the code, the message and the request id.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Code != "" {
		b.WriteString(e.Code + ": ")
	}
	b.WriteString(e.Message)
	if e.RequestID != "" {
		b.WriteString(" (request_id " + e.RequestID + ")")
	}
	return b.String()
}

// UnreachableError reports that the API could not be reached or that its response
// was lost. The call may have taken effect.
type UnreachableError struct {
	URL string
	Err error
}

// Error names the URL and the cause.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("cannot reach %s: %v", e.URL, e.Err)
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// PlainError reports a URL whose calls would cross the network unencrypted.
type PlainError struct{ Host string }

// Error names the host and what could be read.
func (e *PlainError) Error() string {
	return fmt.Sprintf("the token and all data would be sent to %s unencrypted, for anyone on the way to read; use https://", e.Host)
}

func refusal(res *http.Response, received []byte) *Error {
	e := &Error{Status: res.StatusCode, RetryAfter: retryafter.Parse(res.Header.Get("Retry-After"), time.Now(), maxRetryAfter)}
	var body struct {
		Code      string `json:"error_code"`
		Message   string `json:"message"`
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal(received, &body); err == nil && body.Code != "" {
		e.Code, e.Message, e.RequestID = body.Code, body.Message, body.RequestID
		return e
	}
	e.Message = strings.TrimSpace(fmt.Sprintf("the response has HTTP status %d %s", res.StatusCode, http.StatusText(res.StatusCode))) +
		" and is not from Sluice; check the URL and any proxy in front of the service"
	if to := res.Header.Get("Location"); to != "" {
		e.Message = fmt.Sprintf("the response redirects to %s, which is not followed; if the API is there, use that URL", to)
	}
	return e
}
