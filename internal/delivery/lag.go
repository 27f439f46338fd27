package delivery

import (
	"time"

	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/integration"
)

// noteLag notes in the cursor whether it lags, if there are alerts of that. A replay always
// does. A cursor that lags recovers below half of AlertLag, so that one at the limit does not
// change with every read.
func (s *step) noteLag(segs []eventlog.Segment) {
	e, c := s.engine, s.cursor
	if e.Settings.OperatorTenant == "" || s.in.Type != integration.Permanent || c.Failures > 0 || len(segs) == 0 {
		return
	}
	limit := e.Settings.AlertLag
	if c.Lagging {
		limit /= 2
	}
	if s.in.S3 != nil { // its events wait for a file that long
		limit += e.Settings.S3FileInterval
	}
	since := later(later(publishedFrom(&segs[0]), s.in.CreatedAt), c.LagFrom)
	c.Lagging = e.Now().Sub(since) > limit
}

// publishedFrom returns when the first event of a segment was published.
func publishedFrom(seg *eventlog.Segment) time.Time {
	switch {
	case seg.Damage != nil:
		return seg.Damage.First
	case len(seg.Events) > 0:
		return seg.Events[0].PublishedAt
	}
	return time.Time{}
}
