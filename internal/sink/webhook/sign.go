package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash"
	"strings"
	"sync"

	"github.com/sluicehq/sluice/internal/secret"
)

const (
	secretPrefix = "whsec_"
	minKey       = 24 // bytes
	maxKey       = 64

	signaturePrefix = "v1,"
)

// signatureLength is the length of one signature: "v1," and 32 bytes in base64.
const signatureLength = len(signaturePrefix) + (sha256.Size+2)/3*4

// signer signs by Standard Webhooks, version 1. It is safe for concurrent use.
type signer struct{ macs sync.Pool }

// newSigner returns the signer for a whsec_ secret; nil for no secret. Its errors
// contain no part of the secret.
func newSigner(s secret.String) (*signer, error) {
	if s.IsZero() {
		return nil, nil
	}
	encoded, ok := strings.CutPrefix(s.Reveal(), secretPrefix)
	if !ok {
		return nil, errors.New("does not begin with whsec_")
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("is not whsec_ followed by base64")
	}
	if len(key) < minKey || len(key) > maxKey {
		return nil, errors.New("does not have 24 to 64 bytes")
	}
	return signerOf(key), nil
}

// signerOf pools keyed hashes: a hash that is reset keeps the state computed from
// its key, which is half of the work for a small body.
func signerOf(key []byte) *signer {
	return &signer{macs: sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, key)} }}}
}

// mac is a keyed hash with a scratch buffer, so that signing does not allocate.
type mac struct {
	hash.Hash
	room [128]byte
}

// append appends "v1," and the base64 of the HMAC-SHA256 of
// "id.timestamp.body" to dst.
func (s *signer) append(dst []byte, id, timestamp string, body []byte) []byte {
	m := s.macs.Get().(*mac)
	defer s.macs.Put(m)
	m.Reset()
	prefix := append(m.room[:0], id...)
	prefix = append(prefix, '.')
	prefix = append(prefix, timestamp...)
	prefix = append(prefix, '.')
	_, _ = m.Write(prefix) // a hash never fails
	_, _ = m.Write(body)
	dst = append(dst, signaturePrefix...)
	return base64.StdEncoding.AppendEncode(dst, m.Sum(m.room[:0]))
}
