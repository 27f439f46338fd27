// Package awsenv composes the Lambda functions: the same services as package
// node has them, over DynamoDB, Kinesis, S3, KMS and Step Functions. Each
// function has one constructor here, which reads the environment that
// template.yaml gives it, and whose error lists all that is wrong there.
package awsenv

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sluicehq/sluice/internal/settings"
)

// Config is what a function finds in its environment: the settings that every
// shape of Sluice shares, and the names of what was deployed with it.
type Config struct {
	settings.Settings

	Table        string        // DynamoDB
	Stream       string        // Kinesis, by name
	Bucket       string        // S3, for large segments and for records that cannot be read
	Key          string        // KMS, id or ARN
	StateMachine string        // Step Functions, ARN
	Stage        string        // dimension of the metrics
	SeekMargin   time.Duration // how far published_at may be out of order in the log
	LogLevel     string        // debug, info, warn or error
}

func defaultConfig() Config {
	return Config{Settings: settings.Default(), SeekMargin: 15 * time.Minute, LogLevel: "info"}
}

// Rows lists every setting of a function.
func (c *Config) Rows() []settings.Setting {
	return append([]settings.Setting{
		settings.Text("table", "name of the DynamoDB table", &c.Table),
		settings.Text("stream", "name of the Kinesis stream", &c.Stream),
		settings.Text("bucket", "name of the S3 bucket for large segments and unreadable records", &c.Bucket),
		settings.Text("key", "id or ARN of the KMS key for secrets", &c.Key),
		settings.Text("state-machine", "ARN of the state machine that drives cursors", &c.StateMachine),
		settings.Text("stage", "dimension of the metrics", &c.Stage),
		settings.Duration("seek-margin", "how far published_at may be out of order in the log", &c.SeekMargin),
		settings.Text("log-level", "debug (a line for every delivery), info, warn or error", &c.LogLevel),
	}, c.Settings.Table()...)
}

// load reads a function's environment. Every function is given the same, so
// that none works with another's settings.
func load(lookup func(string) (string, bool)) (Config, error) {
	c := defaultConfig()
	errs := []error{settings.LoadEnv(c.Rows(), lookup)}
	errs = append(errs, c.Settings.Validate()...)
	for _, given := range [][2]string{
		{"SLUICE_TABLE", c.Table},
		{"SLUICE_STREAM", c.Stream},
		{"SLUICE_BUCKET", c.Bucket},
		{"SLUICE_KEY", c.Key},
		{"SLUICE_STATE_MACHINE", c.StateMachine},
	} {
		if given[1] == "" {
			errs = append(errs, fmt.Errorf("%s is not set; template.yaml sets it", given[0]))
		}
	}
	if c.SeekMargin <= 0 {
		errs = append(errs, fmt.Errorf("SLUICE_SEEK_MARGIN is %v; it must be more than 0", c.SeekMargin))
	}
	if _, err := c.level(); err != nil {
		errs = append(errs, err)
	}
	return c, errors.Join(errs...)
}

func (c *Config) level() (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return 0, fmt.Errorf("SLUICE_LOG_LEVEL is %q; it must be debug, info, warn or error", c.LogLevel)
	}
	return level, nil
}

// kept is how long segments are kept: an integration that was stopped for its
// failures stands where they began, and may be started for as long as the
// retention.
func (c *Config) kept() time.Duration { return c.Retention + c.FailureStopAfter + time.Hour }
