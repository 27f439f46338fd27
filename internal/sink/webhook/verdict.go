package webhook

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/retryafter"
)

// maxRetryAfter is the longest that a receiver can ask to be left alone.
const maxRetryAfter = time.Hour

// verdict is the table of the contract: 2xx delivered, 400 rejected, anything
// else to be tried again.
func (s *Sender) verdict(status int, h http.Header) delivery.Verdict {
	switch {
	case status >= 200 && status <= 299:
		return delivery.Verdict{Outcome: delivery.Delivered, Status: status}
	case status == http.StatusBadRequest:
		return delivery.Verdict{Outcome: delivery.Rejected, Status: status, Reason: s.failed(statusCause(status))}
	default:
		return delivery.Verdict{
			Outcome: delivery.Retry, Status: status, Reason: s.failed(statusCause(status)),
			RetryAfter: retryafter.Parse(h.Get("Retry-After"), s.client.now(), maxRetryAfter),
		}
	}
}

// statusCause puts a status into words. The receiver's own words are not used:
// they can repeat what it was sent.
func statusCause(status int) string {
	words := strings.ToLower(http.StatusText(status))
	if words == "" {
		words = "an unknown answer"
	}
	if status >= 300 && status <= 399 {
		words = "redirects are not followed, and the answer was " + words
	}
	return words + " (HTTP status code " + strconv.Itoa(status) + ")"
}

// redactURL returns the URL for reasons and logs: without user info and
// fragment, and with the values of its query, which often are tokens, hidden.
func redactURL(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if u.RawQuery == "" {
		return shown.String()
	}
	var query strings.Builder
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		if query.Len() > 0 {
			query.WriteByte('&')
		}
		// A part without a value may be a token itself, padded base64 even.
		if name, value, _ := strings.Cut(part, "="); strings.Trim(value, "=") != "" {
			query.WriteString(name + "=")
		}
		query.WriteString("***")
	}
	return shown.String() + "?" + query.String()
}
