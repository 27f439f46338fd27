// Package secret has the two shapes of a secret: String, which is clear text in
// memory and redacts itself wherever it is printed, and Sealed, which is what
// is stored.
package secret

import (
	"context"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[secret]"

// String is a secret in clear. It prints as "[secret]" in every encoding; only
// Reveal gives it away, so that a search for Reveal finds every use. Two of
// them are compared with Equal; == does not compile. The zero value is no
// secret. A String is immutable and safe for concurrent use.
//
// Package fmt does not call the methods of a value in an unexported field of
// another struct. Such a String prints as an address, because the clear text is
// behind a pointer; what walks pointers by reflection (a deep printer, a
// debugger, reflect.DeepEqual) does reach it.
type String struct {
	_     [0]func() // forbids ==, which would compare addresses
	clear *string   // nil: no secret
}

// NewString wraps clear text.
func NewString(clear string) String {
	if clear == "" {
		return String{}
	}
	return String{clear: &clear}
}

// Reveal returns the clear text.
func (s String) Reveal() string {
	if s.clear == nil {
		return ""
	}
	return *s.clear
}

// IsZero reports whether there is no secret.
func (s String) IsZero() bool { return s.clear == nil }

// Equal reports whether both hold the same secret, in a time that depends on
// their lengths alone.
func (s String) Equal(other String) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// String implements fmt.Stringer.
func (String) String() string { return redacted }

// Format implements fmt.Formatter, so that %x and %d redact as well as %v.
func (String) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText implements encoding.TextMarshaler, for JSON, XML, YAML and flags.
func (String) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer.
func (String) LogValue() slog.Value { return slog.StringValue(redacted) }

// mask stands for the hidden part of a secret in an answer.
const mask = "********"

// Mask is what an answer shows of a secret: eight stars and, of secrets with
// 12 characters or more, the last 4.
func (s String) Mask() string {
	runes := []rune(s.Reveal())
	if len(runes) < 12 {
		return mask
	}
	return mask + string(runes[len(runes)-4:])
}

// Sealed is a secret as it is stored: ciphertext, and the mask to show for it.
// The zero value is no secret.
type Sealed struct {
	Ciphertext []byte `json:"ciphertext,omitzero"`
	Mask       string `json:"mask,omitzero"`
}

// IsZero reports whether there is no secret.
func (s Sealed) IsZero() bool { return len(s.Ciphertext) == 0 }

// Owner is what a ciphertext is bound to: it opens for no other tenant,
// integration or field.
type Owner struct{ Tenant, Integration, Field string }

// Sealer encrypts and decrypts under a key that it alone knows. Both calls are
// safe for concurrent use; neither is retried by callers.
type Sealer interface {
	Seal(ctx context.Context, o Owner, clear String) (Sealed, error)
	Open(ctx context.Context, o Owner, sealed Sealed) (String, error)
}
