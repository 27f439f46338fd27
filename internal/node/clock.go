package node

import (
	"fmt"
	"time"

	"github.com/sluicehq/sluice/internal/steadyclock"
	"github.com/sluicehq/sluice/internal/usertext"
)

// startClock starts the node's clock: published_at, delays, retention and everything
// else but the validity of tokens and certificates go by it.
func (n *Node) startClock() {
	clock := n.config.clock
	if clock == nil {
		clock = steadyclock.New(n.clockHeld)
	}
	n.now = clock.Now
}

func (n *Node) clockHeld(lead time.Duration) {
	n.logger.Error("clock jumped ahead and is not followed; set it right, or restart the node if it is right", "by", lead.Round(time.Second).String())
}

// checkClock refuses a clock that cannot be right, by the newest stamp in the log. One
// that is behind it by more than a day would have every event until then carry that
// stamp. One that is so far ahead that every event in the log has expired would
// have them all deleted at once.
func (n *Node) checkClock() error {
	now, newest := n.now(), n.log.Newest()
	expired := n.config.Kept()
	switch lead := now.Sub(newest); {
	case newest.IsZero():
		return nil
	case lead < -steadyclock.MaxStep:
		return fmt.Errorf("the clock says %s, but the newest event in %s was published at %s, %s later. "+
			"If the clock is wrong, set it. If it is right, events were published while it was far ahead: run this once, which loses no event, and start again: sluice reset-clock --data %s",
			stamp(now), n.config.Data, stamp(newest), days(-lead), usertext.ShellWord(n.config.Data))
	case lead > expired && n.log.HasEvents():
		return fmt.Errorf("the clock says %s, but the newest event in %s was published at %s, %s earlier: every event in it would be deleted at once, as older than the retention. "+
			"If the clock is wrong, set it. If it is right, as the node was off for so long, run this once, and start again: sluice reset-clock --data %s",
			stamp(now), n.config.Data, stamp(newest), days(lead), usertext.ShellWord(n.config.Data))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func days(d time.Duration) string { return fmt.Sprintf("%.1f days", d.Hours()/24) }
