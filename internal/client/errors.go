package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/retryafter"
)

// maxRetryAfter is what a longer Retry-After counts as.
const maxRetryAfter = 24 * time.Hour

// Error is an answer of the API that is not a success.
type Error struct {
	Status     int           // of HTTP
	Code       string        // the stable error_code; empty if the answer was not from this API
	Message    string        // a sentence for the person who called
	RequestID  string        // to look for in the server's log
	RetryAfter time.Duration // how long the API asked to be left alone; 0 if it did not
}

// Error has the code, the message and the request id.
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

// UnreachableError says that the API could not be asked, or that its answer
// did not arrive: the call may have had its effect.
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

func refusal(res *http.Response, answer []byte) *Error {
	e := &Error{Status: res.StatusCode, RetryAfter: retryafter.Parse(res.Header.Get("Retry-After"), time.Now(), maxRetryAfter)}
	var body struct {
		Code      string `json:"error_code"`
		Message   string `json:"message"`
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal(answer, &body); err == nil && body.Code != "" {
		e.Code, e.Message, e.RequestID = body.Code, body.Message, body.RequestID
		return e
	}
	e.Message = strings.TrimSpace(fmt.Sprintf("the answer has HTTP status %d %s", res.StatusCode, http.StatusText(res.StatusCode))) +
		" and is not from Sluice itself; check the URL, and what stands in front of the service"
	if to := res.Header.Get("Location"); to != "" {
		e.Message = fmt.Sprintf("the answer is a redirect to %s, which is not followed; if that is where the API is, use it as the URL", to)
	}
	return e
}
