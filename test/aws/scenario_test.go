package aws

import (
	"maps"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/test/aws/stack"
	"github.com/sluicehq/sluice/test/scenario"
)

// fast has settings that make waits short, like those of test/e2e for the binary.
// Those that test/e2e lacks apply only to AWS.
var fast = map[string]string{
	"SLUICE_RETRY_MIN":        "50ms",
	"SLUICE_RETRY_MAX":        "500ms",
	"SLUICE_WEBHOOK_TIMEOUT":  "2s",
	"SLUICE_FOLLOW_BUDGET":    "3s",
	"SLUICE_S3_FILE_INTERVAL": "3s",
	"SLUICE_S3_FILE_BYTES":    "64KiB",
	"SLUICE_LOG_LEVEL":        "debug",
	"SLUICE_SEEK_MARGIN":      "1s",
}

// waitTimeout limits every wait. Only a failure takes that long.
const waitTimeout = 2 * time.Minute

// TestScenarios plays the shared scenarios against the AWS deployment, in four lanes, with
// restarts; test/aws/deploy plays them in one lane. No function may have logged a secret.
func TestScenarios(t *testing.T) {
	env := map[string]string{"SLUICE_LANES": "4"}
	maps.Copy(env, fast)
	s := stack.Deploy(t, stack.Options{Settings: env})
	t.Cleanup(func() {
		if t.Failed() {
			reportLog(t, s)
		}
	})
	secrets := &scenario.Secrets{}
	bucketeer, _ := scenario.NewBucketeer(t)
	secrets.Add(bucketeer.SecretAccessKey)
	scenario.Run(t, scenario.Env{
		URL:      s.URL,
		Gateway:  true,
		Settings: inForce(t, s, env),
		Token: func(tenant string, scopes ...string) string {
			token := s.Token(tenant, scopes...)
			secrets.Add(token)
			return token
		},
		Timeout: waitTimeout,
		S3:      bucketeer,
		Secret:  secrets.Add,
		Restart: func() {
			s.Restart()
			s.KeepSweeping(t)
		},
	})
	secrets.AbsentFrom(t, s.Log())
}

// inForce parses settings as the functions do.
func inForce(t *testing.T, s *stack.Stack, env map[string]string) settings.Settings {
	t.Helper()
	in := settings.Default()
	err := settings.LoadEnv(in.Table(), func(name string) (string, bool) {
		if value, ok := env[name]; ok {
			return value, true
		}
		value, ok := s.Env[name]
		return value, ok
	})
	if err != nil {
		t.Fatal(err)
	}
	return in
}
