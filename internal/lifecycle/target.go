package lifecycle

import (
	"context"
	"errors"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
)

// setTarget sets an integration's target from a valid spec. It checks a new URL
// first and only then seals the secrets. Kept secrets stay as they are, except that
// those of an earlier release are sealed again.
func (s *Service) setTarget(ctx context.Context, in *integration.Integration, spec *integration.Spec, kept integration.Kept) error {
	if spec.S3 != nil {
		return s.setS3(ctx, in, spec.S3, kept)
	}
	return s.setWebhook(ctx, in, spec.Webhook, kept)
}

func (s *Service) setWebhook(ctx context.Context, in *integration.Integration, spec *integration.WebhookSpec, kept integration.Kept) error {
	next := integration.Webhook{}
	if in.Webhook != nil {
		next = *in.Webhook
	}
	if spec.URL != next.URL {
		if err := s.checkTarget(ctx, integration.NameURL, spec.URL); err != nil {
			return err
		}
	}
	next.URL = spec.URL
	in.Webhook = &next // secrets are bound to where it is now
	var err error
	if !kept.APIKey {
		if next.APIKey, err = s.seal(ctx, in, integration.FieldAPIKey, spec.APIKey); err != nil {
			return err
		}
	}
	if !kept.SigningSecret {
		next.PreviousSecret, next.PreviousExpires = secret.Sealed{}, time.Time{}
		if !spec.SigningSecret.IsZero() && !next.SigningSecret.IsZero() {
			next.PreviousSecret, next.PreviousExpires = next.SigningSecret, s.now().Add(secretOverlap)
		}
		if next.SigningSecret, err = s.seal(ctx, in, integration.FieldSigningSecret, spec.SigningSecret); err != nil {
			return err
		}
	}
	s.reseal(ctx, in)
	return nil
}

func (s *Service) setS3(ctx context.Context, in *integration.Integration, spec *integration.S3Spec, kept integration.Kept) error {
	next := integration.S3{}
	if in.S3 != nil {
		next = *in.S3
	}
	if spec.Endpoint != "" && spec.Endpoint != next.Endpoint {
		if err := s.checkTarget(ctx, integration.NameEndpoint, spec.Endpoint); err != nil {
			return err
		}
	}
	next.AccessKeyID, next.Region, next.Bucket = spec.AccessKeyID, spec.Region, spec.Bucket
	next.KeyPrefix, next.Endpoint = spec.KeyPrefix, spec.Endpoint
	in.S3 = &next // its secret is bound to where it is now
	if !kept.SecretAccessKey {
		var err error
		if next.SecretAccessKey, err = s.seal(ctx, in, integration.FieldSecretAccessKey, spec.SecretAccessKey); err != nil {
			return err
		}
	}
	s.reseal(ctx, in)
	return nil
}

// checkTarget calls CheckTarget for the URL in a field; the error names the
// field.
func (s *Service) checkTarget(ctx context.Context, field, url string) error {
	err := s.CheckTarget(ctx, url)
	if refused, ok := errors.AsType[*problem.Error](err); ok {
		return problem.Wrap(refused.Err, refused.Code, "%s is refused: %s.", field, refused.Message)
	}
	return err
}

func (s *Service) seal(ctx context.Context, in *integration.Integration, field string, clear secret.String) (secret.Sealed, error) {
	if clear.IsZero() {
		return secret.Sealed{}, nil
	}
	return s.Sealer.Seal(ctx, in.SecretOwner(field), clear)
}

func (s *Service) open(ctx context.Context, in *integration.Integration, field string, sealed secret.Sealed) (secret.String, error) {
	if sealed.IsZero() {
		return secret.String{}, nil
	}
	return s.Sealer.Open(ctx, in.SecretOwner(field), sealed)
}

