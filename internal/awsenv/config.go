// Package awsenv builds the Lambda functions: the same services as in package node,
// over DynamoDB, Kinesis, S3, KMS, SQS and Step Functions. Each function has a constructor
// here, which reads the environment that template.yaml sets and returns an error that
// lists everything wrong in it.
package awsenv

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sluicehq/sluice/internal/settings"
)

// Config is a function's configuration: the settings that every deployment of Sluice
// shares, and the names of the resources deployed with the function.
type Config struct {
	settings.Settings

	Table        string        // DynamoDB
	Segments     string        // DynamoDB, the table of the log's segments
	Stream       string        // Kinesis, by name
	Bucket       string        // S3, for large segments and quarantined records
	Key          string        // KMS, id or ARN
	StateMachine string        // Step Functions, ARN
	Queue        string        // SQS, URL
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
		settings.Text("segments-table", "name of the DynamoDB table of the log's segments", &c.Segments),
		settings.Text("stream", "name of the Kinesis stream", &c.Stream),
		settings.Text("bucket", "name of the S3 bucket for large segments and quarantined records", &c.Bucket),
		settings.Text("key", "id or ARN of the KMS key for secrets", &c.Key),
		settings.Text("state-machine", "ARN of the state machine that advances cursors", &c.StateMachine),
		settings.Text("queue", "URL of the SQS queue of cursors between their steps", &c.Queue),
		settings.Text("stage", "dimension of the metrics", &c.Stage),
		settings.Duration("seek-margin", "how far published_at may be out of order in the log", &c.SeekMargin),
		settings.Text("log-level", "debug (a line for every delivery), info, warn or error", &c.LogLevel),
	}, c.Settings.Table()...)
}

// load reads a function's environment. It is the same for every function, so that
// their settings cannot differ. The error lists everything that is wrong.
func load(lookup func(string) (string, bool)) (Config, error) {
	c := defaultConfig()
	errs := []error{settings.LoadEnv(c.Rows(), lookup)}
	errs = append(errs, c.Settings.Validate()...)
	for _, given := range [][2]string{
		{"SLUICE_TABLE", c.Table},
		{"SLUICE_SEGMENTS_TABLE", c.Segments},
		{"SLUICE_STREAM", c.Stream},
		{"SLUICE_BUCKET", c.Bucket},
		{"SLUICE_KEY", c.Key},
		{"SLUICE_STATE_MACHINE", c.StateMachine},
		{"SLUICE_QUEUE", c.Queue},
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
