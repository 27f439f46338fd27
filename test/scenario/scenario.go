// Package scenario tests a running Sluice from outside only: through its HTTP API,
// webhook receivers and S3 buckets. An Env describes the deployment; Run runs every
// scenario against it. Each scenario has its own tenant, so that scenarios run
// concurrently and against a service that already contains data.
package scenario

import (
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/settings"
)

// Env describes the deployment under test.
type Env struct {
	URL      string            // of the service, without a path
	Settings settings.Settings // of the service

	// Token returns an access token of the tenant with these scopes, valid for
	// as long as the scenarios run; a platform token if the tenant is "".
	Token func(tenant string, scopes ...string) string

	// Timeout limits the wait for an expected effect. Only a failure takes that
	// long, so it can be generous.
	Timeout time.Duration

	// Gateway is set if an API Gateway in front of the service verifies access
	// tokens. The format of its 401 is fixed.
	Gateway bool

	// S3 is an S3 server that the service can reach.
	S3 Bucketeer

	// ReceiverURL returns the URL at which the service reaches the receiver that
	// listens on local. If nil, it is the same.
	ReceiverURL func(local string) string

	// Secret, unless nil, is called with every secret that the scenarios give to
	// the service, so that its logs can be searched for them.
	Secret func(clear string)

	// Restart stops the service in any way and starts it again with the same data,
	// at the same URL. It is nil if the deployment cannot be restarted.
	Restart func()
}

// Bucketeer is an S3 server. It must refuse any other access key id.
type Bucketeer struct {
	Endpoint, Region             string
	AccessKeyID, SecretAccessKey string
}

type scenario struct {
	name string
	play func(*testing.T, *Env)
}

// Run plays all scenarios. Receivers are on loopback, where the service must be
// allowed to call them, unless it has another address for them.
func Run(t *testing.T, env Env) {
	together(t, &env, all())
	if env.Restart == nil {
		return
	}
	for _, s := range restarting {
		t.Run(s.name, func(t *testing.T) { s.play(t, &env) })
	}
}

// RunOnly plays the scenarios with these names, which must be among those side by side.
func RunOnly(t *testing.T, env Env, names ...string) {
	t.Helper()
	list := slices.DeleteFunc(all(), func(s scenario) bool { return !slices.Contains(names, s.name) })
	if len(list) != len(names) {
		t.Fatalf("there are only %d scenarios of %q", len(list), names)
	}
	together(t, &env, list)
}

// all returns the scenarios that can be played side by side.
func all() []scenario {
	return slices.Concat(publishing, webhooks, lives, histories, failing, seeing, delivering, telling, replaying, exporting, looking, trying, meanwhile, access, platform)
}

// together plays scenarios side by side, and returns when the last one has ended.
func together(t *testing.T, env *Env, list []scenario) {
	t.Run("side by side", func(t *testing.T) {
		for _, s := range list {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				s.play(t, env)
			})
		}
	})
}

// eventually polls until ok, and fails the test when Timeout is over.
func (e *Env) eventually(t *testing.T, what func() string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(e.Timeout)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("after %v, not yet: %s", e.Timeout, what())
		}
	}
}

// label is a fixed description for eventually.
func label(what string) func() string { return func() string { return what } }

// past waits until the clock shows a later millisecond than at.
func (e *Env) past(t *testing.T, at time.Time) {
	t.Helper()
	e.eventually(t, label("the clock goes on"), func() bool { return time.Since(at) > 2*time.Millisecond })
}
