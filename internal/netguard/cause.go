package netguard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
)

// Cause returns a short reason why an HTTP call failed without a response, for the
// customer. The texts are fixed, because errors of net/http and crypto/tls quote what
// the other side sent, which may include the secrets it received. There is one for
// every host that has no address to call, so that nobody learns which names exist in
// our network; Detail says more.
func Cause(err error) string {
	if Detail(err) != "" {
		return notAllowed
	}
	if _, ok := errors.AsType[*ProxyError](err); ok {
		return "the egress proxy did not connect to the target"
	}
	if c := tlsCause(err); c != "" {
		return c
	}
	for _, c := range causes {
		if errors.Is(err, c.is) {
			return c.words
		}
	}
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
		return "the connection timed out"
	}
	// The other errors have no types.
	switch text := err.Error(); {
	case strings.Contains(text, "response headers exceeded"):
		return "the response headers are too large"
	case strings.Contains(text, "malformed"), strings.Contains(text, "bad Content-Length"), strings.Contains(text, "transfer encoding"):
		return "the response is not valid HTTP"
	case strings.Contains(text, "HTTP response to HTTPS client"):
		return notTLS
	case strings.Contains(text, "server closed idle connection"):
		return closedEarly
	}
	return "the connection failed"
}

// Detail returns what Cause keeps from the customer, for the operator's log: why a host
// has no address to call. It is "" for any other error.
func Detail(err error) string {
	if e := AsAddressError(err); e != nil {
		return e.Error()
	}
	dns, ok := errors.AsType[*net.DNSError](err)
	switch {
	case !ok:
		return ""
	case dns.IsNotFound:
		return "no such host"
	case dns.IsTimeout:
		return "the look-up of the host timed out"
	default: // the error quotes what the server sent
		return "the look-up of the host failed"
	}
}

const (
	notAllowed  = "the host does not resolve to an allowed address; check its name"
	closedEarly = "the connection was closed before a response arrived"
	notTLS      = "the target does not use TLS; check whether the URL should start with http://"
)

var causes = []struct {
	is    error
	words string
}{
	{syscall.ECONNREFUSED, "connection refused"},
	{syscall.ECONNRESET, "connection reset by the target"},
	{syscall.EPIPE, "connection reset by the target"},
	{syscall.EHOSTUNREACH, "no route to the host"},
	{syscall.ENETUNREACH, "the network cannot be reached"},
	{io.EOF, closedEarly},
	{io.ErrUnexpectedEOF, closedEarly},
}

// shortages are the errors of a process or a host that cannot open a connection.
var shortages = []struct {
	is    syscall.Errno
	words string
}{
	{syscall.EMFILE, "the process has no free file descriptor"},
	{syscall.ENFILE, "the system has no free file descriptor"},
	{syscall.EADDRNOTAVAIL, "the system has no free port or address to connect from"},
}

// ProxyError reports that the operator's proxy did not connect to a target. Customers
// are not told its status: it could tell them what exists in the network of the proxy.
type ProxyError struct {
	Status          int
	AsksCredentials bool // of every request; otherwise it refuses this target
}

// Error returns a text for the operator.
func (e *ProxyError) Error() string {
	return fmt.Sprintf("the egress proxy itself responded with HTTP status code %d", e.Status)
}

// Shortage returns what our side lacks if that is why a call failed, and "" if it is
// not: such a failure says nothing of the receiver.
func Shortage(err error) string {
	for _, s := range shortages {
		if errors.Is(err, s.is) {
			return s.words
		}
		// A failed look-up has the error only as text.
		if dns, ok := errors.AsType[*net.DNSError](err); ok && strings.Contains(dns.Err, s.is.Error()) {
			return s.words
		}
	}
	return proxyLacks(err)
}

// proxyLacks returns what is wrong with the operator's proxy, or "".
func proxyLacks(err error) string {
	if e, ok := errors.AsType[*ProxyError](err); ok && e.AsksCredentials {
		return "the egress proxy (SLUICE_EGRESS_PROXY) asks for credentials, which is not supported"
	}
	op, ok := errors.AsType[*net.OpError](err) // the outermost is that of net/http
	if !ok || op.Op != "proxyconnect" || errors.Is(err, context.Canceled) {
		return ""
	}
	return "the egress proxy (SLUICE_EGRESS_PROXY) cannot be reached: " + Cause(op.Err)
}

func tlsCause(err error) string {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the TLS certificate is not valid for this host"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the TLS certificate is signed by an unknown authority"
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return "the TLS certificate has expired or is not valid yet"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the TLS certificate cannot be verified"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return notTLS
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return alertCause(strings.TrimPrefix(op.Err.Error(), "tls: "))
	}
	return ownCause(err.Error())
}

// What crypto/tls supports by default: TLS 1.2 and 1.3, and in TLS 1.2 no RSA key
// exchange, 3DES, RC4 or CBC with SHA-256.
const (
	needVersion = "the target offers only versions of TLS older than 1.2; it must offer TLS 1.2 or later"
	needCipher  = "it must offer TLS 1.3, or TLS 1.2 with an ECDHE key exchange (X25519, P-256, P-384 or P-521) and AES-GCM or ChaCha20-Poly1305"
)

// alertCause explains a TLS alert from the target. The texts of alerts are those of
// crypto/tls.
func alertCause(alert string) string {
	switch alert {
	case "protocol version not supported":
		return needVersion
	case "handshake failure", "insufficient security level": // other reasons are rare
		return "the target refused the TLS handshake (" + alert + "), most likely because it offers no supported cipher suite, or asks for a client certificate; " + needCipher
	}
	return "the TLS handshake failed (" + alert + ")"
}

// ownCause explains why crypto/tls refused what the target chose. It matches the
// error's text, because crypto/tls has no types for these errors.
func ownCause(text string) string {
	switch {
	case strings.Contains(text, "tls: server selected unsupported protocol version"):
		return needVersion
	case strings.Contains(text, "tls: server chose an unconfigured cipher suite"),
		strings.Contains(text, "tls: server selected unsupported curve"),
		strings.Contains(text, "tls: server selected unsupported group"):
		return "the target chose a TLS cipher suite or key exchange that is not supported; " + needCipher
	case strings.Contains(text, "tls: "):
		return "the TLS handshake failed"
	}
	return ""
}
