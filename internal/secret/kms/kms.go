// Package kms seals secrets with a key of AWS Key Management Service. The service
// encrypts the secret itself, up to 4,096 bytes, which is also the limit for an
// integration's secrets. The encryption context binds it to tenant, integration,
// field and origin; AWS CloudTrail shows the context with every use. The key never
// leaves the service.
package kms

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
)

// maxClear is the maximum length, in bytes, that the service encrypts.
const maxClear = 4096

// Client has the calls that a Sealer makes; *kms.Client implements it.
type Client interface {
	Encrypt(ctx context.Context, in *kms.EncryptInput, options ...func(*kms.Options)) (*kms.EncryptOutput, error)
	Decrypt(ctx context.Context, in *kms.DecryptInput, options ...func(*kms.Options)) (*kms.DecryptOutput, error)
}

// Sealer seals and opens with one key. It is safe for concurrent use and caches
// nothing: each call makes one call of the service. Errors are of package problem:
// Unavailable if a later retry may help, otherwise Internal.
type Sealer struct {
	client Client
	key    string
}

var _ secret.Sealer = (*Sealer)(nil)

// New returns a Sealer for the symmetric key with the given id or ARN.
func New(client Client, key string) *Sealer { return &Sealer{client: client, key: key} }

// Seal encrypts clear for o. The zero String becomes the zero Sealed.
func (s *Sealer) Seal(ctx context.Context, o secret.Owner, clear secret.String) (secret.Sealed, error) {
	if clear.IsZero() {
		return secret.Sealed{}, nil
	}
	text := []byte(clear.Reveal())
	if len(text) > maxClear {
		return secret.Sealed{}, problem.New(problem.Internal, "The %s of integration %s has %d bytes; the limit is %d.", o.Field, o.Integration, len(text), maxClear)
	}
	out, err := s.client.Encrypt(ctx, &kms.EncryptInput{KeyId: aws.String(s.key), Plaintext: text, EncryptionContext: boundTo(o)})
	if err != nil {
		return secret.Sealed{}, failure(err, "seal", o)
	}
	return secret.Sealed{Ciphertext: out.CiphertextBlob, Mask: clear.Mask(), Bound: o.Origin != ""}, nil
}

// Open decrypts what was sealed for o with the same key. The zero Sealed becomes
// the zero String.
func (s *Sealer) Open(ctx context.Context, o secret.Owner, sealed secret.Sealed) (secret.String, error) {
	if sealed.IsZero() {
		return secret.String{}, nil
	}
	// The ciphertext also names a key. Giving ours rejects a ciphertext that an
	// attacker wrote to the table, encrypted with a key of their own.
	out, err := s.client.Decrypt(ctx, &kms.DecryptInput{KeyId: aws.String(s.key), CiphertextBlob: sealed.Ciphertext, EncryptionContext: boundTo(o.Sealing(sealed))})
	if err != nil {
		return secret.String{}, failure(err, "open", o)
	}
	return secret.NewString(string(out.Plaintext)), nil
}

// boundTo returns the encryption context for o. Stored secrets depend on it: do
// not change it.
func boundTo(o secret.Owner) map[string]string {
	bound := map[string]string{"tenant": o.Tenant, "integration": o.Integration, "field": o.Field}
	if o.Origin != "" {
		bound["origin"] = o.Origin
	}
	return bound
}
