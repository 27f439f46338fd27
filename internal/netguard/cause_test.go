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
		{&AddressError{Kind: "a private address"}, "the target's address is not allowed: it is a private address"},
		{&net.DNSError{Err: hush, Name: hush, IsNotFound: true}, "the host name cannot be resolved: no such host"},
		{&net.DNSError{Err: hush, Name: hush, IsTimeout: true}, "temporary failure resolving the host name"},
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
