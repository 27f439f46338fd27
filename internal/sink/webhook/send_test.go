package webhook

import (
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/sink"
)

func TestSendIsTheCallOfTheContract(t *testing.T) {
	var got *http.Request
	var body []byte
	url := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusNoContent)
	})
	in := hookTo(url + "/hooks/a%2Fb?token=" + urlToken + "#part")
	in.Webhook.SigningSecret = secret.Sealed{}
	in.Webhook.PreviousSecret = secret.Sealed{}

	v := open(t, newClient(t, nil), in).Send(t.Context(), sample(), 3)
	if want := (sink.Verdict{Outcome: sink.Delivered, Status: 204}); v != want {
		t.Fatalf("Send = %+v, want %+v", v, want)
	}
	want := http.Header{
		"Authorization":     {"Bearer " + apiKey},
		"Content-Length":    {"155"},
		"Content-Type":      {"application/json"},
		"Sluice-Attempt":    {"3"},
		"User-Agent":        {"Sluice/1.2.3"},
		"Webhook-Id":        {"0195f3a0-7b1c-7c3d-8e9f-000000000001"},
		"Webhook-Timestamp": {"1772366400"},
	}
	if diff := cmp.Diff(want, got.Header, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if got.Method != http.MethodPost || got.RequestURI != "/hooks/a%2Fb?token="+urlToken {
		t.Errorf("request line is %s %s", got.Method, got.RequestURI)
	}
	if string(body) != string(sample().Body) {
		t.Errorf("body is %s, want the event's", body)
	}
}

func TestSendWithoutAPIKeyHasNoAuthorization(t *testing.T) {
	var header http.Header
	url := receiver(t, func(_ http.ResponseWriter, r *http.Request) { header = r.Header })
	in := hookTo(url)
	in.Webhook.APIKey = secret.Sealed{}
	open(t, newClient(t, nil), in).Send(t.Context(), sample(), 1)
	if _, ok := header["Authorization"]; ok || header == nil {
		t.Errorf("headers are %v, want no Authorization", header)
	}
}

func TestSignaturesUntilThePreviousSecretExpires(t *testing.T) {
	var signature, timestamp string
	url := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
		signature, timestamp = r.Header.Get("webhook-signature"), r.Header.Get("webhook-timestamp")
	})
	now := noon
	client := newClient(t, func(o *Options) { o.Now = func() time.Time { return now } })
	sender := open(t, client, hookTo(url))
	sign := func(text string) string {
		s, err := newSigner(secret.NewString(text))
		if err != nil {
			t.Fatal(err)
		}
		return string(s.append(nil, sample().ID, timestamp, sample().Body))
	}
	for _, tt := range []struct {
		after time.Duration
		both  bool
	}{{0, true}, {time.Hour - time.Second, true}, {time.Hour, false}, {2 * time.Hour, false}} {
		now = noon.Add(tt.after)
		if v := sender.Send(t.Context(), sample(), 1); v.Outcome != sink.Delivered {
			t.Fatalf("Send = %+v", v)
		}
		want := sign(signingSecret)
		if tt.both {
			want += " " + sign(previousSecret)
		}
		if signature != want {
			t.Errorf("after %v: webhook-signature is %q, want %q", tt.after, signature, want)
		}
	}
	if reopened := open(t, client, hookTo(url)); reopened.previous != nil {
		t.Error("an expired previous secret was decrypted")
	}
}

