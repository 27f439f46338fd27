package webhook

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/retryafter"
	"github.com/sluicehq/sluice/internal/sink"
)

// maxRetryAfter is the maximum of RetryAfter; longer values are reduced to it.
const maxRetryAfter = time.Hour

// verdict returns the verdict for a status, as the API documents it: 2xx
// delivered, 400 rejected, anything else a retry. A 400 from an HTTPS port that
// was called with http:// is a retry too: the receiver has not seen the event.
func (s *Sender) verdict(res *http.Response, beginning []byte) sink.Verdict {
	status := res.StatusCode
	if status >= 200 && status <= 299 {
		return sink.Verdict{Outcome: sink.Delivered, Status: status}
	}
	cause := statusCause(status)
	if status == http.StatusBadRequest {
		if !wantsHTTPS(beginning) {
			return sink.Verdict{Outcome: sink.Rejected, Status: status, Reason: s.failed(cause), Cause: cause}
		}
		cause = "the port expects HTTPS; change callback_url to begin with https:// (HTTP status code 400)"
	}
	return sink.Verdict{
		Outcome: sink.Retry, Status: status, Reason: s.failed(cause) + advice(status), Cause: cause,
		RetryAfter: retryafter.Parse(res.Header.Get("Retry-After"), s.client.now(), maxRetryAfter),
	}
}

// advice says what a receiver can do about an event that it refuses for good, with a
// status that means a retry here. 408, 425 and 429 ask for one, and a 400 that comes
// here is not about the event.
func advice(status int) string {
	switch status {
	case http.StatusBadRequest, http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return ""
	}
	if status < 400 || status > 499 {
		return ""
	}
	return " Answer 400 to set this event aside."
}

// maxNoticeBytes is how much of the body of a 400 is searched for httpsNotices.
const maxNoticeBytes = 4 << 10

// httpsNotices are the replies of HTTPS ports to plain HTTP, in lower case.
var httpsNotices = [][]byte{
	[]byte("http request to an https server"),            // Go, Caddy, Traefik
	[]byte("plain http request was sent to https port"),  // nginx, AWS load balancers, Cloudflare
	[]byte("plain http to an ssl-enabled server port"),   // Apache
	[]byte("combination of host and port requires tls"),  // Tomcat
	[]byte("this server only speaks https on this port"), // Cheroot
}

func wantsHTTPS(body []byte) bool {
	body = bytes.ToLower(body)
	return slices.ContainsFunc(httpsNotices, func(notice []byte) bool { return bytes.Contains(body, notice) })
}

// statusCause describes a status. It does not use the receiver's own text, which
// can repeat what it was sent.
func statusCause(status int) string {
	words := strings.ToLower(http.StatusText(status))
	if words == "" {
		words = "an unknown response"
	}
	if status >= 300 && status <= 399 {
		words = "redirects are not followed; the response was " + words
	}
	return words + " (HTTP status code " + strconv.Itoa(status) + ")"
}
