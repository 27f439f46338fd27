package integration

import (
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
)

// Updatable returns nil if the integration can be updated at the given time,
// else what is in the way.
func (i *Integration) Updatable(now time.Time) error {
	if i.Type == Temporary {
		return refuse("Integration %q is temporary and cannot be updated; delete it and register another.", i.ID)
	}
	switch i.StatusAt(now) {
	case Running:
		return problem.New(problem.NotStopped, "Integration %q is running; stop it first with POST %s/_stop, wait until its status is stopped, and update it then.", i.ID, i.ID)
	case Stopping:
		return problem.New(problem.NotStopped, "Integration %q is still stopping; wait until its status is stopped, and update it then.", i.ID)
	default:
		return nil
	}
}

// Kept says which secrets of an update are those that are stored already.
type Kept struct{ APIKey, SigningSecret, SecretAccessKey bool }

// ValidateUpdate checks what current would become by an update, and brings it
// into the form that is stored, as Validate does. A secret that is the mask of
// the stored one stands for it. The error is a problem.InvalidRequest.
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
		return Kept{}, refuse("%s cannot be given to a webhook integration; register another for S3.", nameS3)
	case current.S3 != nil && s.Webhook != nil:
		return Kept{}, refuse("%s cannot be given to an S3 integration; register another for a webhook.", nameWebhook)
	case current.Webhook != nil && s.Webhook == nil:
		return Kept{}, refuse("%s cannot be removed; it says where events go.", nameWebhook)
	case current.S3 != nil && s.S3 == nil:
		return Kept{}, refuse("%s cannot be removed; it says where events go.", nameS3)
	}
	kept := s.keptIn(current)
	return kept, s.validateParts(kept)
}

func fixed(field, value string) error {
	if value != "" {
		return refuse("%s is fixed for life, here to %q; leave it out of the update, or register another integration.", field, value)
	}
	return refuse("%s is fixed for life; leave it out of the update, or register another integration.", field)
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

// Changes names the fields in which a valid update differs from current, as
// the API names them.
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
