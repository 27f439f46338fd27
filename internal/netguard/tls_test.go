package netguard

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// tlsServer is an HTTPS server with its own configuration.
func tlsServer(t *testing.T, config *tls.Config) *httptest.Server {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.TLS = config
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// chooses is the URL of a server that responds to every handshake by the choice of
// a version and a cipher suite, whatever was offered.
func chooses(t *testing.T, version, suite uint16) string {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	hello := []byte{22, byte(version >> 8), byte(version), 0, 42, 2, 0, 0, 38, byte(version >> 8), byte(version)}
	hello = append(hello, make([]byte, 32+1)...) // random, no session
	hello = append(hello, byte(suite>>8), byte(suite), 0)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = conn.Write(hello)
				_, _ = io.Copy(io.Discard, conn)
			}()
		}
	}()
	return "https://" + l.Addr().String()
}

// call calls a server as the sinks do.
func call(t *testing.T, url string, trusted *httptest.Server) error {
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	if trusted != nil {
		transport.TLSClientConfig.RootCAs = trusted.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := transport.RoundTrip(req)
	if err == nil {
		_ = res.Body.Close()
	}
	return err
}

// A receiver whose TLS is too old for crypto/tls learns what it must offer.
func TestOldTLSIsNamed(t *testing.T) {
	offers := func(version uint16, suites ...uint16) string {
		return tlsServer(t, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version, CipherSuites: suites}).URL
	}
	const (
		version = "it must offer TLS 1.2 or later"
		cipher  = "it must offer TLS 1.3, or TLS 1.2 with an ECDHE key exchange"
	)
	for name, tt := range map[string]struct{ url, want string }{
		"TLS 1.0":                  {offers(tls.VersionTLS10), version},
		"TLS 1.1":                  {offers(tls.VersionTLS11), version},
		"chooses TLS 1.0":          {chooses(t, tls.VersionTLS10, tls.TLS_RSA_WITH_AES_128_CBC_SHA), version},
		"RSA key exchange":         {offers(tls.VersionTLS12, tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_CBC_SHA), cipher},
		"3DES":                     {offers(tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA), cipher},
		"RC4":                      {offers(tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA), cipher},
		"CBC with SHA-256":         {offers(tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256), cipher},
		"chooses RSA key exchange": {chooses(t, tls.VersionTLS12, tls.TLS_RSA_WITH_AES_128_GCM_SHA256), cipher},
	} {
		err := call(t, tt.url, nil)
		if err == nil {
			t.Errorf("%s: the call went through", name)
			continue
		}
		if got := Cause(err); !strings.Contains(got, tt.want) {
			t.Errorf("%s: Cause(%v) = %q, want %q in it", name, err, got, tt.want)
		}
	}
}

// What the causes tell receivers to offer is enough.
func TestTLSThatIsAskedForIsEnough(t *testing.T) {
	for _, suite := range []uint16{
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	} {
		for _, curve := range []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521} {
			server := tlsServer(t, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}, CurvePreferences: []tls.CurveID{curve}})
			if err := call(t, server.URL, server); err != nil {
				t.Errorf("%s with %v: %v", tls.CipherSuiteName(suite), curve, err)
			}
		}
	}
}
