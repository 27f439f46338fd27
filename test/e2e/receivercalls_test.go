package e2e

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// takesOnce makes a call again, as it was.
func (r *reception) takesOnce() {
	r.t.Helper()
	id := r.ids[0]
	call := r.accepted(id)
	before := count(r.program.said("again"), id)
	for range 2 {
		r.want(http.StatusNoContent, "a call made again", call.header, call.body)
	}
	if again := count(r.program.said("again"), id); again != before+2 {
		r.t.Errorf("the receiver has seen the event %d times again, want 2", again-before)
	}

	// A new event that comes 32 times at once is stored once.
	id = uuid.NewString()
	body := bytes.ReplaceAll(call.body, []byte(call.id), []byte(id))
	header := call.header.Clone()
	header.Set("Webhook-Id", id)
	header.Set("Webhook-Signature", signature(r.t, r.secret, id, header.Get("Webhook-Timestamp"), body))
	var connected, sent sync.WaitGroup
	connected.Add(32)
	for range 32 {
		sent.Go(func() {
			status, err := sendAfter(r.t.Context(), func() { connected.Done(); connected.Wait() }, r.program.url, header, body)
			if status != http.StatusNoContent {
				r.t.Errorf("one of 32: %d, %v", status, err)
			}
		})
	}
	sent.Wait()
	if stored, again := count(r.program.said("stored"), id), count(r.program.said("again"), id); stored != 1 || again != 31 {
		r.t.Errorf("an event that came 32 times at once was stored %d times, and known %d times", stored, again)
	}
}

// refusesForgeries changes a call that was accepted. Its times are as far off as the
// libraries tolerate, and a minute, in either direction.
func (r *reception) refusesForgeries() {
	r.t.Helper()
	call := r.accepted(r.ids[1])
	with := func(name string, values ...string) http.Header {
		header := call.header.Clone()
		header[name] = values
		return header
	}
	signed := func(off time.Duration) http.Header {
		stamp := strconv.FormatInt(time.Now().Add(off).Unix(), 10)
		header := with("Webhook-Timestamp", stamp)
		header.Set("Webhook-Signature", signature(r.t, r.secret, call.id, stamp, call.body))
		return header
	}
	stamp, err := strconv.ParseInt(call.header.Get("Webhook-Timestamp"), 10, 64)
	if err != nil {
		r.t.Fatal(err)
	}
	before := r.program.said("stored")
	for what, header := range map[string]http.Header{
		"no signature":            with("Webhook-Signature"),
		"no timestamp":            with("Webhook-Timestamp"),
		"a malformed signature":   with("Webhook-Signature", "v1"),
		"no base64":               with("Webhook-Signature", "v1,ü=="),
		"another version":         with("Webhook-Signature", "v2"+call.header.Get("Webhook-Signature")[2:]),
		"another id":              with("Webhook-Id", r.ids[0]),
		"a secret of others":      with("Webhook-Signature", signature(r.t, newSecret(), call.id, call.header.Get("Webhook-Timestamp"), call.body)),
		"a malformed timestamp":   with("Webhook-Timestamp", "yesterday"),
		"the time of another":     with("Webhook-Timestamp", strconv.FormatInt(stamp-1, 10)),
		"an old timestamp":        signed(-6 * time.Minute),
		"a timestamp still to be": signed(6 * time.Minute),
	} {
		r.want(http.StatusUnauthorized, what, header, call.body)
	}
	r.want(http.StatusUnauthorized, "another body", call.header, append(slices.Clone(call.body), ' '))
	r.want(http.StatusUnauthorized, "no UTF-8", call.header, []byte("\xff"))
	r.want(http.StatusNoContent, "a signature of our own, in time", signed(-time.Minute), call.body)
	if diff := cmp.Diff(before, r.program.said("stored")); diff != "" {
		r.t.Errorf("a forged call was stored: %s", diff)
	}
}

// signature is that of Standard Webhooks, version 1.
func signature(t *testing.T, secret, id, stamp string, body []byte) string {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
