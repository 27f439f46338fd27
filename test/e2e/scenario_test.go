package e2e

import (
	"testing"

	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/test/scenario"
)

// TestScenarios plays the scenarios of every shape against the binary. At the
// end no secret may be in anything it logged.
func TestScenarios(t *testing.T) {
	t.Parallel()
	for name, lanes := range map[string]string{"one lane": "1", "four lanes": "4"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"SLUICE_LANES": lanes}
			for k, v := range fast {
				env[k] = v
			}
			n := newNode(t, checked, env, "--dev")
			s := &scenario.Secrets{}
			bucketeer, _ := scenario.NewBucketeer(t)
			s.Add(bucketeer.SecretAccessKey)
			scenario.Run(t, scenario.Env{
				URL:      n.url(),
				Settings: inForce(t, env),
				Token: func(tenant string, scopes ...string) string {
					token := n.token(tenant, scopes...)
					s.Add(token)
					return token
				},
				Timeout: waitLimit,
				S3:      bucketeer,
				Secret:  s.Add,
				Restart: func() {
					if lanes == "1" {
						n.kill()
					} else {
						n.end()
					}
					n.start()
				},
			})
			s.AbsentFrom(t, n.text(0))
			n.noErrors()
		})
	}
}

// inForce reads settings as the node does.
func inForce(t *testing.T, env map[string]string) settings.Settings {
	t.Helper()
	s := settings.Default()
	err := settings.LoadEnv(s.Table(), func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A request's id in an error response is the one in the log line of the request.
func TestRequestID(t *testing.T) {
	t.Parallel()
	n := newNode(t, plain, fast, "--dev")
	c := newClient(n, "acme")
	ids := map[string]string{} // to the error code
	for _, call := range [][2]string{{"GET", eventstream + "/nobody"}, {"POST", eventstream}, {"PUT", "/api/v1/org/events"}, {"GET", "/nowhere"}} {
		e := c.call(t, call[0], call[1], "{}").problem(t)
		ids[e.RequestID] = e.Code
	}
	if len(ids) != 4 {
		t.Fatalf("the request ids are not unique: %v", ids)
	}
	found := 0
	until(t, "each request has a line in the log", func() bool {
		found = 0
		for _, line := range n.lines(0) {
			id, _ := line["request_id"].(string)
			if code, ok := ids[id]; ok && line["msg"] == "request served" {
				found++
				if line["error_code"] != code || line["level"] != "INFO" || line["took_ms"] == nil {
					t.Errorf("the line of a request that failed with %s is %v", code, line)
				}
			}
		}
		return found == len(ids)
	})
}
