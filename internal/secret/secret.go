// Package secret defines the two forms of a secret: String, clear text in memory
// that redacts itself wherever it is printed, and Sealed, the encrypted form that
// is stored.
package secret

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[secret]"

// String is a secret in clear text. It prints as "[secret]" in every encoding;
// only Reveal returns the clear text, so a search for Reveal finds every use.
// Compare with Equal; == does not compile. The zero value is no secret. A String
// is immutable and safe for concurrent use.
//
// Package fmt does not call the methods of a value in an unexported field of
// another struct. Such a String prints as an address, because the clear text is
// behind a pointer. Code that follows pointers by reflection (a deep printer, a
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

// Equal reports whether both are the same secret. The time it takes depends only
// on their lengths.
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

// mask replaces the hidden part of a secret in a response.
const mask = "********"

// Mask returns the secret as responses show it: eight stars and, if it has 12 or
// more characters, its last 4.
func (s String) Mask() string {
	runes := []rune(s.Reveal())
	if len(runes) < 12 {
		return mask
	}
	return mask + string(runes[len(runes)-4:])
}

// Sealed is the stored form of a secret: its ciphertext and its mask. The zero
// value is no secret.
type Sealed struct {
	Ciphertext []byte `json:"ciphertext,omitzero"`
	Mask       string `json:"mask,omitzero"`
	// Bound says that the ciphertext was sealed for an origin. Those of earlier
	// releases were not. To change it in a record gains nothing: the ciphertext does
	// not open as what it is not.
	Bound bool `json:"bound,omitzero"`
}

// IsZero reports whether there is no secret.
func (s Sealed) IsZero() bool { return len(s.Ciphertext) == 0 }

// Owner is what a ciphertext is bound to: it cannot be opened for another tenant,
// integration, field or origin.
type Owner struct {
	Tenant, Integration, Field string
	// Origin is where the secret may be used, as scheme, host and port; "" for a
	// secret that is bound to none.
	Origin string
}

// Sealing returns the owner that sealed was sealed for, if it is a secret of o: one
// without an origin if sealed is not bound to one.
func (o Owner) Sealing(sealed Sealed) Owner {
	if !sealed.Bound {
		o.Origin = ""
	}
	return o
}

// AssociatedData returns what a ciphertext for o is authenticated with: different bytes
// for different owners, as each part is prefixed with its length. Stored secrets depend
// on both versions: do not change them.
func (o Owner) AssociatedData() []byte {
	data, parts := []byte("sluice secret v1"), []string{o.Tenant, o.Integration, o.Field}
	if o.Origin != "" {
		data, parts = []byte("sluice secret v2"), append(parts, o.Origin)
	}
	for _, part := range parts {
		data = binary.AppendUvarint(data, uint64(len(part)))
		data = append(data, part...)
	}
	return data
}

// Sealer encrypts and decrypts with a key that only it knows. Seal binds a secret to
// the owner's origin, if it has one. Open opens only what was sealed for the owner,
// and what an earlier release sealed for it. Outdated tells what such a release sealed in
// a way that Seal does not any more: without the owner's origin, or with another kind of
// key. The methods are safe for concurrent use; callers do not retry them.
type Sealer interface {
	Seal(ctx context.Context, o Owner, clear String) (Sealed, error)
	Open(ctx context.Context, o Owner, sealed Sealed) (String, error)
	Outdated(o Owner, sealed Sealed) bool
}
