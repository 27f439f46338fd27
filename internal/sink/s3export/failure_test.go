package s3export

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/netguard"
	"github.com/sluicehq/sluice/internal/sink"
)

// refuse responds with an S3 error that quotes as much of the request as it can.
func refuse(status int, code string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Retry-After", "30")
		w.Header().Set("X-Amz-Request-Id", r.Header.Get("Authorization"))
		w.WriteHeader(status)
		fmt.Fprintf(w, `<Error><Code>%s</Code><Message>%s %s</Message><AWSAccessKeyId>%[3]s</AWSAccessKeyId></Error>`, code, secretKey, accessKey)
	})
}

// failures are stores that return no usable response.
func failures() []failure {
	abrupt := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	return []failure{
		{"denied", refuse(403, "AccessDenied"), 403, "AccessDenied (HTTP status code 403); s3_parameters.aws_access_key_id needs the permissions s3:PutObject and s3:AbortMultipartUpload on the bucket, and kms:GenerateDataKey and kms:Decrypt"},
		{"wrong secret", refuse(403, "SignatureDoesNotMatch"), 403, "SignatureDoesNotMatch (HTTP status code 403); check s3_parameters.aws_secret_access_key and s3_parameters.aws_region, the clock of Sluice, and whether a proxy"},
		{"no bucket", refuse(404, "NoSuchBucket"), 404, "NoSuchBucket (HTTP status code 404); check s3_parameters.bucket"},
		{"slow down", refuse(503, "SlowDown"), 503, "SlowDown (HTTP status code 503)."},
		{"wrong region", refuse(301, "PermanentRedirect"), 301, "PermanentRedirect (HTTP status code 301); the bucket is in another region"},
		{"key disabled", refuse(400, "KMS.DisabledException"), 400, "KMS.DisabledException (HTTP status code 400); check that the bucket's KMS key"},
		{"key to be deleted", refuse(400, "KMS.KMSInvalidStateException"), 400, "KMS.KMSInvalidStateException (HTTP status code 400); check that the bucket's KMS key"},
		{"code is a key", refuse(403, accessKey), 403, "forbidden (HTTP status code 403)."},
		{"code is the secret", refuse(403, secretKey), 403, "forbidden (HTTP status code 403)."},
		{"code is a sentence", refuse(500, "it is "+accessKey), 500, "internal server error (HTTP status code 500)."},
		{"redirect", http.RedirectHandler("http://169.254.169.254/?"+secretKey, http.StatusTemporaryRedirect), 307, "(HTTP status code 307)"},
		{"not XML", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(502)
			_, _ = io.WriteString(w, "<html>"+secretKey)
		}), 502, "bad gateway (HTTP status code 502)"},
		{"closes", abrupt, 0, "the connection was closed before a response arrived"},
	}
}

type failure struct {
	name    string
	handler http.Handler
	status  int
	reason  string
}

func TestFailuresAreRetriesThatSayWhy(t *testing.T) {
	for _, tt := range failures() {
		for kind, size := range map[string]int{"put": 100, "parts": 6 << 20} {
			endpoint := serve(t, tt.handler)
			v := open(t, exportTo(endpoint)).Export(t.Context(), toFile(lines(1, size)), yes)
			start := `Writing a file to S3 bucket "acme-events" at ` + strings.TrimPrefix(endpoint, "http://") + " failed. Reason: "
			if v.Outcome != sink.Retry || v.Status != tt.status || !strings.HasPrefix(v.Reason, start) || !strings.Contains(v.Reason, tt.reason) {
				t.Errorf("%s, %s: Export = %+v, want a Retry with status %d: %s%s", tt.name, kind, v, tt.status, start, tt.reason)
			}
			if want := 30 * time.Second; strings.Contains(v.Reason, "SlowDown") && v.RetryAfter != want {
				t.Errorf("%s, %s: RetryAfter %v, want %v", tt.name, kind, v.RetryAfter, want)
			}
			noSecret(t, tt.name, v)
		}
	}
}

