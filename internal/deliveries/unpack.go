package deliveries

import (
	"encoding/binary"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
)

// maxResults bounds the memory that damaged data can ask for. One commit has far fewer of
// one integration: those of two reads of the log.
const maxResults = 1 << 18

// Unpack returns what an integration has in a record: nothing, a part or several. An error
// means that the data is damaged or of a later release.
func (r *Record) Unpack(integration string, incarnation uint64) ([]Part, error) {
	u := &unpacker{data: r.Data}
	if version := u.byte(); version != packedVersion {
		return nil, r.unknownForm(version)
	}
	u.at, u.base = u.int(), u.uint()
	var found []Part
	for len(u.data) > 0 && !u.bad {
		p := Part{Integration: u.text(), Incarnation: u.uint()}
		wanted := p.Integration == integration && p.Incarnation == incarnation
		if u.part(&p, wanted); wanted {
			found = append(found, p)
		}
	}
	if u.bad {
		return nil, r.damaged()
	}
	return found, nil
}

// unpacker reads packed data. Once it is bad, it returns zeros.
type unpacker struct {
	data    []byte
	at      int64
	base    uint64
	results int
	bad     bool
}

func (u *unpacker) fail() {
	u.bad, u.data = true, nil
}

func (u *unpacker) byte() byte {
	if len(u.data) == 0 {
		u.fail()
		return 0
	}
	b := u.data[0]
	u.data = u.data[1:]
	return b
}

func (u *unpacker) uint() uint64 {
	if len(u.data) > 0 && u.data[0] < 0x80 { // as most are
		n := uint64(u.data[0])
		u.data = u.data[1:]
		return n
	}
	n, size := binary.Uvarint(u.data)
	if size <= 0 {
		u.fail()
		return 0
	}
	u.data = u.data[size:]
	return n
}

func (u *unpacker) int() int64 {
	n, size := binary.Varint(u.data)
	if size <= 0 {
		u.fail()
		return 0
	}
	u.data = u.data[size:]
	return n
}

// count reads a number that fits into an int of any platform.
func (u *unpacker) count() int {
	n := u.uint()
	if n > 1<<31-1 {
		u.fail()
		return 0
	}
	return int(n)
}

// bytes reads a text without a copy of it.
func (u *unpacker) bytes() []byte {
	n := u.count()
	if n > len(u.data) {
		u.fail()
		return nil
	}
	b := u.data[:n]
	u.data = u.data[n:]
	return b
}

func (u *unpacker) text() string { return string(u.bytes()) }

func (u *unpacker) time() int64 { return u.at + u.int() }

// part reads a part, or passes over one that is not wanted.
func (u *unpacker) part(p *Part, wanted bool) {
	switch u.uint() {
	case kindFile:
		p.File = u.file()
	case kindResults:
		prev := Result{Place: Place{Segment: u.base - 1}, Last: u.at}
		for n := u.count(); n > 0 && !u.bad; n = u.count() {
			p.Results, prev = u.run(p.Results, n, prev, wanted)
		}
	default:
		u.fail()
	}
}

// run reads n equal results.
func (u *unpacker) run(results []Result, n int, prev Result, wanted bool) ([]Result, Result) {
	if wanted {
		u.results += n
	}
	outcome := u.count()
	if outcome >= len(outcomes) || u.results > maxResults {
		u.fail()
		return nil, prev
	}
	like := Result{Outcome: outcomes[outcome], Attempts: u.count(), Status: u.count(), Cause: u.text()}
	for n > 0 && !u.bad {
		e, same := u.entry(like.Attempts > 1)
		if same >= n {
			u.fail()
			break
		}
		if n -= same + 1; !wanted {
			continue
		}
		for range same + 1 {
			prev = e.apply(like, prev)
			results = append(results, prev)
		}
	}
	return results, prev
}

func (u *unpacker) entry(retried bool) (e entry, same int) {
	step := u.uint()
	switch e.step = step / 2; e.step {
	case stepIndex, stepSegment:
	case stepSkip:
		e.index = u.uint()
	case stepTo:
		e.segments, e.index = u.uint(), u.uint()
	default:
		u.fail()
	}
	e.after, e.took, e.since = u.int(), int64(u.uint()), 1
	if retried {
		e.since = u.int()
	}
	if step%2 == 1 {
		same = u.count()
	}
	return e, same
}

// apply returns the result of an entry after the previous one.
func (e *entry) apply(r, prev Result) Result {
	switch e.step {
	case stepIndex:
		r.Segment, r.Index = prev.Segment, prev.Index+1
	case stepSegment:
		r.Segment = prev.Segment + 1
	case stepSkip:
		r.Segment, r.Index = prev.Segment, prev.Index+1+int(e.index)
	case stepTo:
		r.Segment, r.Index = prev.Segment+e.segments, int(e.index)
	}
	r.Last, r.Took = prev.Last+e.after, e.took
	if e.since != 0 {
		r.First = r.Last - e.since + 1
	}
	return r
}

func (u *unpacker) file() *File {
	f := &File{Key: u.text()}
	for _, o := range []*handoff.Offset{&f.From, &f.To} {
		o.Segment, o.Index = u.uint(), u.count()
	}
	f.Attempts, f.Status = u.count(), u.count()
	f.First, f.Last, f.Took = u.time(), u.time(), int64(u.uint())
	f.Filter = event.Filter{Names: u.names(), Entities: u.names()}
	for _, t := range []*time.Time{&f.Filter.From, &f.Filter.Until} {
		if u.uint() == 1 {
			*t = time.UnixMilli(u.time()).UTC()
		}
	}
	return f
}

func (u *unpacker) names() []string {
	var names []string
	for n := u.count(); n > 0 && !u.bad; n-- {
		names = append(names, u.text())
	}
	return names
}
