// Package settings has the settings that every shape of Sluice shares, as one
// table: each is a flag, a key of the config file and an environment variable.
package settings

import (
	"errors"
	"fmt"
	"time"
)

// Settings are the limits and times of the event stream. Default has the
// values that are used where nothing is set.
type Settings struct {
	MaxIntegrations     int
	Retention           time.Duration
	TemporaryGrace      time.Duration
	WebhookTimeout      time.Duration
	InFlight            int
	FollowBudget        time.Duration
	RetryMin            time.Duration
	RetryMax            time.Duration
	FailureStopAfter    time.Duration
	MaxRejected         int
	S3FileInterval      time.Duration
	S3FileBytes         int64
	MaxEventBytes       int64
	MaxPublishBytes     int64
	MaxPublishEvents    int
	Lanes               int
	SweepInterval       time.Duration
	TenantClaim         string
	RevealSecrets       bool
	AllowPrivateTargets bool
}

// Default returns the settings of the contract's table.
func Default() Settings {
	return Settings{
		MaxIntegrations:  10,
		Retention:        720 * time.Hour,
		TemporaryGrace:   24 * time.Hour,
		WebhookTimeout:   10 * time.Second,
		InFlight:         16,
		FollowBudget:     5 * time.Second,
		RetryMin:         time.Second,
		RetryMax:         5 * time.Minute,
		FailureStopAfter: 72 * time.Hour,
		MaxRejected:      30,
		S3FileInterval:   5 * time.Minute,
		S3FileBytes:      50 << 20,
		MaxEventBytes:    256 << 10,
		MaxPublishBytes:  5 << 20,
		MaxPublishEvents: 1000,
		Lanes:            1,
		SweepInterval:    5 * time.Minute,
		TenantClaim:      "tenant",
	}
}

// Table lists every setting; setting a row sets the field in s.
func (s *Settings) Table() []Setting {
	return []Setting{
		Count("max-integrations", "integrations a tenant may have", &s.MaxIntegrations),
		Duration("retention", "how far back the log, a start and a replay reach", &s.Retention),
		Duration("temporary-grace", "time from the end of a replay to its deletion", &s.TemporaryGrace),
		Duration("webhook-timeout", "a receiver's time to answer", &s.WebhookTimeout),
		Count("in-flight", "calls at a time to one integration", &s.InFlight),
		Duration("follow-budget", "what a batch waits for its slowest follower before that one leaves", &s.FollowBudget),
		Duration("retry-min", "first pause of the back-off", &s.RetryMin),
		Duration("retry-max", "longest pause of the back-off", &s.RetryMax),
		Duration("failure-stop-after", "unbroken failure until an integration is stopped", &s.FailureStopAfter),
		Count("max-rejected", "rejected events kept an integration", &s.MaxRejected),
		Duration("s3-file-interval", "wall time after which a new S3 file is started", &s.S3FileInterval),
		Size("s3-file-bytes", "size at which a new S3 file is started", &s.S3FileBytes),
		Size("max-event-bytes", "largest event that can be published", &s.MaxEventBytes),
		Size("max-publish-bytes", "largest publish call", &s.MaxPublishBytes),
		Count("max-publish-events", "most events in a publish call", &s.MaxPublishEvents),
		Count("lanes", "lanes a tenant: units of order and of scale", &s.Lanes),
		Duration("sweep-interval", "time between sweeps for what is overdue", &s.SweepInterval),
		Text("tenant-claim", "claim of the access token that names the tenant", &s.TenantClaim),
		Bool("reveal-secrets", "answer with secrets in clear", &s.RevealSecrets),
		Bool("allow-private-targets", "let receivers be on private addresses", &s.AllowPrivateTargets),
	}
}

// Validate reports every setting that cannot be worked with.
func (s *Settings) Validate() []error {
	var errs []error
	for _, row := range s.Table() {
		if p, ok := row.value.(interface{ positive() bool }); ok && !p.positive() {
			errs = append(errs, fmt.Errorf("%s is %s; it must be more than 0", row.Env(), row.String()))
		}
	}
	if s.RetryMax < s.RetryMin {
		errs = append(errs, fmt.Errorf("SLUICE_RETRY_MAX is %v, less than SLUICE_RETRY_MIN, %v", s.RetryMax, s.RetryMin))
	}
	if s.MaxPublishBytes < s.MaxEventBytes {
		errs = append(errs, fmt.Errorf("SLUICE_MAX_PUBLISH_BYTES is %d, less than SLUICE_MAX_EVENT_BYTES, %d", s.MaxPublishBytes, s.MaxEventBytes))
	}
	if s.S3FileBytes > MaxS3FileBytes {
		errs = append(errs, fmt.Errorf("SLUICE_S3_FILE_BYTES is %d; it can be at most %d, as S3 takes a file in at most 10,000 parts", s.S3FileBytes, int64(MaxS3FileBytes)))
	}
	if s.MaxRejected > MaxRejectedEvents {
		errs = append(errs, fmt.Errorf("SLUICE_MAX_REJECTED is %d; it can be at most %d, as the list of an integration's rejected events is one record", s.MaxRejected, MaxRejectedEvents))
	}
	if s.Lanes > MaxLanes {
		errs = append(errs, fmt.Errorf("SLUICE_LANES is %d; it can be at most %d", s.Lanes, MaxLanes))
	}
	if s.TenantClaim == "" {
		errs = append(errs, errors.New("SLUICE_TENANT_CLAIM is empty; name the claim that holds the tenant"))
	}
	return errs
}

// MaxS3FileBytes is what fits into the 10,000 parts of 5 MiB in which a file is
// uploaded at most.
const MaxS3FileBytes = 10_000 * (5 << 20)

// MaxLanes keeps a start or stop, which writes two records a lane, within one
// transaction of 100 writes (Amazon DynamoDB's limit).
const MaxLanes = 32

// MaxRejectedEvents keeps the index of an integration's rejected events, which is
// one item of about 100 bytes an event, well below the 400 KB that an item can
// have (Amazon DynamoDB's limit).
const MaxRejectedEvents = 1000