// Hints use the API names of settings.
func TestHintsNameFieldsAsTheAPIDoes(t *testing.T) {
	bare := regexp.MustCompile(`(^|[^._a-z])(aws_access_key_id|aws_secret_access_key|aws_region|bucket|key_prefix|endpoint)\b`)
	for code, hint := range hints {
		for _, found := range bare.FindAllString(hint, -1) {
			if word := strings.TrimSpace(found); word != "bucket" { // also a word of the language
				t.Errorf("%s: %q names %q without s3_parameters", code, hint, word)
			}
		}
		if strings.Contains(hint, "check bucket") {
			t.Errorf("%s: %q names bucket without s3_parameters", code, hint)
		}
	}
}

func noSecret(t *testing.T, name string, what any) {
	t.Helper()
	out := fmt.Sprintf("%v %+v %#v", what, what, what)
	for _, s := range []string{accessKey, secretKey, "Credential="} {
		if strings.Contains(out, s) {
			t.Errorf("%s: %q is given away: %s", name, s, out)
		}
	}
}

func TestTargetsThatCannotBeReached(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + l.Addr().String()
	_ = l.Close()
	plain := serve(t, http.NotFoundHandler())
	for endpoint, want := range map[string]string{
		nobody:                    "connection refused",
		"http://10.0.0.1":         "the host does not resolve to an allowed address",
		"http://169.254.169.254/": "the host does not resolve to an allowed address",
		strings.Replace(plain, "http:", "https:", 1): "the target does not use TLS",
	} {
		v := open(t, exportTo(endpoint)).Export(t.Context(), toFile(lines(1, 100)), yes)
		if v.Outcome != sink.Retry || !strings.Contains(v.Reason, want) {
			t.Errorf("%s: Export = %+v, want a Retry with %q", endpoint, v, want)
		}
		noSecret(t, endpoint, v)
	}
	c := newClientBehind(t, netguard.New(netguard.Public, nil))
	x, err := c.Open(t.Context(), exportTo(plain), vault{})
	if err != nil {
		t.Fatal(err)
	}
	if v := x.Export(t.Context(), toFile(lines(1, 100)), yes); !strings.Contains(v.Reason, "the host does not resolve to an allowed address") || !strings.Contains(v.Detail, "is a loopback address") {
		t.Errorf("public addresses only: Export = %+v", v)
	}
}

func TestSettingsThatMakeNoRequest(t *testing.T) {
	in := exportTo("")
	in.S3.Region = "no/region?" + accessKey
	v := open(t, in).Export(t.Context(), toFile(lines(1, 100)), yes)
	if v.Outcome != sink.Retry || !strings.Contains(v.Reason, "its settings are not valid for a request") {
		t.Errorf("Export = %+v", v)
	}
	noSecret(t, "region", v)
}

func TestOpenRefusesWhatItCannotUse(t *testing.T) {
	for want, change := range map[string]func(*integration.Integration){
		"decrypting its aws_secret_access_key": func(in *integration.Integration) { in.Tenant = "other" },
		"endpoint":                             func(in *integration.Integration) { in.S3.Endpoint = "http://a:" + secretKey + "@b/" },
	} {
		in := exportTo("http://127.0.0.1:9")
		change(in)
		_, err := newClient(t).Open(t.Context(), in, vault{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open = %v, want an error with %q", err, want)
		}
		noSecret(t, want, err)
	}
}

// The network breaks at each request of an upload in turn: nothing is left behind,
// and the next export succeeds.
func TestBrokenNetworkLeavesNothing(t *testing.T) {
	s := newStore(t)
	var broken atomic.Int64 // the request that breaks, from 1
	var asked atomic.Int64
	x := open(t, exportTo(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == broken.Load() {
			_, _ = io.CopyN(io.Discard, r.Body, 1<<20) // the middle of a part
			panic(http.ErrAbortHandler)
		}
		s.handler.ServeHTTP(w, r)
	}))))
	for n := int64(1); n <= 3; n++ { // create, two parts
		broken.Store(n)
		asked.Store(0)
		v := x.Export(t.Context(), toFile(lines(1, 6<<20)), yes)
		if v.Outcome != sink.Retry || !strings.Contains(v.Reason, "connection") {
			t.Errorf("request %d broken: Export = %+v, want a Retry", n, v)
		}
		s.mustBeEmpty(t)
	}
	broken.Store(0)
	if v := x.Export(t.Context(), toFile(lines(1, 6<<20)), yes); v != delivered {
		t.Errorf("network in order again: Export = %+v", v)
	}
	keys, content := s.files(t)
	if len(keys) != 1 || content[keys[0]] != text(lines(1, 6<<20)) {
		t.Errorf("%v is not the one whole file", keys)
	}
}

