// Package settings defines the settings that the node and the AWS deployment
// share, as one table: each is a flag, a key of the config file and an environment
// variable.
package settings

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/sluicehq/sluice/internal/usertext"
)

// Settings are the limits and timeouts of the event stream. Table describes each
// of them; Default returns the defaults.
type Settings struct {
	MaxIntegrations     int
	Retention           time.Duration
	TemporaryGrace      time.Duration
	WebhookTimeout      time.Duration
	InFlight            int
	MaxCalls            int
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
	MaxBodyMemory       int64
	Lanes               int
	SweepInterval       time.Duration
	DeliveryRetention   time.Duration
	TenantClaim         string
	RevealSecrets       bool
	AllowPrivateTargets bool
	EgressProxy         string
	CAFile              string
	OperatorTenant      string // "": nobody is told of anything
	AlertURL            string
	AlertFailingAfter   time.Duration
	AlertLag            time.Duration
	Console             bool
	ConsoleOrigins      string // that may frame it; FrameOrigins parses them
	ConsoleName         string
	ConsoleLogo         string
	ConsoleAccent       string
}

// Kept returns how long the log keeps an event: longer than the retention, for as long as a
// start may need it. What was stopped as it failed stands where the failures began, and its
// last attempt may come up to an hour late.
func (s *Settings) Kept() time.Duration { return s.Retention + s.FailureStopAfter + time.Hour }

// Default returns the default settings.
func Default() Settings {
	return Settings{
		MaxIntegrations:   10,
		Retention:         720 * time.Hour,
		TemporaryGrace:    24 * time.Hour,
		WebhookTimeout:    10 * time.Second,
		InFlight:          16,
		FollowBudget:      5 * time.Second,
		RetryMin:          time.Second,
		RetryMax:          5 * time.Minute,
		FailureStopAfter:  72 * time.Hour,
		MaxRejected:       30,
		S3FileInterval:    5 * time.Minute,
		S3FileBytes:       50 << 20,
		MaxEventBytes:     256 << 10,
		MaxPublishBytes:   5 << 20,
		MaxPublishEvents:  1000,
		MaxBodyMemory:     64 << 20,
		Lanes:             1,
		SweepInterval:     5 * time.Minute,
		DeliveryRetention: 168 * time.Hour,
		TenantClaim:       "tenant",

		AlertFailingAfter: 15 * time.Minute,
		AlertLag:          time.Hour,

		Console:     true,
		ConsoleName: "Sluice",
	}
}

// CallSpread is by how much, at random, the time limit of a webhook call exceeds
// WebhookTimeout. Thousands of calls that began together must not all end together: what
// follows would hold up everything else for as long as it takes.
func (s *Settings) CallSpread() time.Duration { return s.WebhookTimeout / 20 }

// LongestCall is the longest that a webhook call may take.
func (s *Settings) LongestCall() time.Duration { return s.WebhookTimeout + s.CallSpread() }

// Table returns a row for every setting. Setting a row sets the field of s.
func (s *Settings) Table() []Setting {
	return []Setting{
		Count("max-integrations", "integrations per tenant", &s.MaxIntegrations),
		Duration("retention", "how long events are kept for starts and replays", &s.Retention),
		Duration("temporary-grace", "how long a finished replay is kept before it is deleted", &s.TemporaryGrace),
		Duration("webhook-timeout", "how long a receiver may take to respond; up to a twentieth more, at random", &s.WebhookTimeout),
		Count("in-flight", "concurrent calls per integration", &s.InFlight),
		Bound("max-calls", "concurrent calls of the process, shared fairly between tenants (0: by the limit of open files, up to 2048)", &s.MaxCalls),
		Duration("follow-budget", "how long live delivery waits for a slow integration before moving it to catch-up", &s.FollowBudget),
		Duration("retry-min", "upper bound of the first retry delay; doubles with each failure", &s.RetryMin),
		Duration("retry-max", "upper bound of every retry delay", &s.RetryMax),
		Duration("failure-stop-after", "how long an integration may fail without a success before it is stopped", &s.FailureStopAfter),
		Count("max-rejected", "rejected events kept per integration", &s.MaxRejected),
		Duration("s3-file-interval", "age at which an S3 file is closed and a new one started", &s.S3FileInterval),
		Size("s3-file-bytes", "size at which an S3 file is closed and a new one started", &s.S3FileBytes),
		Size("max-event-bytes", "largest event accepted", &s.MaxEventBytes),
		Size("max-publish-bytes", "largest body of a publish call", &s.MaxPublishBytes),
		Count("max-publish-events", "events per publish call", &s.MaxPublishEvents),
		Size("max-body-memory", "memory for the bodies of calls in flight; a tenant gets at most half", &s.MaxBodyMemory),
		Count("lanes", "lanes per tenant: the units of order and of scale", &s.Lanes),
		Duration("sweep-interval", "time between sweeps for overdue cursors and finished replays", &s.SweepInterval),
		Period("delivery-retention", "how long deliveries can be looked up (0: they are not recorded)", &s.DeliveryRetention),
		Text("tenant-claim", "access token claim that names the tenant", &s.TenantClaim),
		Bool("reveal-secrets", "show secrets in clear in API responses", &s.RevealSecrets),
		Bool("allow-private-targets", "allow receivers on private and loopback addresses", &s.AllowPrivateTargets),
		Text("egress-proxy", "HTTP proxy for all calls to receivers and S3, as http://host:port (default: none, whatever HTTP_PROXY says)", &s.EgressProxy),
		Text("ca-file", "PEM file of certificate authorities to trust for receivers and S3, besides the system's", &s.CAFile),
		Text("operator-tenant", "tenant that gets events about all other tenants' integrations (default: none does)", &s.OperatorTenant),
		Text("alert-url", "webhook that gets these events, as the operator tenant's integration operator-alerts", &s.AlertURL),
		Duration("alert-failing-after", "how long an integration fails before the operator tenant is told", &s.AlertFailingAfter),
		Duration("alert-lag", "how late an integration is before the operator tenant is told", &s.AlertLag),
		Bool("console", "serve the web console at /console/", &s.Console),
		Text("console-origins", "origins that may show the console in a frame, such as https://app.example.com, separated by spaces (default: none may)", &s.ConsoleOrigins),
		Text("console-name", "name at the top of the console", &s.ConsoleName),
		Text("console-logo", "https URL of a logo for the console, or a path on its own origin", &s.ConsoleLogo),
		Text("console-accent", "accent colour of the console, as #rrggbb", &s.ConsoleAccent),
	}
}

