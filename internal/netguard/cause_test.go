package netguard

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// Errors of every kind, each with a secret wherever the other side can put
// one. Package webhook meets most of them for real.
func TestCauseUsesFixedWords(t *testing.T) {
	const hush = "hush"
	expired := x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired, Detail: hush}
	tests := []struct {
		err  error
		want string
	}{
		{&AddressError{Kind: "a private address"}, notAllowed},
		{&net.DNSError{Err: hush, Name: hush, IsNotFound: true}, notAllowed},
		{&net.DNSError{Err: hush, Name: hush, IsTimeout: true}, notAllowed},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, "connection refused"},
		{syscall.ECONNRESET, "connection reset by the target"},
		{syscall.EPIPE, "connection reset by the target"},
		{syscall.EHOSTUNREACH, "no route to the host"},
		{syscall.ENETUNREACH, "the network cannot be reached"},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, "the connection timed out"},
		{io.EOF, "the connection was closed before a response arrived"},
		{io.ErrUnexpectedEOF, "the connection was closed before a response arrived"},
		{&tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{hush}}, Host: hush}}, "the TLS certificate is not valid for this host"},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, "the TLS certificate is signed by an unknown authority"},
		{&tls.CertificateVerificationError{Err: expired}, "the TLS certificate has expired or is not valid yet"},
		{&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.NotAuthorizedToSign, Detail: hush}}, "the TLS certificate cannot be verified"},
		{&tls.CertificateVerificationError{Err: errors.New(hush)}, "the TLS certificate cannot be verified"},
		{tls.RecordHeaderError{Msg: hush}, "the target does not use TLS; check whether the URL should start with http://"},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: certificate required")}, "the TLS handshake failed (certificate required)"},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: insufficient security level")}, "the target refused the TLS handshake (insufficient security level), most likely because it offers no supported cipher suite, or asks for a client certificate; " + needCipher},
		{errors.New("tls: server selected unsupported curve"), "the target chose a TLS cipher suite or key exchange that is not supported; " + needCipher},
		{errors.New("tls: " + hush), "the TLS handshake failed"},
		{errors.New("malformed HTTP response " + hush), "the response is not valid HTTP"},
		{errors.New(hush), "the connection failed"},
	}
	for _, tt := range tests {
		for _, err := range []error{tt.err, fmt.Errorf("%s: %w", hush, tt.err)} {
			if got := Cause(err); got != tt.want {
				t.Errorf("Cause(%v) = %q, want %q", err, got, tt.want)
			}
		}
	}
}

// A customer cannot tell a name that exists in our network from one that does not, and
// the operator can.
func TestCauseHidesInnerNames(t *testing.T) {
	guard := New(Public, nil)
	inner := guard.Control(t.Context(), "tcp4", "10.1.2.3:443", nil)
	for want, err := range map[string]error{
		"10.1.2.3 is a private address":     &net.OpError{Op: "dial", Net: "tcp", Err: inner},
		"an interface of the service":       &AddressError{Kind: "an interface of the service itself"},
		"no such host":                      &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "db.internal", IsNotFound: true}},
		"the look-up of the host failed":    &net.DNSError{Err: "server misbehaving", Name: "db.internal", IsTemporary: true},
		"the look-up of the host timed out": &net.DNSError{Err: "i/o timeout", Name: "db.internal", IsTimeout: true},
	} {
		if got := Cause(err); got != "the host does not resolve to an allowed address; check its name" {
			t.Errorf("Cause(%v) = %q", err, got)
		}
		if got := Detail(err); !strings.Contains(got, want) || strings.Contains(got, "misbehaving") {
			t.Errorf("Detail(%v) = %q, want %q", err, got, want)
		}
	}
	if got := Detail(syscall.ECONNREFUSED); got != "" {
		t.Errorf("Detail of a refused connection is %q, want none: Cause says all", got)
	}
}

// What our side lacks is told from what the receiver did, also where a look-up failed.
func TestShortageIsOurs(t *testing.T) {
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{dial(syscall.EMFILE), "the process has no free file descriptor"},
		{dial(syscall.ENFILE), "the system has no free file descriptor"},
		{dial(syscall.EADDRNOTAVAIL), "the system has no free port or address to connect from"},
		{&net.DNSError{Err: "dial udp 192.0.2.53:53: socket: too many open files", Name: "shop.test"}, "the process has no free file descriptor"},
		{dial(syscall.ECONNREFUSED), ""},
		{dial(syscall.EHOSTUNREACH), ""},
		{&net.DNSError{Err: "no such host", Name: "shop.test", IsNotFound: true}, ""},
		{context.DeadlineExceeded, ""},
	} {
		if got := Shortage(fmt.Errorf("post: %w", tt.err)); got != tt.want {
			t.Errorf("Shortage(%v) = %q, want %q", tt.err, got, tt.want)
		}
	}
}

func TestFilterLogKeepsTheRest(t *testing.T) {
	var out bytes.Buffer
	w := FilterLog(&out)
	for _, line := range []string{"12:00 Unsolicited response received on idle HTTP channel starting with \"hush\"; err=<nil>\n", "disk full\n"} {
		if n, err := io.WriteString(w, line); n != len(line) || err != nil {
			t.Errorf("Write = %d, %v", n, err)
		}
	}
	if out.String() != "disk full\n" {
		t.Errorf("the log has %q, want the other line alone", out.String())
	}
}
