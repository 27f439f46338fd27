package catalog

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/egress"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/netguard"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/secret/local"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
)

// ofEnvironment is the proxy that HTTP_PROXY and HTTPS_PROXY name.
var ofEnvironment = &proxy{status: http.StatusBadGateway}

func TestMain(m *testing.M) {
	s := httptest.NewServer(ofEnvironment)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		_ = os.Setenv(name, s.URL)
	}
	code := m.Run()
	s.Close()
	os.Exit(code)
}

// authority is a private certificate authority, with a certificate for names that only
// the proxy resolves, and for 127.0.0.1.
type authority struct {
	file string // its own certificate
	leaf tls.Certificate
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	made := func(template, parent *x509.Certificate) []byte {
		template.SerialNumber, template.NotAfter = big.NewInt(1), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	ca := &x509.Certificate{Subject: pkix.Name{CommonName: "private"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made(ca, ca)}), 0o600); err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{DNSNames: []string{"*.internal.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	return authority{file, tls.Certificate{Certificate: [][]byte{made(leaf, ca)}, PrivateKey: key}}
}

// target is a receiver and a store.
type target struct {
	mu   sync.Mutex
	seen []string
}

func (r *target) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, req.Method+" "+req.Host)
	w.Header().Set("ETag", `"e"`)
}

func (r *target) serve(t *testing.T, certificate *tls.Certificate) (addr string) {
	t.Helper()
	s := httptest.NewUnstartedServer(r)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	if certificate == nil {
		s.Start()
	} else {
		s.TLS = &tls.Config{Certificates: []tls.Certificate{*certificate}}
		s.StartTLS()
	}
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// proxy is an HTTP proxy whose rules lead every name to one target.
type proxy struct {
	secure, plain string // addresses of the target
	status        int    // of its own responses, unless it passes requests on
	header        string // of those: "Name: value"

	mu   sync.Mutex
	seen []string
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	p.mu.Lock()
	p.seen = append(p.seen, req.Method+" "+req.RequestURI)
	p.mu.Unlock()
	switch {
	case p.status != 0:
		if name, value, ok := strings.Cut(p.header, ": "); ok {
			w.Header().Set(name, value)
		}
		w.WriteHeader(p.status)
	case req.Method == http.MethodConnect:
		p.tunnel(w)
	default: // plain HTTP, with the whole URL
		out := req.Clone(req.Context())
		out.URL.Host, out.RequestURI = p.plain, ""
		res, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		w.WriteHeader(res.StatusCode)
	}
}

func (p *proxy) tunnel(w http.ResponseWriter) {
	out, err := net.Dial("tcp", p.secure)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer out.Close()
	w.WriteHeader(http.StatusOK)
	in, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer in.Close()
	go func() { _, _ = io.Copy(out, buffered); _ = out.Close() }()
	_, _ = io.Copy(in, out)
}

func (p *proxy) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

func (p *proxy) serve(t *testing.T) (url string) {
	t.Helper()
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	return s.URL
}

// sinks are those of the settings, as a node and the functions open them.
type sinks struct {
	*Sinks
	sealer secret.Sealer
}

func openSinks(t *testing.T, policy netguard.Policy, change func(*settings.Settings)) sinks {
	t.Helper()
	s := settings.Default()
	change(&s)
	route, err := egress.Open(netguard.New(policy, nil), &s)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := local.OpenOrCreate(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	return sinks{New(Options{Route: route, Sealer: sealer, Settings: s, Kept: 10}), sealer}
}

func (s sinks) send(t *testing.T, url string) sink.Verdict {
	t.Helper()
	x, err := s.Webhook(t.Context(), &integration.Integration{Tenant: "acme", ID: "hook", Webhook: &integration.Webhook{URL: url}})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	return x.Send(t.Context(), &event.Event{ID: "1", Body: []byte("{}")}, 1)
}

func (s sinks) export(t *testing.T, endpoint string) sink.Verdict {
	t.Helper()
	in := &integration.Integration{Tenant: "acme", ID: "files", S3: &integration.S3{AccessKeyID: "id", Region: "eu", Bucket: "bucket", Endpoint: endpoint}}
	owner := secret.Owner{Tenant: "acme", Integration: "files", Field: integration.FieldSecretAccessKey}
	var err error
	if in.S3.SecretAccessKey, err = s.sealer.Seal(t.Context(), owner, secret.NewString("key")); err != nil {
		t.Fatal(err)
	}
	x, err := s.S3(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	return x.Export(t.Context(), sink.File{Created: time.Now(), Bodies: slices.Values([][]byte{[]byte("{}")})},
		func(context.Context, handoff.Upload) error { return nil })
}
