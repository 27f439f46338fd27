package kms_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
)

func at(origin string) secret.Owner {
	o := owner
	o.Origin = origin
	return o
}

// The service is asked to bind the origin, and so opens for it alone, whatever the
// record around the ciphertext says.
func TestSealedOpensForItsOriginAlone(t *testing.T) {
	s, service, _ := setup(t)
	sealed, err := s.Seal(t.Context(), at("https://a.test:443"), secret.NewString(clear))
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range service.sealed {
		want := map[string]string{"tenant": "acme", "integration": "orders", "field": "api_key", "origin": "https://a.test:443"}
		if diff := cmp.Diff(want, in.EncryptionContext); diff != "" {
			t.Errorf("sealed for (-want +got):\n%s", diff)
		}
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

// Secrets of earlier releases have no origin in their context.
func TestSealedBeforeOriginsStillOpens(t *testing.T) {
	s, service, _ := setup(t)
	sealed := seal(t, s, clear)
	for _, in := range service.sealed {
		if _, has := in.EncryptionContext["origin"]; has || sealed.Bound {
			t.Errorf("sealed without an origin for %v", in.EncryptionContext)
		}
	}
	if got, err := s.Open(t.Context(), at("https://a.test:443"), sealed); err != nil || got.Reveal() != clear {
		t.Errorf("opened %q, %v", got.Reveal(), err)
	}
	sealed.Bound = true // a record that was tampered with
	_, err := s.Open(t.Context(), at("https://a.test:443"), sealed)
	refused(t, err, problem.Internal, "another integration or origin")
}
