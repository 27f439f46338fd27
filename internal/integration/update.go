package integration

import (
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
)

// Updatable returns nil if the integration can be updated at the given time, or
// a problem that says why not: InvalidRequest for a temporary one, NotStopped.
func (i *Integration) Updatable(now time.Time) error {
	if i.Type == Temporary {
		return refuse("Integration %q is temporary and cannot be updated; delete it and register another.", i.ID)
	}
	switch i.StatusAt(now) {
	case Running:
		return problem.New(problem.NotStopped, "Integration %q is running; stop it with POST %s/_stop, wait until its status is stopped, then update it.", i.ID, i.ID)
	case Stopping:
		return problem.New(problem.NotStopped, "Integration %q is still stopping; wait until its status is stopped, then update it.", i.ID)
	default:
		return nil
	}
}

// Kept says which secrets an update leaves as they are stored.
type Kept struct{ APIKey, SigningSecret, SecretAccessKey bool }

// ValidateUpdate checks s as an update of current and normalises it, as Validate
// does. A secret that equals the mask of the stored one keeps the stored one, unless
// the target moves to another origin: then the secret must be sent again or removed.
// The error is a problem.InvalidRequest.
func (s *Spec) ValidateUpdate(current *Integration) (Kept, error) {
	if err := s.validateText(); err != nil {
		return Kept{}, err
	}
	s.normalise()
	switch {
	case s.ID != current.ID:
		return Kept{}, fixed(nameID, current.ID)
	case s.Type != current.Type:
		return Kept{}, fixed(nameType, string(current.Type))
	case !s.StartsAt.Equal(current.StartsAt):
		return Kept{}, fixed(nameStartsAt, "")
	case !s.EndsAt.Equal(current.EndsAt):
		return Kept{}, fixed(nameEndsAt, "")
	case current.Webhook != nil && s.S3 != nil:
		return Kept{}, refuse("%s does not apply to a webhook integration; register another one for S3.", nameS3)
	case current.S3 != nil && s.Webhook != nil:
		return Kept{}, refuse("%s does not apply to an S3 integration; register another one for a webhook.", nameWebhook)
	case current.Webhook != nil && s.Webhook == nil:
		return Kept{}, refuse("%s cannot be removed; it is where events are sent.", nameWebhook)
	case current.S3 != nil && s.S3 == nil:
		return Kept{}, refuse("%s cannot be removed; it is where events are sent.", nameS3)
	}
	kept := s.keptIn(current)
	if err := s.validateParts(kept); err != nil {
		return kept, err
	}
	return kept, s.validateOrigin(current, kept)
}

func fixed(field, value string) error {
	if value != "" {
		return refuse("%s cannot be changed from %q; omit it from the update, or register another integration.", field, value)
	}
	return refuse("%s cannot be changed; omit it from the update, or register another integration.", field)
}

func (s *Spec) keptIn(current *Integration) Kept {
	same := func(given secret.String, stored secret.Sealed) bool {
		return given.Reveal() == stored.Mask
	}
	if s.S3 != nil {
		return Kept{SecretAccessKey: same(s.S3.SecretAccessKey, current.S3.SecretAccessKey)}
	}
	return Kept{
		APIKey:        same(s.Webhook.APIKey, current.Webhook.APIKey),
		SigningSecret: same(s.Webhook.SigningSecret, current.Webhook.SigningSecret),
	}
}

// Changes returns the fields in which a valid update differs from current, by
// their API names.
func (s *Spec) Changes(current *Integration, kept Kept) []string {
	var names []string
	note := func(field string, changed bool) {
		if changed {
			names = append(names, field)
		}
	}
	if w := s.Webhook; w != nil {
		now := current.Webhook
		note(nameURL, w.URL != now.URL)
		note(nameAPIKey, !kept.APIKey && !(w.APIKey.IsZero() && now.APIKey.IsZero()))
		note(nameSigningSecret, !kept.SigningSecret && !(w.SigningSecret.IsZero() && now.SigningSecret.IsZero()))
	}
	if p := s.S3; p != nil {
		now := current.S3
		note(nameAccessKeyID, p.AccessKeyID != now.AccessKeyID)
		note(nameSecretAccessKey, !kept.SecretAccessKey)
		note(nameRegion, p.Region != now.Region)
		note(nameBucket, p.Bucket != now.Bucket)
		note(nameKeyPrefix, p.KeyPrefix != now.KeyPrefix)
		note(nameEndpoint, p.Endpoint != now.Endpoint)
	}
	note(nameEventFilter, !slices.Equal(s.Filter.Names, current.Filter.Names))
	note(nameEntityFilter, !slices.Equal(s.Filter.Entities, current.Filter.Entities))
	return names
}