// The checksum lets a store detect that a part was corrupted.
func TestPartsHaveAChecksum(t *testing.T) {
	s := newStore(t)
	x := open(t, exportTo(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if k := requestKind(r); (k == "part" || k == "put") && r.Header.Get("Content-MD5") == "" {
			t.Errorf("%s without Content-MD5", k)
		}
		if body := r.Body; requestKind(r) == "part" {
			r.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(strings.NewReader("!"), skip(body)), body}
		}
		s.handler.ServeHTTP(w, r)
	}))))
	x.Export(t.Context(), toFile(lines(1, 100)), yes)
	v := x.Export(t.Context(), toFile(lines(1, 2<<20)), yes)
	if v.Outcome != sink.Retry || !strings.Contains(v.Reason, "BadDigest") {
		t.Errorf("Export of a broken part = %+v, want a Retry with BadDigest", v)
	}
}

func skip(r io.Reader) io.Reader {
	_, _ = io.CopyN(io.Discard, r, 1)
	return r
}

func TestEndlessResponseIsCutOff(t *testing.T) {
	x := open(t, exportTo(serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(500)
		buf := make([]byte, 32<<10)
		for range 1 << 15 { // 1 GiB
			if _, err := w.Write(buf); err != nil {
				return
			}
		}
	}))))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	v := x.Export(t.Context(), toFile(lines(1, 100)), yes)
	runtime.ReadMemStats(&after)
	if v.Outcome != sink.Retry || v.Status != 500 {
		t.Errorf("Export = %+v", v)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 32<<20 {
		t.Errorf("an endless response allocated %d MiB", used>>20)
	}
}

func TestLateResponseSaysSo(t *testing.T) {
	x := open(t, exportTo("http://127.0.0.1:9"))
	u := &upload{Exporter: x}
	err := u.limit(t.Context(), time.Millisecond, func(ctx context.Context) error {
		<-ctx.Done()
		return fmt.Errorf("sdk says: %w", ctx.Err())
	})
	if v := x.failed(err); v.Outcome != sink.Retry || !strings.HasSuffix(v.Reason, "Reason: no response within 1ms.") {
		t.Errorf("failed(%v) = %+v", err, v)
	}
}

// If a store responds before it has read everything, net/http must not still be
// sending the last part when the buffer is reused.
func TestRevokedPartReadsNoMore(t *testing.T) {
	p := newPart([]byte("abc"))
	b := make([]byte, 1)
	if n, err := p.Read(b); n != 1 || err != nil {
		t.Fatalf("Read = %d, %v", n, err)
	}
	p.revoke()
	if n, err := p.Read(b); n != 0 || err == nil {
		t.Errorf("Read after revoke = %d, %v, want an error", n, err)
	}
}

func TestResponseBeforeTheBodyIsRead(t *testing.T) {
	x := open(t, exportTo(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requestKind(r) == "part" {
			w.Header().Set("ETag", `"0"`)
			w.WriteHeader(http.StatusOK)
			return
		}
		discard(w, r)
	}))))
	for range 3 { // under -race this finds a buffer that is shared too long
		x.Export(t.Context(), toFile(lines(8, 1<<20)), yes)
	}
}

func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"30": 30 * time.Second, "99999999999999": time.Hour, "soon": 0,
		time.Now().Add(90 * time.Minute).UTC().Format(http.TimeFormat): time.Hour,
	} {
		x := open(t, exportTo(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", value)
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusServiceUnavailable)
		}))))
		if v := x.Export(t.Context(), toFile(lines(1, 100)), yes); v.Outcome != sink.Retry || v.RetryAfter != want {
			t.Errorf("Retry-After: %s: %+v, want a Retry after %v", value, v, want)
		}
	}
}
