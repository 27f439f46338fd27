package lifecycle_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/store"
)

// A PATCH that moves a target takes no stored secret along.
func TestUpdateTakesNoSecretToAnotherOrigin(t *testing.T) {
	move := func(s *integration.Spec) {
		if s.S3 != nil {
			s.S3.Endpoint = "https://evil.example"
			return
		}
		s.Webhook.URL = "https://evil.example/hook"
	}
	for _, spec := range []integration.Spec{webhook("x"), s3("x")} {
		b := setup(t)
		b.stopped(spec)
		before := b.state(tenant)
		_, err := b.Update(t.Context(), tenant, "x", edit(move))
		b.is(err, problem.InvalidRequest)
		if diff := cmp.Diff(before, b.state(tenant)); diff != "" {
			t.Error(diff)
		}
	}
}

// A secret that is sent again is sealed for the new origin, also where it is the same
// one, as from a client that reads secrets in clear text.
func TestUpdateSealsForTheNewOrigin(t *testing.T) {
	for _, key := range []string{clears[0], "another api key"} {
		b := setup(t)
		old := b.stopped(webhook("x"))
		in := b.update("x", func(s *integration.Spec) {
			s.Webhook.URL, s.Webhook.APIKey = "https://new.example/hook", secret.NewString(key)
		})
		b.opens(in, key)
		stray := *in
		stray.Webhook = &integration.Webhook{URL: old.Webhook.URL, APIKey: in.Webhook.APIKey}
		if _, err := b.Open(t.Context(), stray.SecretOwner(integration.FieldAPIKey), in.Webhook.APIKey); err == nil {
			t.Error("the new ciphertext opens for the old origin")
		}
		if diff := cmp.Diff(old.Webhook.SigningSecret, in.Webhook.SigningSecret); diff != "" {
			t.Errorf("the signing secret changed: %s", diff)
		}
	}
	b := setup(t)
	b.stopped(webhook("x"))
	if in := b.update("x", func(s *integration.Spec) { s.Webhook.URL, s.Webhook.APIKey = "https://new.example", secret.String{} }); !in.Webhook.APIKey.IsZero() {
		t.Error("a removed key is still stored")
	}
	b = setup(t)
	b.stopped(s3("x"))
	in := b.update("x", func(s *integration.Spec) {
		s.S3.Endpoint, s.S3.SecretAccessKey = "https://r2.example", secret.NewString(clears[3])
	})
	b.opens(in, clears[3])
}

// opens checks the secret that is bound to the origin.
func (b *bundle) opens(in *integration.Integration, want string) {
	b.t.Helper()
	clear, err := b.Reveal(b.t.Context(), in)
	b.ok(err)
	if got := clear.APIKey.Reveal() + clear.SecretAccessKey.Reveal(); got != want || clear.Unopened != nil {
		b.t.Errorf("opened %q, %v, want %q", got, clear.Unopened, want)
	}
}

// before stores the integration's secrets as an earlier release sealed them.
func (b *bundle) before(in *integration.Integration) {
	b.t.Helper()
	for field, sealed := range boundSecrets(in) {
		clear, err := b.Open(b.t.Context(), in.SecretOwner(field), *sealed)
		b.ok(err)
		o := in.SecretOwner(field)
		o.Origin = ""
		*sealed, err = b.Seal(b.t.Context(), o, clear)
		b.ok(err)
	}
	b.ok(b.store.Store.Commit(b.t.Context(), store.PutIntegration{Integration: in}))
}

func boundSecrets(in *integration.Integration) map[string]*secret.Sealed {
	if in.S3 != nil {
		return map[string]*secret.Sealed{integration.FieldSecretAccessKey: &in.S3.SecretAccessKey}
	}
	return map[string]*secret.Sealed{integration.FieldAPIKey: &in.Webhook.APIKey}
}

// Secrets of an earlier release are bound to their origin by the next update and the
// next start.
func TestSecretsOfBeforeAreBoundAtTheNextWrite(t *testing.T) {
	for want, spec := range map[string]integration.Spec{clears[0]: webhook("x"), clears[3]: s3("x")} {
		for name, write := range map[string]func(*bundle) *integration.Integration{
			"update": func(b *bundle) *integration.Integration {
				return b.update("x", func(s *integration.Spec) { s.Filter.Entities = []string{"order"} })
			},
			"start": func(b *bundle) *integration.Integration { return b.start("x") },
		} {
			b := setup(t)
			b.before(b.stopped(spec))
			in := write(b)
			for field, sealed := range boundSecrets(in) {
				if !sealed.Bound {
					t.Errorf("%s: %s is not bound", name, field)
				}
			}
			b.opens(in, want)
			stored, err := b.Get(t.Context(), tenant, "x")
			b.ok(err)
			if diff := cmp.Diff(stored, in); diff != "" {
				t.Errorf("%s: what is returned is not what is stored:\n%s", name, diff)
			}
		}
	}
}

// Every secret of an earlier release is sealed as this one does by the next update and the
// next start, and none twice.
func TestSecretsOfBeforeAreSealedAgainAtTheNextWrite(t *testing.T) {
	for name, write := range map[string]func(*bundle) *integration.Integration{
		"update": func(b *bundle) *integration.Integration {
			return b.update("x", func(s *integration.Spec) { s.Filter.Entities = []string{"order"} })
		},
		"start": func(b *bundle) *integration.Integration { return b.start("x") },
	} {
		b := setup(t)
		in := b.stopped(webhook("x"))
		in.Webhook.PreviousSecret = in.Webhook.SigningSecret
		secrets := func(in *integration.Integration) []*secret.Sealed {
			return []*secret.Sealed{&in.Webhook.APIKey, &in.Webhook.SigningSecret, &in.Webhook.PreviousSecret}
		}
		for _, sealed := range secrets(in) {
			sealed.Mask = maskOfBefore
		}
		b.ok(b.store.Store.Commit(b.t.Context(), store.PutIntegration{Integration: in}))
		b.sealed = 0
		in = write(b)
		for i, sealed := range secrets(in) {
			if sealed.Mask == maskOfBefore {
				t.Errorf("%s: secret %d is as it was before", name, i)
			}
		}
		b.opens(in, clears[0])
		if !in.Running {
			b.update("x", func(s *integration.Spec) { s.Filter.Entities = nil })
		}
		if b.sealed != 3 {
			t.Errorf("%s: sealed %d secrets, want each once", name, b.sealed)
		}
	}
}

// A start and an update do not depend on the key service for that.
func TestSecretsThatDoNotOpenStayAsTheyAre(t *testing.T) {
	for _, failure := range []problem.Code{problem.Internal, problem.Unavailable} {
		b := setup(t)
		b.before(b.stopped(webhook("x")))
		b.opening = problem.New(failure, "no key")
		b.update("x", func(s *integration.Spec) { s.Filter.Entities = []string{"order"} })
		in := b.start("x")
		b.opening = nil
		if in.Webhook.APIKey.Bound {
			t.Error("it is bound")
		}
		b.opens(in, clears[0])
	}
}

// A secret that moved on while an old one was stored is not opened for the new place.
func TestUpdateTakesNoSecretOfBeforeToAnotherOrigin(t *testing.T) {
	b := setup(t)
	b.before(b.stopped(webhook("x")))
	_, err := b.Update(t.Context(), tenant, "x", edit(func(s *integration.Spec) { s.Webhook.URL = "http://example.com/x" }))
	b.is(err, problem.InvalidRequest)
}
