package memory_test

import (
	"context"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog/logtest"
	"github.com/sluicehq/sluice/internal/eventlog/memory"
)

func TestLog(t *testing.T) {
	logtest.Run(t, func(_ *testing.T, now func() time.Time) logtest.Harness {
		log := memory.New(now)
		trim := func(_ context.Context, before time.Time) error { log.Trim(before); return nil }
		damage := func(_ *testing.T, p event.Partition, number uint64) { log.Damage(p, number) }
		return logtest.Harness{Log: log, Trim: trim, Damage: damage}
	})
}

func TestPublish(t *testing.T) {
	logtest.RunPublish(t, func(_ *testing.T, now func() time.Time) logtest.Publisher { return memory.New(now) })
}
