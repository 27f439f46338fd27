package steadyclock

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// suspension adds to the time that passes by Go's monotonic clock the time for which the
// machine was suspended, which that clock leaves out. It is not safe for concurrent use.
type suspension struct {
	uptime func() (time.Duration, bool) // of the machine, suspended or not; false if that is unknown

	began  time.Time     // by the system's clock
	start  time.Duration // uptime then
	known  bool          // that start is
	slept  time.Duration // since then
	looked time.Duration // how far the system's clock was ahead at the last look at the uptime
}

func newSuspension(began time.Time, uptime func() (time.Duration, bool)) *suspension {
	s := &suspension{uptime: uptime, began: began.Round(0)}
	s.start, s.known = uptime()
	return s
}

// lookFrom is by how much the system's clock must get ahead of the monotonic clock until
// the uptime is looked at again, which costs a read of a file.
const lookFrom = time.Minute

// passed returns how much time has passed since it began, at a time by the system's clock and
// after so much time by the monotonic clock.
func (s *suspension) passed(wall time.Time, monotonic time.Duration) time.Duration {
	ahead := wall.Round(0).Sub(s.began) - monotonic
	s.looked = min(s.looked, ahead)
	if s.known && ahead-s.looked > lookFrom {
		s.looked = ahead
		if up, ok := s.uptime(); ok {
			s.slept = max(s.slept, up-s.start-monotonic)
		}
	}
	return monotonic + s.slept
}

// uptime returns the uptime of a Linux machine.
func uptime() (time.Duration, bool) {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0, false
	}
	first, _, _ := strings.Cut(string(text), " ")
	seconds, err := strconv.ParseFloat(first, 64)
	return time.Duration(seconds * float64(time.Second)), err == nil
}
