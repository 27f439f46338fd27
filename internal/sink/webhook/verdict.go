package webhook

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
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
			RetryAfter: retryAfter(h.Get("Retry-After"), s.client.now()),
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

// retryAfter reads a Retry-After header, either seconds or an HTTP date. What
// it cannot read, and what has passed, is 0; the longest is an hour.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) { // too long for a number
			return maxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
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
