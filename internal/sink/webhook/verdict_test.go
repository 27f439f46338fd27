package webhook

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/sink"
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
		want := sink.Retry
		switch {
		case code >= 200 && code <= 299:
			want = sink.Delivered
		case code == 400:
			want = sink.Rejected
		}
		if v.Outcome != want {
			t.Errorf("status %d: outcome %v, want %v", code, v.Outcome, want)
		}
		if code < 200 && code != 101 { // an interim response, after which the receiver closes
			if v.Status != 0 || !strings.Contains(v.Reason, "closed") {
				t.Errorf("status %d: %+v, want no status and a closed connection", code, v)
			}
			continue
		}
		if v.Status != code {
			t.Errorf("status %d: verdict has status %d", code, v.Status)
		}
		if got, want := v.RetryAfter, 7*time.Second; want != got && v.Outcome == sink.Retry || got != 0 && v.Outcome != sink.Retry {
			t.Errorf("status %d: RetryAfter %v", code, got)
		}
		if v.Outcome == sink.Delivered {
			if v.Reason != "" {
				t.Errorf("status %d: reason %q, want none", code, v.Reason)
			}
			continue
		}
		start, end := "Request to URL "+target+"/… failed. Reason: ", fmt.Sprintf(" (HTTP status code %d).", code)
		if advised := code > 400 && code < 500 && code != 408 && code != 425 && code != 429; advised {
			end += " Answer 400 to set this event aside."
		}
		if !strings.HasPrefix(v.Reason, start) || !strings.HasSuffix(v.Reason, end) || strings.Contains(v.Reason, "What The") {
			t.Errorf("status %d: reason %q, want %s…%s", code, v.Reason, start, end)
		}
		if hasCause := strings.Contains(v.Reason, " Reason: "+v.Cause+"."); v.Outcome == sink.Retry && (v.Cause == "" || !hasCause) {
			t.Errorf("status %d: cause %q of %q", code, v.Cause, v.Reason)
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
		302: "redirects are not followed; the response was found (HTTP status code 302)",
		599: "an unknown response (HTTP status code 599)",
	} {
		if got := statusCause(status); got != want {
			t.Errorf("statusCause(%d) = %q, want %q", status, got, want)
		}
	}
}

// notices are the responses of servers to plain HTTP on their HTTPS port.
var notices = map[string]string{
	"Go":       "Client sent an HTTP request to an HTTPS server.\n",
	"nginx":    "<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>\r\n<body>\r\n<center><h1>400 Bad Request</h1></center>\r\n",
	"Apache":   "<!DOCTYPE HTML>\n<title>400 Bad Request</title>\nReason: You're speaking plain HTTP to an SSL-enabled server port.<br />\n",
	"Tomcat":   "Bad Request\r\nThis combination of host and port requires TLS.\r\n",
	"Cheroot":  "The client sent a plain HTTP request, but this server only speaks HTTPS on this port.",
	"far down": strings.Repeat(" ", 4000) + "HTTP request to an HTTPS server",
}

// Such a 400 says nothing about the event: the receiver has not seen it.
func TestHTTPSPortCalledByHTTPIsARetry(t *testing.T) {
	check := func(name, target string, serve func(net.Conn, *bufio.Reader)) {
		if serve != nil {
			target = rawReceiver(t, serve)
		}
		v := open(t, newClient(t, nil), hookTo(target)).Send(t.Context(), sample(), 1)
		if v.Outcome != sink.Retry || v.Status != 400 || !strings.Contains(v.Reason, "change callback_url to begin with https://") {
			t.Errorf("%s: Send = %+v, want a Retry that says what to do", name, v)
		}
	}
	for name, body := range notices {
		whole := fmt.Sprintf("HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		check(name, "", answer(whole))
		check(name+", cut off", "", answer(strings.Replace(whole, "Length: ", "Length: 9", 1)))
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	defer server.Close()
	check("a real server", strings.Replace(server.URL, "https:", "http:", 1), nil)
}

func TestOther400sAreRejections(t *testing.T) {
	notice := notices["Go"]
	reject := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(body))
		}
	}
	server := httptest.NewTLSServer(reject(notice))
	defer server.Close()
	overTLS := newClientOver(t, func(transport *http.Transport) {
		transport.TLSClientConfig.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	})
	for name, sender := range map[string]*Sender{
		"no body":             open(t, newClient(t, nil), hookTo(receiver(t, reject("")))),
		"another body":        open(t, newClient(t, nil), hookTo(receiver(t, reject("order_id: the HTTPS link is missing")))),
		"beyond what is read": open(t, newClient(t, nil), hookTo(receiver(t, reject(strings.Repeat(" ", maxNoticeBytes)+notice)))),
		"called by https://":  open(t, overTLS, hookTo(server.URL)),
	} {
		if v := sender.Send(t.Context(), sample(), 1); v.Outcome != sink.Rejected || v.Status != 400 {
			t.Errorf("%s: Send = %+v, want Rejected", name, v)
		}
	}
}
