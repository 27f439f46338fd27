// Package scenario has what every shape of Sluice must do, seen from outside:
// through the HTTP API, at webhook receivers and in S3 buckets, and by nothing
// else. A shape is an Env; Run plays every scenario against it. Each has a
// tenant of its own, so that they run side by side and against a service that
// holds data already.
package scenario

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/settings"
)

// Env is what a shape offers.
type Env struct {
	URL      string            // of the service, without a path
	Settings settings.Settings // in force there

	// Token returns an access token of the tenant with these scopes, valid for
	// as long as the scenarios run.
	Token func(tenant string, scopes ...string) string

	// Patience is how long to wait for what has to happen. It is only ever used
	// up by a failure, so it can be long.
	Patience time.Duration

	// Gateway says that access tokens are checked by an API Gateway in front of
	// the service, whose 401 has a shape of its own that cannot be changed.
	Gateway bool

	// S3 is an S3 server that the service can reach.
	S3 Bucketeer

	// ReceiverURL is the address at which the service reaches a receiver, which
	// listens at the local one. Nil: it is the same.
	ReceiverURL func(local string) string

	// Secret is told every secret that the scenarios give to the service, so
	// that its logs can be searched for them. Nil: nobody asks.
	Secret func(clear string)

	// Restart ends the service in whatever way and starts it again with the
	// same data, at the same URL. Nil where a shape has nothing to restart.
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
	t.Run("side by side", func(t *testing.T) {
		for _, group := range [][]scenario{publishing, webhooks, lives, histories, failing, replaying, exporting, access} {
			for _, s := range group {
				t.Run(s.name, func(t *testing.T) {
					t.Parallel()
					s.play(t, &env)
				})
			}
		}
	})
	if env.Restart == nil {
		return
	}
	for _, s := range restarting {
		t.Run(s.name, func(t *testing.T) { s.play(t, &env) })
	}
}

// eventually polls until ok, and fails the test when Patience is over.
func (e *Env) eventually(t *testing.T, what func() string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(e.Patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited %v, and not: %s", e.Patience, what())
		}
	}
}

// said is a what of eventually that never changes.
func said(what string) func() string { return func() string { return what } }

// past waits until the clock shows a later millisecond than at.
func (e *Env) past(t *testing.T, at time.Time) {
	t.Helper()
	e.eventually(t, said("the clock goes on"), func() bool { return time.Since(at) > 2*time.Millisecond })
}
