package netguard

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
)

// Cause says in a few words why an HTTP call gave no answer. The words are
// fixed: errors of net/http and crypto/tls quote what the other side sent,
// which can be the secret we sent it.
func Cause(err error) string {
	if e := AsAddressError(err); e != nil {
		return "the target's address is not allowed: it is " + e.Kind
	}
	if c := tlsCause(err); c != "" {
		return c
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return "the host name cannot be resolved: no such host"
		}
		return "the host name cannot be resolved at the moment"
	}
	for _, c := range causes {
		if errors.Is(err, c.is) {
			return c.words
		}
	}
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
		return "the connection timed out"
	}
	// The rest has no types to go by.
	switch text := err.Error(); {
	case strings.Contains(text, "response headers exceeded"):
		return "the headers of the answer are too long"
	case strings.Contains(text, "malformed"), strings.Contains(text, "bad Content-Length"), strings.Contains(text, "transfer encoding"):
		return "the answer is not valid HTTP"
	case strings.Contains(text, "HTTP response to HTTPS client"):
		return notTLS
	case strings.Contains(text, "server closed idle connection"):
		return closedEarly
	}
	return "the connection failed"
}

const (
	closedEarly = "the connection was closed before an answer came"
	notTLS      = "the target does not speak TLS; is the URL meant to begin with http://?"
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
	{syscall.EADDRNOTAVAIL, "the address cannot be reached from here"},
	{syscall.EMFILE, "no more connections can be opened here at the moment"},
	{io.EOF, closedEarly},
	{io.ErrUnexpectedEOF, closedEarly},
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

// What crypto/tls offers by default: TLS 1.2 and 1.3, and in TLS 1.2 no RSA key
// exchange, 3DES, RC4 or CBC with SHA-256.
const (
	needVersion = "the target offers only versions of TLS older than 1.2; it must offer TLS 1.2 or later"
	needCipher  = "it must offer TLS 1.3, or TLS 1.2 with an ECDHE key exchange (X25519, P-256, P-384 or P-521) and AES-GCM or ChaCha20-Poly1305"
)

// alertCause puts into words what the target answered to our handshake. The
// words of an alert are crypto/tls's own.
func alertCause(alert string) string {
	switch alert {
	case "protocol version not supported":
		return needVersion
	case "handshake failure", "insufficient security level": // other reasons are rare
		return "the target refused the TLS handshake (" + alert + "), most likely as it offers no cipher suite that is supported; " + needCipher
	}
	return "the TLS handshake failed (" + alert + ")"
}

// ownCause puts into words why we refused what the target chose, by the text
// of an error of crypto/tls, which has no types for it.
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
