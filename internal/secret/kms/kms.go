// Package kms seals secrets under a key of AWS Key Management Service. The
// secret itself goes through the service, which takes 4,096 bytes: as many as
// the longest secret of an integration has. It is bound to tenant, integration
// and field by the encryption context, which AWS CloudTrail shows beside every
// use; the key never leaves the service.
package kms

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
)

// maxClear is the longest text, in bytes, that the service encrypts.
const maxClear = 4096

// Client are the calls that a Sealer makes; *kms.Client has them.
type Client interface {
	Encrypt(ctx context.Context, in *kms.EncryptInput, options ...func(*kms.Options)) (*kms.EncryptOutput, error)
	Decrypt(ctx context.Context, in *kms.DecryptInput, options ...func(*kms.Options)) (*kms.DecryptOutput, error)
}

// Sealer seals and opens under one key. It is safe for concurrent use and
// remembers nothing: each call of it is one call of the service. Errors are of
// package problem: Unavailable where trying again later may help, else
// Internal.
type Sealer struct {
	client Client
	key    string
}

var _ secret.Sealer = (*Sealer)(nil)

// New returns a Sealer under the symmetric key with the given id or ARN.
func New(client Client, key string) *Sealer { return &Sealer{client: client, key: key} }

// Seal encrypts clear for o. No secret is sealed as the zero Sealed.
func (s *Sealer) Seal(ctx context.Context, o secret.Owner, clear secret.String) (secret.Sealed, error) {
	if clear.IsZero() {
		return secret.Sealed{}, nil
	}
	text := []byte(clear.Reveal())
	if len(text) > maxClear {
		return secret.Sealed{}, problem.New(problem.Internal, "The %s of integration %s has %d bytes; at most %d can be sealed.", o.Field, o.Integration, len(text), maxClear)
	}
	out, err := s.client.Encrypt(ctx, &kms.EncryptInput{KeyId: aws.String(s.key), Plaintext: text, EncryptionContext: boundTo(o)})
	if err != nil {
		return secret.Sealed{}, failure(err, "seal", o)
	}
	return secret.Sealed{Ciphertext: out.CiphertextBlob, Mask: clear.Mask()}, nil
}

// Open decrypts what was sealed for o under the same key; the zero Sealed is no
// secret.
func (s *Sealer) Open(ctx context.Context, o secret.Owner, sealed secret.Sealed) (secret.String, error) {
	if sealed.IsZero() {
		return secret.String{}, nil
	}
	// The ciphertext names a key too. With the key given, one that was put
	// into the table by somebody else, under a key of theirs, does not open.
	out, err := s.client.Decrypt(ctx, &kms.DecryptInput{KeyId: aws.String(s.key), CiphertextBlob: sealed.Ciphertext, EncryptionContext: boundTo(o)})
	if err != nil {
		return secret.String{}, failure(err, "open", o)
	}
	return secret.NewString(string(out.Plaintext)), nil
}

// boundTo is the encryption context. Secrets that are stored depend on it.
func boundTo(o secret.Owner) map[string]string {
	return map[string]string{"tenant": o.Tenant, "integration": o.Integration, "field": o.Field}
}