// Validate returns an error for every invalid setting.
func (s *Settings) Validate() []error {
	var errs []error
	for _, row := range s.Table() {
		if p, ok := row.value.(interface{ positive() bool }); ok && !p.positive() {
			errs = append(errs, fmt.Errorf("%s is %s; it must be greater than 0", row.Env(), row.String()))
		}
	}
	if s.MaxCalls == 1 {
		errs = append(errs, errors.New("SLUICE_MAX_CALLS is 1; it must be at least 2, as half of them are for receivers that fail, or 0 for the default"))
	}
	if s.RetryMax < s.RetryMin {
		errs = append(errs, fmt.Errorf("SLUICE_RETRY_MAX is %v; it must be at least SLUICE_RETRY_MIN, which is %v", s.RetryMax, s.RetryMin))
	}
	if s.MaxPublishBytes < s.MaxEventBytes {
		errs = append(errs, fmt.Errorf("SLUICE_MAX_PUBLISH_BYTES is %d; it must be at least SLUICE_MAX_EVENT_BYTES, which is %d", s.MaxPublishBytes, s.MaxEventBytes))
	}
	if least := s.largestCall(); s.MaxBodyMemory/2 < least {
		errs = append(errs, fmt.Errorf("SLUICE_MAX_BODY_MEMORY is %d; it must be at least %d: a tenant gets half, and a publish call of SLUICE_MAX_PUBLISH_BYTES and SLUICE_MAX_PUBLISH_EVENTS takes up to %d", s.MaxBodyMemory, 2*least, least))
	}
	if s.S3FileBytes > MaxS3FileBytes {
		errs = append(errs, fmt.Errorf("SLUICE_S3_FILE_BYTES is %d; it must be at most %d, because S3 limits an upload to 10,000 parts", s.S3FileBytes, int64(MaxS3FileBytes)))
	}
	if s.MaxRejected > MaxRejectedEvents {
		errs = append(errs, fmt.Errorf("SLUICE_MAX_REJECTED is %d; it must be at most %d, so that the whole list fits into one response", s.MaxRejected, MaxRejectedEvents))
	}
	if s.Lanes > MaxLanes {
		errs = append(errs, fmt.Errorf("SLUICE_LANES is %d; it must be at most %d", s.Lanes, MaxLanes))
	}
	if s.TenantClaim == "" {
		errs = append(errs, errors.New("SLUICE_TENANT_CLAIM is empty; name the claim that holds the tenant"))
	}
	if _, err := s.Proxy(); err != nil {
		errs = append(errs, err)
	}
	return append(append(errs, s.validateAlerts()...), s.validateConsole()...)
}

func (s *Settings) validateAlerts() (errs []error) {
	if s.OperatorTenant == "" && s.AlertURL != "" {
		return []error{errors.New("SLUICE_ALERT_URL is set without SLUICE_OPERATOR_TENANT; name the tenant that the alerts are published to, or remove the URL")}
	}
	if s.OperatorTenant != "" {
		if err := usertext.CheckTenant(s.OperatorTenant); err != nil {
			errs = append(errs, fmt.Errorf("SLUICE_OPERATOR_TENANT is %q, which is no tenant: it %w", s.OperatorTenant, err))
		}
	}
	if s.AlertURL != "" {
		if u, err := url.Parse(s.AlertURL); err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
			errs = append(errs, errors.New("SLUICE_ALERT_URL is not a URL such as https://hooks.example.com/alerts; it must be absolute, http or https, and without user info"))
		}
	}
	return errs
}

// largestCall returns more than the memory of the largest publish call: its body, as it came
// and as it is written, and 1 KiB for each event.
func (s *Settings) largestCall() int64 {
	return 2*s.MaxPublishBytes + int64(s.MaxPublishEvents)<<10
}

// MaxS3FileBytes is the most that fits into one upload: 10,000 parts of 5 MiB.
const MaxS3FileBytes = 10_000 * (5 << 20)

// MaxLanes keeps a start or stop, which writes two records per lane, within one
// transaction of 100 writes (DynamoDB's limit).
const MaxLanes = 32

// MaxRejectedEvents keeps the list of an integration's rejected events, which a call without
// a limit gets as a whole with up to 300 bytes per event, well below 6 MB (Lambda's limit for
// a response).
const MaxRejectedEvents = 10_000
