package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Every event has a number, from 0, in its tenant. It decides all about the event.
var names = []string{"order.created", "order.cancelled", "return.created", "refund_request.created", "order.items_cancelled"}

func nameOf(n int) string { return names[n%len(names)] }

// refusedAlways reports whether every receiver responds with 400 to an event.
func refusedAlways(n int) bool { return n%97 == 13 }

// idOf returns the event id of a number, and numberOf the number.
func idOf(n int) string { return fmt.Sprintf("50ac0000-0000-4000-8000-%012d", n) }

func numberOf(id string) (int, bool) {
	digits, ok := strings.CutPrefix(id, "50ac0000-0000-4000-8000-")
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil
}

// ledger is what was published for one tenant. It is safe for concurrent use.
type ledger struct {
	mu      sync.Mutex
	begun   int // numbers given to a call
	batches []batch
}

// batch is a publish call that returned 202, perhaps after others that did not.
type batch struct {
	first, next  int
	began, ended time.Time // of the first try and of the last one
}

// begin returns the numbers of a new call.
func (l *ledger) begin(n int) batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := batch{first: l.begun, next: l.begun + n, began: time.Now()}
	l.begun = b.next
	return b
}

func (l *ledger) published(b batch) {
	b.ended = time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.batches = append(l.batches, b)
}

// next returns the first number that no call has begun with.
func (l *ledger) next() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.begun
}

// settled reports whether every call that began with a lower number has returned.
func (l *ledger) settled(upTo int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, b := range l.batches {
		if b.next <= upTo {
			n += b.next - b.first
		}
	}
	return n == upTo
}

// events returns the published numbers that a life is owed, up to a number.
func (l *ledger) events(f *life, upTo int) []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []int
	for _, b := range l.batches {
		if b.first < f.since || b.next > upTo || f.isReplay() && (b.began.Before(f.from) || b.ended.After(f.until)) {
			continue
		}
		for n := b.first; n < b.next; n++ {
			all = append(all, n)
		}
	}
	return all
}

// life is an integration from its registration to its deletion.
type life struct {
	tenant string
	id     string
	kind   string // of the row that it is counted in
	wants  string // "": every event, an entity, or an event name

	since       int       // events whose call began later are owed
	from, until time.Time // of a replay: events whose call lies between these are owed
	account     *account
}

func (f *life) isReplay() bool { return !f.from.IsZero() }

// passes reports whether the filter of a life passes an event.
func (f *life) passes(n int) bool {
	name := nameOf(n)
	entity, _, _ := strings.Cut(name, ".")
	return f.wants == "" || f.wants == name || f.wants == entity
}

// account is what the receiver of a life has answered. It is safe for concurrent use.
type account struct {
	mu       sync.Mutex
	taken    map[int]bool // got a 200
	refused  map[int]bool // got a 400
	calls    int
	foreign  []string // what does not belong here
	mood     mood
	moodEnds time.Time
}

func newAccount() *account { return &account{taken: map[int]bool{}, refused: map[int]bool{}} }

// balance is what became of the events that a life is owed. They add up:
// published = acknowledged + rejected + skipped + filtered.
type balance struct {
	Published, Acknowledged, Rejected, Skipped, Filtered int
	missing                                              []int    // none of these
	wrong                                                []string // what must not be
}

func (b *balance) add(o balance) {
	b.Published += o.Published
	b.Acknowledged += o.Acknowledged
	b.Rejected += o.Rejected
	b.Skipped += o.Skipped
	b.Filtered += o.Filtered
	b.missing = append(b.missing, o.missing...)
	b.wrong = append(b.wrong, o.wrong...)
}

// balanced closes the books of a life over some events. skips says that its log tells of
// skipped events.
func (f *life) balanced(events []int, skips bool) balance {
	a := f.account
	a.mu.Lock()
	defer a.mu.Unlock()
	b := balance{Published: len(events), wrong: slices.Clone(a.foreign)}
	for _, n := range events {
		switch taken, refused := a.taken[n], a.refused[n]; {
		case taken && refused:
			b.wrong = append(b.wrong, fmt.Sprintf("event %d was acknowledged and rejected", n))
		case (taken || refused) && !f.passes(n):
			b.wrong = append(b.wrong, fmt.Sprintf("event %d (%s) was sent, and the filter drops it", n, nameOf(n)))
		case taken:
			b.Acknowledged++
		case refused:
			b.Rejected++
		case !f.passes(n):
			b.Filtered++
		case skips:
			b.Skipped++
		default:
			b.missing = append(b.missing, n)
		}
	}
	return b
}

// faults describes what does not add up, "" if all does.
func (b *balance) faults() string {
	var s []string
	if sum := b.Acknowledged + b.Rejected + b.Skipped + b.Filtered; sum != b.Published {
		s = append(s, fmt.Sprintf("%d events published, %d accounted for; missing are %v", b.Published, sum, first(b.missing)))
	}
	if b.Skipped > 0 {
		s = append(s, fmt.Sprintf("%d events skipped, though nothing was stopped for long", b.Skipped))
	}
	if len(b.wrong) > 0 {
		s = append(s, strings.Join(first(b.wrong), "; "))
	}
	return strings.Join(s, "; ")
}

func first[T any](all []T) []T { return all[:min(len(all), 10)] }
