// Package kms seals secrets with data keys of AWS Key Management Service: the service
// makes a data key and encrypts it with the key of the deployment, which never leaves
// the service, and a secret is encrypted here, by AES-256-GCM with the data key. Its
// ciphertext has the encrypted data key beside it, and is bound to tenant, integration,
// field and origin, as the one of package local is.
//
// All processes seal with one data key a month, which a Shelf keeps for them, and a
// process asks the service once an hour for each one that it seals or opens something
// with. So calls of the service grow with processes, and not with secrets, sinks or
// events. A key that is disabled, or that a function may not use any more, opens nothing
// new within that hour.
//
// Secrets of earlier releases were encrypted by the service itself. They still open,
// and Outdated tells them.
package kms

import (
	"bytes"
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
)

// Client has the calls that a Sealer makes; *kms.Client implements it.
type Client interface {
	GenerateDataKey(ctx context.Context, in *kms.GenerateDataKeyInput, options ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error)
	Decrypt(ctx context.Context, in *kms.DecryptInput, options ...func(*kms.Options)) (*kms.DecryptOutput, error)
}

// Sealer seals and opens with the data keys of one key. It is safe for concurrent use.
// Errors are of package problem: Unavailable if a later retry may help, otherwise
// Internal.
type Sealer struct {
	client Client
	key    string
	keys   *dataKeys
}

var _ secret.Sealer = (*Sealer)(nil)

// New returns a Sealer for the symmetric key with the given id or ARN. now tells the
// age of its data keys.
func New(client Client, key string, shelf Shelf, now func() time.Time) *Sealer {
	return &Sealer{client: client, key: key, keys: newDataKeys(client, key, shelf, now)}
}

// Seal encrypts clear for o. The zero String becomes the zero Sealed.
func (s *Sealer) Seal(ctx context.Context, o secret.Owner, clear secret.String) (secret.Sealed, error) {
	if clear.IsZero() {
		return secret.Sealed{}, nil
	}
	key, err := s.keys.forSealing(ctx)
	if err != nil {
		return secret.Sealed{}, failure(err, "seal", o)
	}
	text := key.aead.Seal(nil, nil, []byte(clear.Reveal()), o.AssociatedData()) //nolint:gosec // it makes its own nonce
	return secret.Sealed{Ciphertext: envelope{key.wrapped, text}.marshal(), Mask: clear.Mask(), Bound: o.Origin != ""}, nil
}

// Open decrypts what was sealed for o with the same key. The zero Sealed becomes
// the zero String.
func (s *Sealer) Open(ctx context.Context, o secret.Owner, sealed secret.Sealed) (secret.String, error) {
	switch {
	case sealed.IsZero():
		return secret.String{}, nil
	case !bytes.HasPrefix(sealed.Ciphertext, magic):
		return s.openDirect(ctx, o, sealed)
	}
	e, remedy := parse(sealed.Ciphertext)
	if remedy != "" {
		return secret.String{}, refused(o, remedy)
	}
	key, err := s.keys.forOpening(ctx, e.wrapped)
	if err != nil {
		return secret.String{}, failure(err, "open", o)
	}
	clear, err := key.aead.Open(nil, nil, e.text, o.Sealing(sealed).AssociatedData())
	if err != nil { // its cause says no more
		return secret.String{}, refused(o, damaged)
	}
	return secret.NewString(string(clear)), nil
}

// Outdated implements secret.Sealer.
func (s *Sealer) Outdated(o secret.Owner, sealed secret.Sealed) bool {
	return !sealed.IsZero() && (o.Sealing(sealed) != o || !bytes.HasPrefix(sealed.Ciphertext, magic))
}

// openDirect decrypts what the service itself encrypted, for an earlier release.
func (s *Sealer) openDirect(ctx context.Context, o secret.Owner, sealed secret.Sealed) (secret.String, error) {
	out, err := s.client.Decrypt(ctx, &kms.DecryptInput{KeyId: aws.String(s.key), CiphertextBlob: sealed.Ciphertext, EncryptionContext: boundTo(o.Sealing(sealed))})
	if err != nil {
		return secret.String{}, failure(err, "open", o)
	}
	return secret.NewString(string(out.Plaintext)), nil
}

// boundTo returns the encryption context of a secret of an earlier release. Those
// stored depend on it, and so do the permissions in template.yaml: do not change it.
func boundTo(o secret.Owner) map[string]string {
	bound := map[string]string{"tenant": o.Tenant, "integration": o.Integration, "field": o.Field}
	if o.Origin != "" {
		bound["origin"] = o.Origin
	}
	return bound
}

func refused(o secret.Owner, remedy string) error {
	return problem.New(problem.Internal, "Could not open the %s of integration %s. %s", o.Field, o.Integration, remedy)
}
