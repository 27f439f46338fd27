package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/store"
)

// aDelivery is a delivery record with every field set.
func aDelivery(lane int, integration string, at time.Duration, first, last uint64) deliveries.Record {
	return deliveries.Record{
		Partition: event.Partition{Tenant: tenantA, Lane: lane}, Integration: integration, At: base.Add(at), Expires: base.Add(at).Add(time.Hour),
		First: first, Last: last, Data: fmt.Appendf([]byte{1, 0, 0xff}, "%d %s %v", lane, integration, at),
	}
}

func addDeliveries(t *testing.T, s store.Store, records ...deliveries.Record) {
	t.Helper()
	for _, r := range records {
		commit(t, s, store.AddDeliveries{Record: r})
	}
}

func ofLive(lane int) deliveries.Query {
	return deliveries.Query{Partition: event.Partition{Tenant: tenantA, Lane: lane}, Limit: 100}
}

// wantDeliveries fails unless a query finds the records, which an adapter may return without
// their Expires.
func wantDeliveries(t *testing.T, what string, s store.Store, q deliveries.Query, want ...deliveries.Record) {
	t.Helper()
	found, err := s.Deliveries(t.Context(), q)
	got := read(t, found, err)
	for i := range got {
		got[i].Expires = time.Time{}
	}
	want = slices.Clone(want)
	for i := range want {
		want[i].Expires = time.Time{}
	}
	if len(got) == 0 && len(want) == 0 {
		return
	}
	equal(t, what, got, want)
}

var deliveryRecords = map[string]func(*testing.T, store.Store){
	"delivery records are in the order of their times": func(t *testing.T, s store.Store) {
		var all []deliveries.Record
		for i := range 7 {
			all = append(all, aDelivery(0, "", time.Duration(i)*time.Second+1, uint64(i+1), uint64(i+1)))
		}
		addDeliveries(t, s, all...)
		newest := slices.Clone(all)
		slices.Reverse(newest)
		for limit := range 9 {
			q := ofLive(0)
			q.Limit = limit
			wantDeliveries(t, "the newest", s, q, newest[:min(limit, 7)]...)
			q.Oldest = true
			wantDeliveries(t, "the oldest", s, q, all[:min(limit, 7)]...)
		}
		for i := range 8 {
			q := ofLive(0)
			if q.Oldest = true; i < 7 {
				q.Before = all[i].At
			}
			wantDeliveries(t, "those before a time", s, q, all[:i]...)
			q.Before = time.Time{}
			if q.From = all[6].At.Add(1); i < 7 {
				q.From = all[i].At
			}
			wantDeliveries(t, "those from a time on", s, q, all[min(i, 7):]...)
		}
		far := ofLive(0)
		far.From, far.Before = time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
		wantDeliveries(t, "those of all times", s, far, newest...)
		far.From = time.Date(9998, 1, 1, 0, 0, 0, 0, time.UTC)
		wantDeliveries(t, "those of later", s, far)
		q := ofLive(0)
		q.From, q.Before, q.Limit = all[1].At, all[5].At, 2
		wantDeliveries(t, "the newest between", s, q, all[4], all[3])
	},
	"each delivery record has a time of its own": func(t *testing.T, s store.Store) {
		first, second, third := aDelivery(0, "", 0, 1, 1), aDelivery(0, "", 0, 2, 2), aDelivery(0, "", 0, 3, 3)
		second.Data, third.Data = []byte("2"), []byte("3")
		commit(t, s, store.AddDeliveries{Record: first}, store.AddDeliveries{Record: second})
		commit(t, s, store.AddDeliveries{Record: third})
		second.At, third.At = first.At.Add(1), first.At.Add(2)
		wantDeliveries(t, "the records", s, ofLive(0), third, second, first)
		other := aDelivery(0, "hook", 0, 1, 1)
		addDeliveries(t, s, other)
		q := ofLive(0)
		q.Integration = "hook"
		wantDeliveries(t, "those of an integration", s, q, other)
	},
	"delivery records of others": func(t *testing.T, s store.Store) {
		mine := []deliveries.Record{aDelivery(0, "", 1, 1, 1), aDelivery(1, "", 1, 1, 1), aDelivery(0, "hook", 1, 1, 1), aDelivery(0, "hook-2", 1, 1, 1)}
		stranger := aDelivery(0, "", 1, 1, 1)
		stranger.Partition.Tenant, stranger.Data = tenantA+"#", []byte("another tenant's")
		addDeliveries(t, s, append(slices.Clone(mine), stranger)...)
		for _, r := range append(mine, stranger) {
			wantDeliveries(t, "the record", s, deliveries.Query{Partition: r.Partition, Integration: r.Integration, Limit: 9}, r)
		}
		q := ofLive(0)
		q.Integration = "hoo"
		wantDeliveries(t, "of an unknown integration", s, q)
		wantDeliveries(t, "of an unknown partition", s, ofLive(2))
	},
	"delivery records by their segments": func(t *testing.T, s store.Store) {
		a, b, c := aDelivery(0, "", 1, 1, 4), aDelivery(0, "", 2, 5, 5), aDelivery(0, "", 3, 3, 1<<33)
		addDeliveries(t, s, a, b, c)
		for segment, want := range map[uint64][]deliveries.Record{1: {a}, 3: {c, a}, 4: {c, a}, 5: {c, b}, 6: {c}, 1 << 33: {c}, 1<<33 + 1: nil} {
			q := ofLive(0)
			q.Through, q.Within = segment, segment
			wantDeliveries(t, fmt.Sprintf("those with segment %d", segment), s, q, want...)
			if q.Limit = 1; len(want) > 0 {
				wantDeliveries(t, fmt.Sprintf("the newest with segment %d", segment), s, q, want[0])
			}
		}
		q := ofLive(0)
		q.Through, q.Oldest = 5, true
		wantDeliveries(t, "those through segment 5", s, q, b, c)
		q.Through, q.Within = 0, 2
		wantDeliveries(t, "those that begin within segment 2", s, q, a)
	},
	"a delivery record of a Commit that fails is not there": func(t *testing.T, s store.Store) {
		state := aPartition(tenantA, 0)
		commit(t, s, store.PutPartition{State: state}, store.AddDeliveries{Record: aDelivery(0, "", 0, 1, 1)})
		stale := aPartition(tenantA, 0)
		refused(t, s, store.PutPartition{State: stale}, store.AddDeliveries{Record: aDelivery(0, "", 1, 2, 2)})
		wantDeliveries(t, "the records", s, ofLive(0), aDelivery(0, "", 0, 1, 1))
	},
	"a delivery record does not count among the writes of a Commit": func(t *testing.T, s store.Store) {
		var writes []store.Write
		for i := range store.MaxWrites {
			writes = append(writes, store.PutCursor{Cursor: aCursor(tenantA, fmt.Sprint("hook-", i), 0)})
		}
		commit(t, s, append(writes, store.AddDeliveries{Record: aDelivery(0, "", 0, 1, 1)})...)
		wantDeliveries(t, "the records", s, ofLive(0), aDelivery(0, "", 0, 1, 1))
	},
	"a large delivery record": func(t *testing.T, s store.Store) {
		r := aDelivery(0, "", 0, 1, 1)
		r.Data = slices.Repeat([]byte("0123456789abcdef"), 16<<10)
		addDeliveries(t, s, r)
		wantDeliveries(t, "the record", s, ofLive(0), r)
	},
}
