package kms

import (
	"bytes"
	"encoding/binary"
)

// magic begins every envelope, before its version. No ciphertext of the service begins
// with it: theirs begin with a 1, and those of its emulators with a key's id.
var magic = []byte("SLUICE\x00")

// version of the envelope: after it the length of the encrypted data key in two bytes,
// that key, and the ciphertext with its nonce before it.
const version = 1

// envelope is a ciphertext with the data key that it was encrypted with.
type envelope struct {
	wrapped []byte // the data key, as the service encrypted it; below 64 KiB
	text    []byte
}

func (e envelope) marshal() []byte {
	b := make([]byte, 0, len(magic)+3+len(e.wrapped)+len(e.text))
	b = append(append(b, magic...), version)
	b = binary.BigEndian.AppendUint16(b, uint16(len(e.wrapped)))
	return append(append(b, e.wrapped...), e.text...)
}

// later says what to do about a ciphertext of an unknown version.
const later = "It was sealed by a later release. Deploy that one, or set the secret again."

// parse returns the envelope of a ciphertext that begins with magic; if it is none, what
// to do about it.
func parse(b []byte) (e envelope, remedy string) {
	b = bytes.TrimPrefix(b, magic)
	switch {
	case len(b) > 0 && b[0] > version:
		return envelope{}, later
	case len(b) < 3 || b[0] != version:
		return envelope{}, damaged
	}
	n, rest := int(binary.BigEndian.Uint16(b[1:3])), b[3:]
	if n == 0 || n > len(rest) {
		return envelope{}, damaged
	}
	return envelope{wrapped: rest[:n], text: rest[n:]}, ""
}
