package kms_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
)

func at(origin string) secret.Owner {
	o := owner
	o.Origin = origin
	return o
}

// A secret is bound to its origin, and so opens for it alone, whatever the record around
// the ciphertext says.
func TestSealedOpensForItsOriginAlone(t *testing.T) {
	s, _, _ := setup(t)
	sealed, err := s.Seal(t.Context(), at("https://a.test:443"), secret.NewString(clear))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Open(t.Context(), at("https://a.test:443"), sealed); err != nil || got.Reveal() != clear {
		t.Errorf("opened %q, %v", got.Reveal(), err)
	}
	_, err = s.Open(t.Context(), at("https://b.test:443"), sealed)
	refused(t, err, problem.Internal, "another integration or origin")
	sealed.Bound = false
	_, err = s.Open(t.Context(), at("https://b.test:443"), sealed)
	refused(t, err, problem.Internal, "another integration or origin")
}

// A secret that was sealed without an origin opens for every one, and is outdated.
func TestSealedWithoutAnOriginStillOpens(t *testing.T) {
	s, _, _ := setup(t)
	sealed := seal(t, s, clear)
	if sealed.Bound || s.Outdated(owner, sealed) || !s.Outdated(at("https://a.test:443"), sealed) {
		t.Errorf("bound: %v", sealed.Bound)
	}
	if got, err := s.Open(t.Context(), at("https://a.test:443"), sealed); err != nil || got.Reveal() != clear {
		t.Errorf("opened %q, %v", got.Reveal(), err)
	}
	sealed.Bound = true // a record that was tampered with
	_, err := s.Open(t.Context(), at("https://a.test:443"), sealed)
	refused(t, err, problem.Internal, "another integration or origin")
}

// What the service itself encrypted, for an earlier release, still opens, for its owner
// alone; and it is outdated, which what is sealed now is not.
func TestSecretsOfBeforeStillOpen(t *testing.T) {
	s, _, client := setup(t)
	bound := map[string]string{"tenant": "acme", "integration": "orders", "field": "api_key"}
	for _, origin := range []string{"", "https://a.test:443"} {
		if origin != "" {
			bound["origin"] = origin
		}
		out, err := client.Encrypt(t.Context(), &awskms.EncryptInput{KeyId: aws.String(key), Plaintext: []byte(clear), EncryptionContext: bound})
		if err != nil {
			t.Fatal(err)
		}
		before := secret.Sealed{Ciphertext: out.CiphertextBlob, Bound: origin != ""}
		got, err := s.Open(t.Context(), at("https://a.test:443"), before)
		if err != nil || got.Reveal() != clear || !s.Outdated(at("https://a.test:443"), before) {
			t.Errorf("with origin %q: opened %q, %v", origin, got.Reveal(), err)
		}
		stranger := at("https://a.test:443")
		stranger.Tenant = "else"
		_, err = s.Open(t.Context(), stranger, before)
		refused(t, err, problem.Internal, "another integration or origin")
		again, err := s.Seal(t.Context(), at("https://a.test:443"), got)
		if err != nil || s.Outdated(at("https://a.test:443"), again) {
			t.Errorf("sealed again it is outdated still: %v", err)
		}
	}
	if s.Outdated(owner, secret.Sealed{}) {
		t.Error("no secret is outdated")
	}
}