// reseal seals the secrets of an earlier release again, as this one does: bound to their
// origin, with a data key. A secret that does not open now stays as it is: the change
// that the caller asked for matters more, and the next one seals it.
func (s *Service) reseal(ctx context.Context, in *integration.Integration) {
	if in.S3 != nil {
		s.resealSecret(ctx, in, integration.FieldSecretAccessKey, &in.S3.SecretAccessKey)
		return
	}
	s.resealSecret(ctx, in, integration.FieldAPIKey, &in.Webhook.APIKey)
	s.resealSecret(ctx, in, integration.FieldSigningSecret, &in.Webhook.SigningSecret)
	s.resealSecret(ctx, in, integration.FieldSigningSecret, &in.Webhook.PreviousSecret)
}

func (s *Service) resealSecret(ctx context.Context, in *integration.Integration, field string, sealed *secret.Sealed) {
	if sealed.IsZero() || !s.Sealer.Outdated(in.SecretOwner(field), *sealed) {
		return
	}
	clear, err := s.open(ctx, in, field, *sealed)
	if err != nil {
		return
	}
	if again, err := s.seal(ctx, in, field, clear); err == nil {
		*sealed = again
	}
}

// Reveal returns an integration's secrets in clear text. One that does not open is
// missing, and Secrets.Unopened says why; the others are there. The error is that of
// a key service that is unavailable, or of ctx.
func (s *Service) Reveal(ctx context.Context, in *integration.Integration) (integration.Secrets, error) {
	var clear integration.Secrets
	reveal := func(to *secret.String, field string, sealed secret.Sealed) error {
		opened, err := s.open(ctx, in, field, sealed)
		switch {
		case err == nil:
			*to = opened
		case problem.CodeOf(err) == problem.Unavailable || ctx.Err() != nil:
			return err
		default:
			clear.Unopened = errors.Join(clear.Unopened, err)
		}
		return nil
	}
	if in.S3 != nil {
		err := reveal(&clear.SecretAccessKey, integration.FieldSecretAccessKey, in.S3.SecretAccessKey)
		return clear, err
	}
	if err := reveal(&clear.APIKey, integration.FieldAPIKey, in.Webhook.APIKey); err != nil {
		return integration.Secrets{}, err
	}
	err := reveal(&clear.SigningSecret, integration.FieldSigningSecret, in.Webhook.SigningSecret)
	return clear, err
}

// keepEqual adds to kept the secrets that were sent in clear text and equal the
// stored ones, as from a client that reads secrets in clear text. A secret that is
// bound to the origin is not kept where that changes: it is sealed again.
func (s *Service) keepEqual(ctx context.Context, in *integration.Integration, spec *integration.Spec, kept *integration.Kept) error {
	sameOrigin := spec.SameOrigin(in)
	if spec.S3 != nil {
		if !sameOrigin {
			return nil
		}
		return s.keepSecret(ctx, in, integration.FieldSecretAccessKey, &kept.SecretAccessKey, &in.S3.SecretAccessKey, spec.S3.SecretAccessKey)
	}
	if sameOrigin {
		if err := s.keepSecret(ctx, in, integration.FieldAPIKey, &kept.APIKey, &in.Webhook.APIKey, spec.Webhook.APIKey); err != nil {
			return err
		}
	}
	return s.keepSecret(ctx, in, integration.FieldSigningSecret, &kept.SigningSecret, &in.Webhook.SigningSecret, spec.Webhook.SigningSecret)
}

// keepSecret sets keep if the secret that was sent equals the stored one. A stored
// secret that can no longer be decrypted is dropped when a new one is sent: that
// is how to recover from a lost key, and it could sign nothing anyway.
func (s *Service) keepSecret(ctx context.Context, in *integration.Integration, field string, keep *bool, sealed *secret.Sealed, sent secret.String) error {
	if *keep || sent.IsZero() || sealed.IsZero() {
		return nil
	}
	stored, err := s.open(ctx, in, field, *sealed)
	switch {
	case err == nil:
		*keep = stored.Equal(sent)
	case problem.CodeOf(err) == problem.Unavailable || ctx.Err() != nil:
		return err
	default:
		*sealed = secret.Sealed{}
	}
	return nil
}
