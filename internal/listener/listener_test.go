package listener

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func call(t *testing.T, h http.Handler, header http.Header, body string) int {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
	r.Header = header
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func TestStatuses(t *testing.T) {
	for _, c := range []struct {
		name     string
		statuses []int
		want     []int // for order.created, order.bad, order.created, order.created
	}{
		{"default", nil, []int{200, 400, 200, 200}},
		{"one", []int{503}, []int{503, 400, 503, 503}},
		{"in turn", []int{503, 429, 204}, []int{503, 400, 429, 204}},
		{"the last stays", []int{503, 202}, []int{503, 400, 202, 202}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := New(Options{Statuses: c.statuses, Reject: []string{"order.bad"}})
			if err != nil {
				t.Fatal(err)
			}
			var got []int
			for _, name := range []string{"order.created", "order.bad", "order.created", "order.created"} {
				got = append(got, call(t, h, http.Header{}, fmt.Sprintf(`{"name":%q}`, name)))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReceived(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var got []Delivery
	h, err := New(Options{
		Statuses: []int{202},
		Received: func(d Delivery) { got = append(got, d) },
		Now:      func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := h.Summary(); s != "No calls received." {
		t.Error(s)
	}
	call(t, h, http.Header{"Webhook-Id": {"e1"}, "Sluice-Attempt": {"3"}}, `{"name":"a.b"}`)
	call(t, h, http.Header{}, `no event`)
	want := []Delivery{
		{ReceivedAt: now, Path: "/", ID: "e1", Name: "a.b", Attempt: 3, Status: 202, Body: []byte(`{"name":"a.b"}`)},
		{ReceivedAt: now, Path: "/", Status: 202, Body: []byte(`no event`)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if s, want := h.Summary(), "2 calls received; responses: 2 with 202; 1 was a repeated attempt."; s != want {
		t.Errorf("Summary is %q, want %q", s, want)
	}
}

// The vector is of the Standard Webhooks specification: secret, id, time, body
// and the signature that they give.
func TestSignatureVector(t *testing.T) {
	h, err := New(Options{SigningSecret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{
		"Webhook-Id":        {"msg_p5jXN8AQM9LWM0D4loKWxJek"},
		"Webhook-Timestamp": {"1614265330"},
		"Webhook-Signature": {"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
	}
	if got := h.check(header, []byte(`{"test": 2432232314}`), time.Unix(1614265330, 0)); got != OK {
		t.Errorf("the signature is %q", got)
	}
}

func TestSignatures(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	key := []byte("0123456789012345678901234")
	sign := func(key []byte, at time.Time, body string) string {
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "e1.%d.%s", at.Unix(), body)
		return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	right := sign(key, now, "body")
	for _, c := range []struct {
		name, header string
		at           time.Time
		want         Signature
	}{
		{"right", right, now, OK},
		{"one of two", "v1,AAAA " + right, now, OK},
		{"none", "", now, Missing},
		{"other key", sign([]byte("another"), now, "body"), now, Wrong},
		{"other body", sign(key, now, "other"), now, Wrong},
		{"other time", right, now.Add(time.Second), Wrong},
		{"other version", strings.Replace(right, "v1,", "v2,", 1), now, Wrong},
		{"old", sign(key, now.Add(-6*time.Minute), "body"), now.Add(-6 * time.Minute), Stale},
		{"from the future", sign(key, now.Add(6*time.Minute), "body"), now.Add(6 * time.Minute), Stale},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got Signature
			h, err := New(Options{
				SigningSecret: "whsec_" + base64.StdEncoding.EncodeToString(key),
				Now:           func() time.Time { return now },
				Received:      func(d Delivery) { got = d.Signature },
			})
			if err != nil {
				t.Fatal(err)
			}
			call(t, h, http.Header{
				"Webhook-Id": {"e1"}, "Webhook-Timestamp": {strconv.FormatInt(c.at.Unix(), 10)}, "Webhook-Signature": {c.header},
			}, "body")
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if wrong := strings.Contains(h.Summary(), " 1 had no valid signature."); wrong != (c.want != OK) {
				t.Error(h.Summary())
			}
		})
	}
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := New(Options{Delay: 2 * time.Second, Statuses: []int{http.StatusAccepted}})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if status := call(t, h, http.Header{}, "{}"); status != http.StatusAccepted || time.Since(begun) != 2*time.Second {
			t.Errorf("returned %d after %s", status, time.Since(begun))
		}

		// A caller that hangs up ends the wait.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun = time.Now()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader("{}")))
		if time.Since(begun) != time.Second {
			t.Errorf("went on for %s", time.Since(begun))
		}
	})
}

func TestOtherCalls(t *testing.T) {
	h, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("a GET got %d", w.Code)
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", io.LimitReader(zeros{}, MaxBody+1)))
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a body that is too long got %d", w.Code)
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", broken{}))
	if s := h.Summary(); s != "No calls received." {
		t.Errorf("a call that broke off counts: %s", s)
	}
}

func TestBadOptions(t *testing.T) {
	for want, o := range map[string]Options{
		"status is 99; it must be from 200 to 599":  {Statuses: []int{200, 99}},
		"status is 600; it must be from 200 to 599": {Statuses: []int{600}},
		`reject is "bad name"; it must be`:          {Reject: []string{"order.created", "bad name"}},
		"delay is -1ns; it must not be negative":    {Delay: -1},
		"signing-secret must be whsec_ followe":     {SigningSecret: "whsec_!"},
		"whsec_ followed by bas":                    {SigningSecret: "MDEy"},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%v) = %v, want %q", o, err, want)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken off") }
