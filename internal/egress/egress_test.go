package egress

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// Connections to hosts that drop packets, which began together, are not given up together.
func TestTimeLimitsOfConnectionsAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := map[time.Duration]bool{}
		dial := spread(&net.Dialer{Timeout: 10 * time.Second, ControlContext: func(ctx context.Context, _, _ string, _ syscall.RawConn) error {
			deadline, _ := ctx.Deadline()
			limits[time.Until(deadline)] = true
			return errors.New("far enough")
		}})
		const dials = 20
		for range dials {
			if _, err := dial(t.Context(), "tcp", "127.0.0.1:1"); err == nil {
				t.Fatal("it connected")
			}
		}
		if len(limits) < dials/2 {
			t.Errorf("%d connections have %d time limits", dials, len(limits))
		}
		for limit := range limits {
			if limit < 10*time.Second || limit > 10500*time.Millisecond {
				t.Errorf("a limit of %v", limit)
			}
		}
	})
}
