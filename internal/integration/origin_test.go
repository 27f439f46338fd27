package integration_test

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
)

// A stored secret never goes to a place it was not given for.
func TestAStoredSecretStaysWithItsOrigin(t *testing.T) {
	const mask = "********_key"
	for _, c := range []struct {
		name, from, to string
		key            string // as it is sent
		stored         bool   // there is one
		ok             bool
	}{
		{"the same", "https://a.test/x", "https://a.test/x", mask, true, true},
		{"another path", "https://a.test/x", "https://a.test/y?z", mask, true, true},
		{"the default port in words", "https://a.test/x", "https://A.test:443/x", mask, true, true},
		{"another host", "https://a.test/x", "https://b.test/x", mask, true, false},
		{"a subdomain", "https://a.test/x", "https://x.a.test/x", mask, true, false},
		{"another port", "https://a.test/x", "https://a.test:8443/x", mask, true, false},
		{"another scheme", "https://a.test/x", "http://a.test/x", mask, true, false},
		{"another scheme, the same port", "https://a.test/x", "http://a.test:443/x", mask, true, false},
		{"sent again", "https://a.test/x", "https://b.test/x", "the_key", true, true},
		{"removed", "https://a.test/x", "https://b.test/x", "", true, true},
		{"none was stored", "https://a.test/x", "https://b.test/x", "", false, true},
	} {
		current := &integration.Integration{ID: "hook", Type: integration.Permanent, Webhook: &integration.Webhook{URL: c.from}}
		if c.stored {
			current.Webhook.APIKey = secret.Sealed{Ciphertext: []byte("x"), Mask: mask}
		}
		current.Webhook.SigningSecret = secret.Sealed{Ciphertext: []byte("x"), Mask: mask}
		spec := integration.Spec{ID: "hook", Type: integration.Permanent, Webhook: &integration.WebhookSpec{
			URL: c.to, APIKey: secret.NewString(c.key), SigningSecret: secret.NewString(mask), // signs for any place
		}}
		_, err := spec.ValidateUpdate(current)
		wantKept(t, c.name, err, c.ok, "callback_parameters.callback_url", "callback_parameters.api_key again, or null")
	}
}

func TestAStoredAccessKeyStaysWithItsEndpoint(t *testing.T) {
	const mask = "********_key"
	for _, c := range []struct {
		name, from, to string
		key            string
		ok             bool
	}{
		{"Amazon S3", "", "", mask, true},
		{"the same", "https://a.test", "https://a.test", mask, true},
		{"another path", "https://a.test", "https://a.test/s3", mask, true},
		{"another host", "https://a.test", "https://b.test", mask, false},
		{"another scheme", "https://a.test", "http://a.test", mask, false},
		{"another port", "https://a.test", "https://a.test:9000", mask, false},
		{"away from Amazon S3", "", "https://b.test", mask, false},
		{"to Amazon S3", "https://a.test", "", mask, false},
		{"sent again", "", "https://b.test", "the_key", true},
	} {
		s3 := func(endpoint string) integration.S3Spec {
			return integration.S3Spec{AccessKeyID: "AKIA", Region: "eu", Bucket: "bucket", Endpoint: endpoint}
		}
		current := &integration.Integration{ID: "files", Type: integration.Permanent, S3: &integration.S3{
			AccessKeyID: "AKIA", Region: "eu", Bucket: "bucket", Endpoint: c.from,
			SecretAccessKey: secret.Sealed{Ciphertext: []byte("x"), Mask: mask},
		}}
		to := s3(c.to)
		to.SecretAccessKey = secret.NewString(c.key)
		spec := integration.Spec{ID: "files", Type: integration.Permanent, S3: &to}
		_, err := spec.ValidateUpdate(current)
		wantKept(t, c.name, err, c.ok, "s3_parameters.endpoint", "s3_parameters.aws_secret_access_key again")
	}
}

// wantKept checks that an update is accepted, or refused with a message that names the
// field that moved and says what to send.
func wantKept(t *testing.T, name string, err error, ok bool, field, remedy string) {
	t.Helper()
	if ok && err == nil {
		return
	}
	message := problem.MessageOf(err)
	if ok || problem.CodeOf(err) != problem.InvalidRequest || !strings.HasPrefix(message, field+" changes ") || !strings.Contains(message, remedy) {
		t.Errorf("%s: %v, want it accepted: %v, or the remedy %q", name, err, ok, remedy)
	}
}

func TestSecretsAreBoundToTheirOrigin(t *testing.T) {
	hook := &integration.Integration{Tenant: "acme", ID: "hook", Webhook: &integration.Webhook{URL: "https://Example.com/services/x"}}
	files := func(endpoint string) *integration.Integration {
		return &integration.Integration{Tenant: "acme", ID: "files", S3: &integration.S3{Endpoint: endpoint}}
	}
	for _, c := range []struct {
		in    *integration.Integration
		field string
		want  string
	}{
		{hook, integration.FieldAPIKey, "https://example.com:443"},
		{hook, integration.FieldSigningSecret, ""},
		{files("http://minio.test:9000/s3"), integration.FieldSecretAccessKey, "http://minio.test:9000"},
		{files(""), integration.FieldSecretAccessKey, "https://s3.amazonaws.com:443"},
	} {
		want := secret.Owner{Tenant: "acme", Integration: c.in.ID, Field: c.field, Origin: c.want}
		if got := c.in.SecretOwner(c.field); got != want {
			t.Errorf("%s: %+v, want %+v", c.field, got, want)
		}
	}
}
