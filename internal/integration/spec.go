package integration

import (
	"time"

	"github.com/sluicehq/sluice/internal/secret"
)

// Spec is what a client asks an integration to be: the body of a registration,
// or an integration as it would be after an update.
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

// FilterSpec is the filter_conditions of a Spec. A nil list was not given; an
// empty one was given and is empty, which is refused.
type FilterSpec struct{ Names, Entities []string }

// Secrets are the secrets of an integration in clear. A zero one is not set.
type Secrets struct{ APIKey, SigningSecret, SecretAccessKey secret.String }

// NameURL and NameEndpoint are the fields that say where events go, as the API
// names them.
const (
	NameURL      = nameWebhook + ".callback_url"
	NameEndpoint = nameS3 + ".endpoint"
)

// Fields as the API names them, for messages and for the log.
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

// Limits of the fields, in bytes where nothing else is said.
const (
	MaxIDLength          = 50
	MaxURLLength         = 2048 // characters
	MaxFilterNames       = 100  // in each of the two lists
	maxAPIKeyLength      = 4096
	maxAccessKeyIDLength = 128
	maxSecretKeyLength   = 1024
	maxRegionLength      = 64
	maxKeyPrefixLength   = 512 // an S3 key has 1,024, and the tenant and file name follow
)