// The test vector is from the documentation of Standard Webhooks.
func TestSignatureOfTheStandardsExample(t *testing.T) {
	s, err := newSigner(secret.NewString("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
	if err != nil {
		t.Fatal(err)
	}
	got := string(s.append(nil, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`)))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("signature is %s, want %s", got, want)
	}
}

func TestOpenRefusesWhatItCannotUse(t *testing.T) {
	tests := []struct {
		name   string
		change func(*integration.Webhook)
		want   string
	}{
		{"url", func(w *integration.Webhook) { w.URL = "http://[::1" + urlToken }, "callback_url"},
		{"relative", func(w *integration.Webhook) { w.URL = "/" + urlToken }, "callback_url"},
		{"no scheme", func(w *integration.Webhook) { w.URL = "//example.com/" + urlToken }, "callback_url"},
		{"another scheme", func(w *integration.Webhook) { w.URL = "ftp://example.com/" + urlToken }, "callback_url"},
		{"user info", func(w *integration.Webhook) { w.URL = "http://a:" + urlToken + "@b/" }, "callback_url"},
		{"api key of another field", func(w *integration.Webhook) { w.APIKey = w.SigningSecret }, "decrypting its api_key"},
		{"sealed for another", func(w *integration.Webhook) { w.SigningSecret = w.APIKey }, "decrypting its signing_secret"},
		{"no prefix", func(w *integration.Webhook) { w.SigningSecret = sealed("signing_secret", apiKey) }, "whsec_"},
		{"not base64", func(w *integration.Webhook) { w.SigningSecret = sealed("signing_secret", "whsec_"+apiKey) }, "base64"},
		{"short", func(w *integration.Webhook) { w.SigningSecret = sealed("signing_secret", "whsec_AAAA") }, "24 to 64"},
		{"long", func(w *integration.Webhook) {
			w.PreviousSecret = sealed("signing_secret", "whsec_"+strings.Repeat("AAAA", 22))
		}, "24 to 64"},
	}
	for _, tt := range tests {
		in := hookTo("http://example.com/")
		tt.change(in.Webhook)
		_, err := newClient(t, nil).Open(t.Context(), in, vault{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Open = %v, want an error with %q", tt.name, err, tt.want)
			continue
		}
		for _, s := range []string{apiKey, urlToken, "AAAA", strings.TrimPrefix(signingSecret, "whsec_")} {
			if strings.Contains(err.Error(), s) {
				t.Errorf("%s: Open = %v, which gives away a secret", tt.name, err)
			}
		}
	}
}

// Every key that a registration accepts can sign: 24 to 64 bytes.
func TestKeysOfEveryLengthSign(t *testing.T) {
	for n, want := range map[int]bool{23: false, 24: true, 32: true, 64: true, 65: false} {
		s, err := newSigner(secret.NewString("whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n))))
		if (err == nil) != want || (s != nil) != want {
			t.Errorf("a key of %d bytes: %v", n, err)
		}
	}
}

func FuzzSigningSecret(f *testing.F) {
	for _, s := range []string{"", "whsec_", signingSecret, "whsec_AAAA", "whsec_====", "sk_" + apiKey} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		signer, err := newSigner(secret.NewString(s))
		if err != nil {
			if hidden := strings.TrimPrefix(s, secretPrefix); len(hidden) > 12 && strings.Contains(err.Error(), hidden) {
				t.Errorf("%v gives away the secret", err)
			}
			return
		}
		if (signer == nil) != (s == "") {
			t.Fatalf("newSigner(%q) = %v", s, signer)
		}
		if signer != nil && len(signer.append(nil, "id", "1", nil)) != signatureLength {
			t.Errorf("a signature is not of %d bytes", signatureLength)
		}
	})
}

// Every URL that can be registered results in one well-formed request, whatever RFC
// 3986 requires to be encoded.
func TestURLsAsPeopleWriteThemArrive(t *testing.T) {
	var got *http.Request
	url := receiver(t, func(_ http.ResponseWriter, r *http.Request) { got = r })
	_, port, _ := strings.Cut(strings.TrimPrefix(url, "http://"), ":")
	for _, tt := range []struct{ url, uri, host string }{
		{url + "/hook?team=sales emea", "/hook?team=sales%20emea", "127.0.0.1:" + port},
		{url + "/café/100%/{id}?q=ü|%&r[]=1", "/caf%C3%A9/100%25/%7Bid%7D?q=%C3%BC%7C%25&r%5B%5D=1", "127.0.0.1:" + port},
		{"HTTP://LocalHost:" + port + "/A", "/A", "LocalHost:" + port},
	} {
		got = nil
		v := open(t, newClient(t, nil), hookTo(tt.url)).Send(t.Context(), sample(), 1)
		if got == nil || v.Outcome != sink.Delivered {
			t.Errorf("%s: %+v", tt.url, v)
			continue
		}
		if got.RequestURI != tt.uri || got.Host != tt.host {
			t.Errorf("%s: called %s of host %s, want %s of %s", tt.url, got.RequestURI, got.Host, tt.uri, tt.host)
		}
	}
}

// Certificates and virtual hosts name a host without the trailing dot, in any case.
func TestHostInUpperCaseAndWithADotAtItsEnd(t *testing.T) {
	var host string
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { host = r.Host }))
	defer server.Close()
	client := newClientOver(t, func(transport *http.Transport) {
		transport.TLSClientConfig.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
		}
	})
	for target, want := range map[string]string{
		"https://EXAMPLE.com/":       "EXAMPLE.com",
		"https://example.com./":      "example.com",
		"https://example.com.:8443/": "example.com:8443",
	} {
		v := open(t, client, hookTo(target)).Send(t.Context(), sample(), 1)
		if v.Outcome != sink.Delivered || host != want {
			t.Errorf("%s: %+v, as host %q, want %q", target, v, host, want)
		}
	}
}
