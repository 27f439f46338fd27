// Package retryafter reads the HTTP header Retry-After, the same for whoever
// is asked to wait: the sinks and the client.
package retryafter

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Parse reads the value of a Retry-After header, whole seconds or an HTTP date,
// at the given time. What it cannot read, and what has passed, is 0; more than
// most, also a number too long to count, is most.
func Parse(value string, now time.Time, most time.Duration) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(most/time.Second) {
			return most
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), most)
}
