package fanout

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/sluicehq/sluice/internal/event"
)

// appendBytes bounds the data of the records that are decoded and appended at a time:
// appending takes a multiple of it.
const appendBytes = 4 << 20

// appended is what append has done.
type appended struct {
	partition  event.Partition // zero if no record could be decoded
	end        uint64          // of the log, 0 if nothing was appended
	marker     time.Time       // the latest, zero for none
	unreadable []unreadable
}

// append appends the records of a group to the log, as much at a time as fits into memory. It
// reports false, and has logged why, if the group must be redelivered.
func (h *Handler) append(ctx context.Context, g *group, appending *semaphore.Weighted) (a appended, ok bool) {
	weight := min(g.size, appendBytes)
	if err := appending.Acquire(ctx, weight); err != nil {
		h.Logger.Error("batch will be redelivered: the time is used up", "error", err)
		return a, false
	}
	defer appending.Release(weight)
	for len(g.records) > 0 {
		next := h.decode(g, &a.unreadable)
		if next.partition.Tenant == "" {
			continue
		}
		a.partition = next.partition
		if next.marker.After(a.marker) {
			a.marker = next.marker
		}
		log := h.Logger.With("tenant", a.partition.Tenant, "lane", a.partition.Lane)
		if err := h.growLanes(ctx, a.partition.Tenant); err != nil {
			log.Error("batch will be redelivered: lanes could not be added", "error", err)
			return a, false
		}
		if len(next.records) == 0 {
			continue
		}
		end, err := h.Log.Append(ctx, a.partition, g.source, next.records)
		if err != nil {
			log.Error("batch will be redelivered: it could not be appended", "error", err)
			return a, false
		}
		a.end = end
	}
	return a, true
}
