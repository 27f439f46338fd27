package delivery_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
)

// After a start the secrets of a live integration may be out of reach for a while, as
// while the service that opens them is down. That is no failure of its receiver; a secret
// that cannot be opened at all is one, and its log says so.
func TestLiveIntegrationWhoseSecretsCannotBeOpened(t *testing.T) {
	for code, failed := range map[problem.Code]bool{problem.Unavailable: false, problem.Internal: true} {
		t.Run(string(code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, true, nil)
				var broken atomic.Bool
				r.open = func(*integration.Integration) error {
					if broken.Load() {
						return problem.New(code, "The secrets cannot be opened.")
					}
					return nil
				}
				r.register(hookSpec("hook"))
				time.Sleep(time.Second)
				first := r.publish(1)
				time.Sleep(time.Second)
				r.wantOnce("hook", first)
				broken.Store(true)
				r = r.restart()
				ids := r.publish(2)
				time.Sleep(time.Minute)
				if n := len(r.entries("hook", integration.ActionRetryTriggered)); (n > 0) != failed {
					t.Errorf("%d retries in its log, want some: %v", n, failed)
				}
				if c := r.cursor("hook"); (c.Failures > 0) != failed || c.FailingSince.IsZero() == failed {
					t.Errorf("its cursor is %+v, want a failure: %v", c, failed)
				}
				broken.Store(false)
				time.Sleep(10 * time.Minute)
				r.wantOnce("hook", ids)
			})
		})
	}
}
