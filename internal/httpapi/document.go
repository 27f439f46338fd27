package httpapi

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/usertext"
)

// document is an integration in the API's JSON. A nil field is absent or null.
type document struct {
	ID       *string           `json:"id,omitzero"`
	Status   *string           `json:"status,omitzero"`
	Type     *string           `json:"integration_type,omitzero"`
	StartsAt *string           `json:"starts_at,omitzero"`
	EndsAt   *string           `json:"ends_at,omitzero"`
	Callback *callbackDocument `json:"callback_parameters,omitzero"`
	S3       *s3Document       `json:"s3_parameters,omitzero"`
	Filter   *filterDocument   `json:"filter_conditions,omitzero"`
}

type callbackDocument struct {
	URL           *string `json:"callback_url,omitzero"`
	APIKey        *string `json:"api_key,omitzero"`
	SigningSecret *string `json:"signing_secret,omitzero"`
}

type s3Document struct {
	AccessKeyID     *string `json:"aws_access_key_id,omitzero"`
	SecretAccessKey *string `json:"aws_secret_access_key,omitzero"`
	Region          *string `json:"aws_region,omitzero"`
	Bucket          *string `json:"bucket,omitzero"`
	KeyPrefix       *string `json:"key_prefix,omitzero"`
	Endpoint        *string `json:"endpoint,omitzero"`
}

type filterDocument struct {
	Names    []*string `json:"event_filter,omitzero"`
	Entities []*string `json:"entity_filter,omitzero"`
}

// spec converts the document to a Spec, which validates most fields. Only what
// a Spec cannot express is checked here.
func (d *document) spec() (integration.Spec, error) {
	spec := integration.Spec{ID: text(d.ID), Type: integration.Type(text(d.Type))}
	var err error
	if spec.StartsAt, err = timestamp("starts_at", d.StartsAt); err != nil {
		return spec, err
	}
	if spec.EndsAt, err = timestamp("ends_at", d.EndsAt); err != nil {
		return spec, err
	}
	if c := d.Callback; c != nil {
		// A Spec treats an empty secret as none: deliveries would go out unsigned.
		if c.SigningSecret != nil && *c.SigningSecret == "" {
			return spec, problem.New(problem.InvalidRequest, "callback_parameters.signing_secret is empty; omit it or send null for unsigned deliveries.")
		}
		spec.Webhook = &integration.WebhookSpec{
			URL:           text(c.URL),
			APIKey:        secret.NewString(text(c.APIKey)),
			SigningSecret: secret.NewString(text(c.SigningSecret)),
		}
	}
	if s := d.S3; s != nil {
		spec.S3 = &integration.S3Spec{
			AccessKeyID:     text(s.AccessKeyID),
			SecretAccessKey: secret.NewString(text(s.SecretAccessKey)),
			Region:          text(s.Region),
			Bucket:          text(s.Bucket),
			KeyPrefix:       text(s.KeyPrefix),
			Endpoint:        text(s.Endpoint),
		}
	}
	if d.Filter == nil {
		return spec, nil
	}
	if spec.Filter.Names, err = names("filter_conditions.event_filter", d.Filter.Names); err != nil {
		return spec, err
	}
	spec.Filter.Entities, err = names("filter_conditions.entity_filter", d.Filter.Entities)
	return spec, err
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func names(field string, list []*string) ([]string, error) {
	if list == nil {
		return nil, nil
	}
	out := make([]string, len(list))
	for i, s := range list {
		if s == nil {
			return nil, problem.New(problem.InvalidRequest, "%s[%d] must be a string, not null.", field, i)
		}
		out[i] = *s
	}
	return out, nil
}

// timestamp parses an RFC 3339 time into UTC and whole milliseconds. A nil s is the
// zero time.
func timestamp(field string, s *string) (time.Time, error) {
	if s == nil {
		return time.Time{}, nil
	}
	if err := usertext.Check(*s); err != nil {
		return time.Time{}, problem.New(problem.InvalidRequest, "%s %v.", field, err)
	}
	t, err := event.ParseTime(*s)
	if err != nil {
		return t, problem.New(problem.InvalidRequest, "%s is %q; it must be an RFC 3339 time, such as 2019-01-17T12:00:00.000Z.", field, clip(*s))
	}
	// A Spec treats the zero time as absent.
	if t.IsZero() {
		return t, problem.New(problem.InvalidRequest, "%s is %q; it must not be before 1970.", field, *s)
	}
	return t, nil
}

// masked returns the integration as a document with masked secrets.
func (a *api) masked(in *integration.Integration) document {
	d := document{
		ID:     &in.ID,
		Status: new(string(in.StatusAt(a.Now()))),
		Type:   new(string(in.Type)),
	}
	if !in.StartsAt.IsZero() {
		d.StartsAt = new(event.FormatTime(in.StartsAt))
	}
	if !in.EndsAt.IsZero() {
		d.EndsAt = new(event.FormatTime(in.EndsAt))
	}
	if w := in.Webhook; w != nil {
		d.Callback = &callbackDocument{URL: &w.URL, APIKey: mask(w.APIKey), SigningSecret: mask(w.SigningSecret)}
	}
	if s := in.S3; s != nil {
		d.S3 = &s3Document{
			AccessKeyID:     &s.AccessKeyID,
			SecretAccessKey: mask(s.SecretAccessKey),
			Region:          &s.Region,
			Bucket:          &s.Bucket,
			KeyPrefix:       given(s.KeyPrefix),
			Endpoint:        given(s.Endpoint),
		}
	}
	if f := in.Filter; len(f.Names)+len(f.Entities) > 0 {
		d.Filter = &filterDocument{Names: pointers(f.Names), Entities: pointers(f.Entities)}
	}
	return d
}

// shown returns the integration as a document for a response: secrets are masked
// unless Settings.RevealSecrets is on. One that does not open stays masked: sent back,
// its mask keeps it.
func (a *api) shown(ctx context.Context, in *integration.Integration) (document, error) {
	d := a.masked(in)
	if !a.Settings.RevealSecrets {
		return d, nil
	}
	secrets, err := a.Integrations.Reveal(ctx, in)
	if err != nil {
		return d, err
	}
	if secrets.Unopened != nil {
		a.Log.ErrorContext(ctx, "stored secrets cannot be opened; the response has their masks",
			"tenant", in.Tenant, "integration", in.ID, "error", secrets.Unopened)
	}
	if d.Callback != nil {
		reveal(&d.Callback.APIKey, secrets.APIKey)
		reveal(&d.Callback.SigningSecret, secrets.SigningSecret)
	}
	if d.S3 != nil {
		reveal(&d.S3.SecretAccessKey, secrets.SecretAccessKey)
	}
	return d, nil
}

// reveal replaces the mask of a secret that was opened.
func reveal(field **string, clear secret.String) {
	if !clear.IsZero() {
		*field = new(clear.Reveal())
	}
}

func mask(s secret.Sealed) *string {
	if s.IsZero() {
		return nil
	}
	return &s.Mask
}

func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func pointers(list []string) []*string {
	var out []*string
	for i := range list {
		out = append(out, &list[i])
	}
	return out
}

// timeGiven returns a time as text, nil for the zero time.
func timeGiven(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return new(event.FormatTime(t))
}
