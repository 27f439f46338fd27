package integration

import (
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/usertext"
)

// amazonS3 is the origin of an S3 integration without an endpoint, in every region:
// regions are the same company's.
const amazonS3 = "https://s3.amazonaws.com:443"

// SecretOwner returns what the secret in a field is bound to. An API key and a secret
// access key were given for one origin, and must not be used for another. A signing
// secret is bound to none: it is never sent.
func (i *Integration) SecretOwner(field string) secret.Owner {
	o := secret.Owner{Tenant: i.Tenant, Integration: i.ID, Field: field}
	switch field {
	case FieldAPIKey:
		o.Origin = originOf(i.Webhook.URL)
	case FieldSecretAccessKey:
		o.Origin = endpointOrigin(i.S3.Endpoint)
	}
	return o
}

func endpointOrigin(endpoint string) string {
	if endpoint == "" {
		return amazonS3
	}
	return originOf(endpoint)
}

// originOf returns the origin of a stored URL. One that cannot be parsed is called
// nowhere, and has an origin of its own.
func originOf(raw string) string {
	u, err := usertext.ParseURL(raw)
	if err != nil {
		return raw
	}
	return usertext.Origin(u)
}

// SameOrigin reports whether the spec's target has the scheme, host and port of that of
// current. Both must be webhooks, or both S3.
func (s *Spec) SameOrigin(current *Integration) bool {
	if s.S3 != nil {
		return endpointOrigin(s.S3.Endpoint) == endpointOrigin(current.S3.Endpoint)
	}
	return originOf(s.Webhook.URL) == originOf(current.Webhook.URL)
}

// validateOrigin refuses to take a stored secret to a place it was not given for.
func (s *Spec) validateOrigin(current *Integration, kept Kept) error {
	if s.SameOrigin(current) {
		return nil
	}
	if s.S3 != nil && kept.SecretAccessKey {
		return refuse("%s changes scheme, host or port, and the stored %s was given for the old ones; send %s again, or omit the change.",
			nameEndpoint, FieldSecretAccessKey, nameSecretAccessKey)
	}
	if s.Webhook != nil && kept.APIKey && !current.Webhook.APIKey.IsZero() {
		return refuse("%s changes scheme, host or port, and the stored %s was given for the old ones; send %s again, or null to remove it.",
			nameURL, FieldAPIKey, nameAPIKey)
	}
	return nil
}
