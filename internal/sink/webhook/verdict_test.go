package webhook

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
)

func TestVerdictOfEveryStatus(t *testing.T) {
	var status atomic.Int64
	target := rawReceiver(t, func(c net.Conn, _ *bufio.Reader) {
		fmt.Fprintf(c, "HTTP/1.1 %d What The Receiver Says\r\nContent-Length: 0\r\nRetry-After: 7\r\nLocation: http://169.254.169.254/\r\nConnection: close\r\n\r\n", status.Load())
	})
	sender := open(t, newClient(t, nil), hookTo(target+"/in?token="+urlToken))
	for code := 100; code <= 599; code++ {
		status.Store(int64(code))
		v := sender.Send(t.Context(), sample(), 1)
		want := delivery.Retry
		switch {
		case code >= 200 && code <= 299:
			want = delivery.Delivered
		case code == 400:
			want = delivery.Rejected
		}
		if v.Outcome != want {
			t.Errorf("status %d: outcome %v, want %v", code, v.Outcome, want)
		}
		if code < 200 && code != 101 { // an interim answer, after which the receiver closes
			if v.Status != 0 || !strings.Contains(v.Reason, "closed") {
				t.Errorf("status %d: %+v, want no status and a closed connection", code, v)
			}
			continue
		}
		if v.Status != code {
			t.Errorf("status %d: verdict has status %d", code, v.Status)
		}
		if got, want := v.RetryAfter, 7*time.Second; want != got && v.Outcome == delivery.Retry || got != 0 && v.Outcome != delivery.Retry {
			t.Errorf("status %d: RetryAfter %v", code, got)
		}
		if v.Outcome == delivery.Delivered {
			if v.Reason != "" {
				t.Errorf("status %d: reason %q, want none", code, v.Reason)
			}
			continue
		}
		start, end := "Request to URL "+target+"/in?token=*** failed. Reason: ", fmt.Sprintf(" (HTTP status code %d).", code)
		if !strings.HasPrefix(v.Reason, start) || !strings.HasSuffix(v.Reason, end) || strings.Contains(v.Reason, "What The") {
			t.Errorf("status %d: reason %q, want %s…%s", code, v.Reason, start, end)
		}
		if redirect := strings.Contains(v.Reason, "redirects are not followed"); redirect != (code >= 300 && code < 400) {
			t.Errorf("status %d: reason %q", code, v.Reason)
		}
	}
}

func TestReasonOfAStatus(t *testing.T) {
	for status, want := range map[int]string{
		429: "too many requests (HTTP status code 429)",
		400: "bad request (HTTP status code 400)",
		302: "redirects are not followed, and the answer was found (HTTP status code 302)",
		599: "an unknown answer (HTTP status code 599)",
	} {
		if got := statusCause(status); got != want {
			t.Errorf("statusCause(%d) = %q, want %q", status, got, want)
		}
	}
}

func TestRedactURL(t *testing.T) {
	tests := []struct{ in, want string }{
		{"https://example.com", "https://example.com"},
		{"https://example.com:8443/a%2Fb/c", "https://example.com:8443/a%2Fb/c"},
		{"https://example.com/a?token=hush", "https://example.com/a?token=***"},
		{"https://example.com/a?x=hush&y=hush=hush&z", "https://example.com/a?x=***&y=***&***"},
		{"https://example.com/a?hush", "https://example.com/a?***"},
		{"https://example.com/a?hush==", "https://example.com/a?***"},
		{"https://hush:hush@example.com/a#hush", "https://example.com/a"},
	}
	for _, tt := range tests {
		u, err := url.Parse(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		if got := redactURL(u); got != tt.want {
			t.Errorf("redactURL(%s) = %s, want %s", tt.in, got, tt.want)
		}
	}
}
