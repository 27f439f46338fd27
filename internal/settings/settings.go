// Package settings has the settings that every shape of Sluice shares, as one
// table: each is a flag, a key of the config file and an environment variable.
package settings

import (
	"fmt"
	"strconv"
	"strings"
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

// Setting is one row of the table. It is a flag.Value and a pflag.Value.
type Setting struct {
	Name string // of the flag: "max-integrations"
	Doc  string
	value
}

type value interface {
	String() string
	Set(text string) error
	Type() string
}

// Env is the name of the environment variable: "SLUICE_MAX_INTEGRATIONS".
func (s Setting) Env() string {
	return "SLUICE_" + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

// Key is the name in the config file: "max_integrations".
func (s Setting) Key() string { return strings.ReplaceAll(s.Name, "-", "_") }

// Table lists every setting; setting a row sets the field in s.
func (s *Settings) Table() []Setting {
	return []Setting{
		{"max-integrations", "integrations a tenant may have", (*count)(&s.MaxIntegrations)},
		{"retention", "how far back the log, a start and a replay reach", (*duration)(&s.Retention)},
		{"temporary-grace", "time from the end of a replay to its deletion", (*duration)(&s.TemporaryGrace)},
		{"webhook-timeout", "a receiver's time to answer", (*duration)(&s.WebhookTimeout)},
		{"in-flight", "calls at a time to one integration", (*count)(&s.InFlight)},
		{"follow-budget", "what a batch waits for its slowest follower before that one leaves", (*duration)(&s.FollowBudget)},
		{"retry-min", "first pause of the back-off", (*duration)(&s.RetryMin)},
		{"retry-max", "longest pause of the back-off", (*duration)(&s.RetryMax)},
		{"failure-stop-after", "unbroken failure until an integration is stopped", (*duration)(&s.FailureStopAfter)},
		{"max-rejected", "rejected events kept an integration", (*count)(&s.MaxRejected)},
		{"s3-file-interval", "wall time after which a new S3 file is started", (*duration)(&s.S3FileInterval)},
		{"s3-file-bytes", "size at which a new S3 file is started", (*size)(&s.S3FileBytes)},
		{"max-event-bytes", "largest event that can be published", (*size)(&s.MaxEventBytes)},
		{"max-publish-bytes", "largest publish call", (*size)(&s.MaxPublishBytes)},
		{"max-publish-events", "most events in a publish call", (*count)(&s.MaxPublishEvents)},
		{"lanes", "lanes a tenant: units of order and of scale", (*count)(&s.Lanes)},
		{"sweep-interval", "time between sweeps for what is overdue", (*duration)(&s.SweepInterval)},
		{"tenant-claim", "claim of the access token that names the tenant", (*text)(&s.TenantClaim)},
		{"reveal-secrets", "answer with secrets in clear", (*boolean)(&s.RevealSecrets)},
		{"allow-private-targets", "let receivers be on private addresses", (*boolean)(&s.AllowPrivateTargets)},
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
	if s.Lanes > MaxLanes {
		errs = append(errs, fmt.Errorf("SLUICE_LANES is %d; it can be at most %d", s.Lanes, MaxLanes))
	}
	if s.TenantClaim == "" {
		errs = append(errs, fmt.Errorf("SLUICE_TENANT_CLAIM is empty; name the claim that holds the tenant"))
	}
	return errs
}

// MaxLanes keeps a start or stop, which writes two records a lane, within one
// transaction of 100 writes (Amazon DynamoDB's limit).
const MaxLanes = 32

type count int

func (v *count) String() string { return strconv.Itoa(int(*v)) }
func (v *count) Type() string   { return "count" }
func (v *count) positive() bool { return *v > 0 }
func (v *count) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil {
		return fmt.Errorf("%q is not a whole number", s)
	}
	*v = count(n)
	return nil
}

type duration time.Duration

func (v *duration) String() string { return time.Duration(*v).String() }
func (v *duration) Type() string   { return "duration" }
func (v *duration) positive() bool { return *v > 0 }
func (v *duration) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is not a duration; write it like 300s, 5m or 72h", s)
	}
	*v = duration(d)
	return nil
}

type size int64

func (v *size) String() string {
	n := int64(*v)
	for _, u := range sizeUnits {
		if n != 0 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}
func (v *size) Type() string   { return "size" }
func (v *size) positive() bool { return *v > 0 }
func (v *size) Set(s string) error {
	digits, unit := s, int64(1)
	for _, u := range sizeUnits {
		if d, ok := strings.CutSuffix(s, u.name); ok {
			digits, unit = d, u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if err != nil || n > (1<<62)/unit {
		return fmt.Errorf("%q is not a size; write bytes, or like 256KiB or 50MiB", s)
	}
	*v = size(n * unit)
	return nil
}

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

type text string

func (v *text) String() string     { return string(*v) }
func (v *text) Type() string       { return "text" }
func (v *text) Set(s string) error { *v = text(s); return nil }

type boolean bool

func (v *boolean) String() string   { return strconv.FormatBool(bool(*v)) }
func (v *boolean) Type() string     { return "bool" }
func (v *boolean) IsBoolFlag() bool { return true }
func (v *boolean) Set(s string) error {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return fmt.Errorf("%q is neither true nor false", s)
	}
	*v = boolean(b)
	return nil
}
