package main

import (
	"strings"
	"testing"
	"time"
)

// book returns the life of an integration that got everything, and its events.
func book(wants string) (*life, []int) {
	f := &life{wants: wants, account: newAccount()}
	events := make([]int, 500)
	for n := range events {
		events[n] = n
		switch {
		case !f.passes(n):
		case refusedAlways(n):
			f.account.refused[n] = true
		default:
			f.account.taken[n] = true
		}
	}
	return f, events
}

func TestBooksBalance(t *testing.T) {
	for _, wants := range []string{"", "order", "return.created"} {
		f, events := book(wants)
		b := f.balanced(events, false)
		if faults := b.faults(); faults != "" || b.Published != 500 || b.Acknowledged == 0 {
			t.Errorf("%q: %+v: %s", wants, b, faults)
		}
		if (b.Filtered > 0) != (wants != "") {
			t.Errorf("%q: %d filtered", wants, b.Filtered)
		}
	}
}

// The books do not balance whatever is wrong with one event.
func TestBooksFindOneWrongEvent(t *testing.T) {
	for what, c := range map[string]struct {
		spoil func(f *life)
		skips bool
		want  string
	}{
		"lost":                      {spoil: func(f *life) { delete(f.account.taken, 100) }, want: "missing are [100]"},
		"a rejected one lost":       {spoil: func(f *life) { delete(f.account.refused, 110) }, want: "missing are [110]"},
		"skipped":                   {spoil: func(f *life) { delete(f.account.taken, 100) }, skips: true, want: "1 events skipped"},
		"sent against the filter":   {spoil: func(f *life) { f.account.taken[102] = true }, want: "event 102 (return.created) was sent"},
		"acknowledged and rejected": {spoil: func(f *life) { f.account.refused[100] = true }, want: "event 100 was acknowledged and rejected"},
		"of another tenant":         {spoil: func(f *life) { f.account.foreign = []string{"an event of b"} }, want: "an event of b"},
	} {
		f, events := book("order")
		c.spoil(f)
		b := f.balanced(events, c.skips)
		if faults := b.faults(); !strings.Contains(faults, c.want) {
			t.Errorf("%s: %q, want %q", what, faults, c.want)
		}
	}
}

// A life is owed what was published since it was registered, and a replay what lies in
// its span.
func TestLedgerSaysWhatIsOwed(t *testing.T) {
	l := &ledger{}
	for range 4 {
		l.published(l.begin(10))
	}
	open := l.begin(10) // without a response
	if l.settled(50) || !l.settled(40) {
		t.Error("a call without a response counts as settled, or others do not")
	}
	f := &life{since: 20}
	if got := l.events(f, l.next()); len(got) != 20 || got[0] != 20 {
		t.Errorf("owed %v", got)
	}
	if got := l.events(f, 30); len(got) != 10 {
		t.Errorf("owed %v up to 30", got)
	}
	l.published(open)
	r := &life{from: l.batches[1].began, until: l.batches[2].ended.Add(time.Nanosecond)}
	got := l.events(r, l.next())
	if len(got) < 20 || got[0] > 10 {
		t.Errorf("a replay is owed %v", got)
	}
}

func TestNumbersAreInTheIDs(t *testing.T) {
	if n, ok := numberOf(idOf(360_001)); !ok || n != 360_001 {
		t.Errorf("%d, %v", n, ok)
	}
	if _, ok := numberOf("00000000-0000-4000-8000-000000000001"); ok {
		t.Error("a foreign id has a number")
	}
}
