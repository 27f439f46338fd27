package integration_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
)

func sealed(clear string) secret.Sealed {
	return secret.Sealed{Ciphertext: []byte("sealed"), Mask: secret.NewString(clear).Mask()}
}

func currentWebhook() *integration.Integration {
	return &integration.Integration{
		ID: "orders", Type: integration.Permanent, StartsAt: now.Add(-time.Hour),
		Webhook: &integration.Webhook{URL: "https://example.com/", APIKey: sealed("0123456789abcdef"), SigningSecret: sealed("short")},
		Filter:  event.Filter{Names: []string{"order.created"}},
	}
}

func currentS3() *integration.Integration {
	return &integration.Integration{
		ID: "export", Type: integration.Permanent,
		S3: &integration.S3{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: sealed("0123456789abcdef"), Region: "auto", Bucket: "bucket", KeyPrefix: "a"},
	}
}

// read returns the integration as a client reads it and can send it back.
func read(in *integration.Integration) *integration.Spec {
	s := &integration.Spec{
		ID: in.ID, Type: in.Type, StartsAt: in.StartsAt, EndsAt: in.EndsAt,
		Filter: integration.FilterSpec{Names: slices.Clone(in.Filter.Names), Entities: slices.Clone(in.Filter.Entities)},
	}
	if w := in.Webhook; w != nil {
		s.Webhook = &integration.WebhookSpec{URL: w.URL, APIKey: secret.NewString(w.APIKey.Mask), SigningSecret: secret.NewString(w.SigningSecret.Mask)}
	}
	if p := in.S3; p != nil {
		s.S3 = &integration.S3Spec{
			AccessKeyID: p.AccessKeyID, SecretAccessKey: secret.NewString(p.SecretAccessKey.Mask),
			Region: p.Region, Bucket: p.Bucket, KeyPrefix: p.KeyPrefix, Endpoint: p.Endpoint,
		}
	}
	return s
}

func TestUpdateChanges(t *testing.T) {
	for _, c := range []struct {
		name    string
		current *integration.Integration
		change  func(*integration.Spec)
		want    []string
	}{
		{"nothing", currentWebhook(), func(*integration.Spec) {}, nil},
		{"nothing of S3", currentS3(), func(s *integration.Spec) { s.S3.KeyPrefix = "/a/" }, nil},
		{"webhook", currentWebhook(), func(s *integration.Spec) {
			s.Webhook.URL = "https://example.com/2"
			s.Webhook.APIKey = secret.NewString("new")
			s.Webhook.SigningSecret = signing(32)
			s.Filter = integration.FilterSpec{Entities: []string{"order"}}
		}, []string{"callback_parameters.callback_url", "callback_parameters.api_key", "callback_parameters.signing_secret", "filter_conditions.event_filter", "filter_conditions.entity_filter"}},
		{"secrets removed", currentWebhook(), func(s *integration.Spec) {
			s.Webhook.APIKey, s.Webhook.SigningSecret = secret.String{}, secret.String{}
		}, []string{"callback_parameters.api_key", "callback_parameters.signing_secret"}},
		{"s3", currentS3(), func(s *integration.Spec) {
			s.S3 = &integration.S3Spec{AccessKeyID: "B", SecretAccessKey: secret.NewString("new"), Region: "eu", Bucket: "other", Endpoint: "https://h"}
		}, []string{"s3_parameters.aws_access_key_id", "s3_parameters.aws_secret_access_key", "s3_parameters.aws_region", "s3_parameters.bucket", "s3_parameters.key_prefix", "s3_parameters.endpoint"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := read(c.current)
			c.change(s)
			kept, err := s.ValidateUpdate(c.current)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, s.Changes(c.current, kept)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestUpdateRefuses(t *testing.T) {
	noKey := currentWebhook()
	noKey.Webhook.APIKey = secret.Sealed{}
	for _, c := range []struct {
		name    string
		current *integration.Integration
		change  func(*integration.Spec)
		want    string
	}{
		{"id", currentWebhook(), func(s *integration.Spec) { s.ID = "other" }, `id cannot be changed from "orders"; omit it`},
		{"type", currentWebhook(), func(s *integration.Spec) { s.Type = integration.Temporary }, "integration_type cannot be changed"},
		{"starts_at", currentWebhook(), func(s *integration.Spec) { s.StartsAt = now }, "starts_at cannot be changed; omit it"},
		{"starts_at removed", currentWebhook(), func(s *integration.Spec) { s.StartsAt = time.Time{} }, "starts_at cannot be changed"},
		{"ends_at", currentWebhook(), func(s *integration.Spec) { s.EndsAt = now }, "ends_at cannot be changed"},
		{"to S3", currentWebhook(), func(s *integration.Spec) { s.Webhook, s.S3 = nil, s3Spec().S3 }, "s3_parameters does not apply to a webhook"},
		{"S3 besides the webhook", currentWebhook(), func(s *integration.Spec) { s.S3 = s3Spec().S3 }, "s3_parameters does not apply to a webhook"},
		{"to webhook", currentS3(), func(s *integration.Spec) { s.Webhook, s.S3 = webhookSpec().Webhook, nil }, "callback_parameters does not apply to an S3"},
		{"no webhook", currentWebhook(), func(s *integration.Spec) { s.Webhook = nil }, "callback_parameters cannot be removed"},
		{"no S3", currentS3(), func(s *integration.Spec) { s.S3 = nil }, "s3_parameters cannot be removed"},
		{"bad url", currentWebhook(), func(s *integration.Spec) { s.Webhook.URL = "x" }, "callback_parameters.callback_url is"},
		{"mask of nothing", noKey, func(s *integration.Spec) { s.Webhook.APIKey = secret.NewString("********cdef") }, "callback_parameters.api_key is a mask"},
		{"mask of another", currentWebhook(), func(s *integration.Spec) { s.Webhook.APIKey = secret.NewString("********abcd") }, "callback_parameters.api_key is a mask"},
		{"mask of another signing secret", currentWebhook(), func(s *integration.Spec) { s.Webhook.SigningSecret = secret.NewString("********abcd") }, "callback_parameters.signing_secret is a mask"},
		{"secret key removed", currentS3(), func(s *integration.Spec) { s.S3.SecretAccessKey = secret.String{} }, "s3_parameters.aws_secret_access_key is missing"},
		{"empty filter", currentWebhook(), func(s *integration.Spec) { s.Filter.Names = []string{} }, "filter_conditions.event_filter is empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := read(c.current)
			c.change(s)
			_, err := s.ValidateUpdate(c.current)
			if problem.CodeOf(err) != problem.InvalidRequest || !strings.HasPrefix(problem.MessageOf(err), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestUpdatable(t *testing.T) {
	for _, c := range []struct {
		name string
		in   integration.Integration
		want problem.Code
	}{
		{"stopped", integration.Integration{Type: integration.Permanent, QuietAt: now}, ""},
		{"stopping", integration.Integration{Type: integration.Permanent, QuietAt: now.Add(1)}, problem.NotStopped},
		{"running", integration.Integration{Type: integration.Permanent, Running: true}, problem.NotStopped},
		{"running replay", integration.Integration{Type: integration.Temporary, Running: true}, problem.InvalidRequest},
		{"stopped replay", integration.Integration{Type: integration.Temporary}, problem.InvalidRequest},
	} {
		if got := problem.CodeOf(c.in.Updatable(now)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
