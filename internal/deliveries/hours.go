package deliveries

import (
	"math"
	"time"

	"github.com/sluicehq/sluice/internal/problem"
)

// Hour is what was sent to an integration in an hour.
type Hour struct {
	Delivered int // events, or files
	Rejected  int
	Failed    int // attempts that did neither
}

// HoursCounted is how many hours are counted.
const HoursCounted = 24

// Hours are counts by the hour, the oldest first.
type Hours [HoursCounted]Hour

// counter counts records by the hour.
type counter struct {
	since int64 // when the first hour begins, in ms since 1970
	of    map[incarnation]*Hours
	back  bool // what was counted is taken back
}

// incarnation is an integration from its registration to its deletion.
type incarnation struct {
	id     string
	number uint64
}

var hourMillis = time.Hour.Milliseconds()

// add adds results of one time.
func (h *Hours) add(c *counter, outcome Outcome, attempts, n int, last int64) {
	at := (last - c.since) / hourMillis
	if last < c.since || at >= HoursCounted {
		return
	}
	if c.back {
		n = -n
	}
	switch hour := &h[at]; outcome {
	case Delivered:
		hour.Delivered += n
		hour.Failed += n * max(attempts-1, 0)
	case Rejected:
		hour.Rejected += n
		hour.Failed += n * max(attempts-1, 0)
	case Skipped: // no attempt did
		hour.Failed += n * attempts
	}
}

// count adds what a record has of the integrations that are counted. It goes over runs
// without making their results: events that have a time in common are counted at once.
func (r *Record) count(c *counter) error {
	u := &unpacker{data: r.Data}
	if version := u.byte(); version != packedVersion {
		return r.unknownForm(version)
	}
	u.at, u.base = u.int(), u.uint()
	for len(u.data) > 0 && !u.bad {
		id := u.bytes()
		number := u.uint()
		u.countPart(c, c.of[incarnation{string(id), number}])
	}
	if u.bad {
		return r.damaged()
	}
	return nil
}

// countPart adds a part to hours, or passes over it if that is nil.
func (u *unpacker) countPart(c *counter, hours *Hours) {
	switch u.uint() {
	case kindFile:
		f := u.file()
		if hours != nil && !u.bad {
			hours.add(c, Delivered, f.Attempts, 1, f.Last)
		}
	case kindResults:
		last := u.at
		for n := u.count(); n > 0 && !u.bad; n = u.count() {
			last = u.countRun(c, hours, n, last)
		}
	default:
		u.fail()
	}
}

// countRun adds a run of n results, the first of which counts its time from that of the one
// before, and returns that of the last one.
func (u *unpacker) countRun(c *counter, hours *Hours, n int, last int64) int64 {
	outcome := u.count()
	if outcome >= len(outcomes) {
		u.fail()
		return last
	}
	attempts := u.count()
	u.count() // the status
	u.bytes() // the cause
	for n > 0 && !u.bad {
		e, same := u.entry(attempts > 1)
		if same >= n {
			u.fail()
			break
		}
		if hours != nil {
			u.countEntry(c, hours, outcomes[outcome], attempts, same+1, last+e.after, e.after)
		}
		n -= same + 1
		last += e.after * int64(same+1)
	}
	return last
}

// countEntry adds n results, the first at a time, and each of the others so long after the one
// before. Those of one hour are added at once.
func (u *unpacker) countEntry(c *counter, hours *Hours, outcome Outcome, attempts, n int, at, after int64) {
	for n > 0 && !u.bad {
		some := min(n, c.together(at, after))
		hours.add(c, outcome, attempts, some, at)
		at += after * int64(some)
		n -= some
		if u.results++; u.results > maxResults { // damaged: no commit takes so many hours
			u.fail()
		}
	}
}

// together returns how many times are in the hour of the first one, if each is so long after
// the one before.
func (c *counter) together(at, after int64) int {
	into := (at - c.since) % hourMillis
	if into < 0 {
		into += hourMillis
	}
	switch {
	case after > 0:
		return int(min((hourMillis-1-into)/after+1, math.MaxInt32))
	case after < 0:
		return int(min(into/-after+1, math.MaxInt32))
	}
	return math.MaxInt32
}

func (r *Record) unknownForm(version byte) error {
	return problem.New(problem.Internal, "a delivery record of lane %d of tenant %q has the form %d, which this release does not know",
		r.Partition.Lane, r.Partition.Tenant, version)
}

func (r *Record) damaged() error {
	return problem.New(problem.Internal, "a delivery record of lane %d of tenant %q is damaged", r.Partition.Lane, r.Partition.Tenant)
}
