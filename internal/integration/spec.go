package integration

import (
	"time"

	"github.com/sluicehq/sluice/internal/secret"
)

// Spec is an integration as a client asks for it: the body of a registration, or
// the full state after an update.
type Spec struct {
	ID       string
	Type     Type
	StartsAt time.Time // zero: not given
	EndsAt   time.Time // zero: not given
	Webhook  *WebhookSpec
	S3       *S3Spec
	Filter   FilterSpec
}

// WebhookSpec is the callback_parameters of a Spec.
type WebhookSpec struct {
	URL                   string
	APIKey, SigningSecret secret.String // zero: none
}

// S3Spec is the s3_parameters of a Spec.
type S3Spec struct {
	AccessKeyID     string
	SecretAccessKey secret.String
	Region          string
	Bucket          string
	KeyPrefix       string // "": none
	Endpoint        string // "": Amazon S3
}

// FilterSpec is the filter_conditions of a Spec. A nil list was not given; a
// list that is empty but not nil is invalid.
type FilterSpec struct{ Names, Entities []string }

// Secrets are an integration's secrets in clear text. A zero one is not set, or did
// not open: Unopened says why, for the log.
type Secrets struct {
	APIKey, SigningSecret, SecretAccessKey secret.String
	Unopened                               error
}

// NameURL and NameEndpoint are the API names of the fields that hold a target
// URL.
const (
	NameURL      = nameWebhook + ".callback_url"
	NameEndpoint = nameS3 + ".endpoint"
)

// API names of the fields, for messages and for the log.
const (
	nameID       = "id"
	nameType     = "integration_type"
	nameStartsAt = "starts_at"
	nameEndsAt   = "ends_at"

	nameWebhook       = "callback_parameters"
	nameURL           = NameURL
	nameAPIKey        = nameWebhook + "." + FieldAPIKey
	nameSigningSecret = nameWebhook + "." + FieldSigningSecret

	nameS3              = "s3_parameters"
	nameAccessKeyID     = nameS3 + ".aws_access_key_id"
	nameSecretAccessKey = nameS3 + "." + FieldSecretAccessKey
	nameRegion          = nameS3 + ".aws_region"
	nameBucket          = nameS3 + ".bucket"
	nameKeyPrefix       = nameS3 + ".key_prefix"
	nameEndpoint        = NameEndpoint

	nameEventFilter  = "filter_conditions.event_filter"
	nameEntityFilter = "filter_conditions.entity_filter"
)

// Limits of the fields, in bytes unless noted.
const (
	MaxIDLength          = 50
	MaxURLLength         = 2048 // characters
	MaxFilterNames       = 100  // in each of the two lists
	maxAPIKeyLength      = 4096
	maxAccessKeyIDLength = 128
	maxSecretKeyLength   = 1024
	maxRegionLength      = 64
	maxKeyPrefixLength   = 512 // of the 1,024 of an S3 key; the tenant and the file name follow
)
