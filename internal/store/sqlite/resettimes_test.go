package sqlite

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/sqlitedb"
	"github.com/sluicehq/sluice/internal/store"
)

// setTimes sets every time in a record but those that customers give, and returns their
// names.
func setTimes(v reflect.Value, at time.Time) (names []string) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return setTimes(v.Elem(), at)
	case reflect.Slice:
		for i := range v.Len() {
			names = append(names, setTimes(v.Index(i), at)...)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			switch {
			case f.Name == "StartsAt" || f.Name == "EndsAt" || f.Type == reflect.TypeFor[event.Filter]() || f.Type == reflect.TypeFor[event.Event]():
			case f.Type == reflect.TypeFor[time.Time]():
				v.Field(i).Set(reflect.ValueOf(at))
				names = append(names, f.Name)
			case f.IsExported():
				names = append(names, setTimes(v.Field(i), at)...)
			}
		}
	}
	return names
}

// timesIn returns the times of a record in the same way.
func timesIn(v reflect.Value) map[string]time.Time {
	found := map[string]time.Time{}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return timesIn(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			for name, at := range timesIn(v.Index(i)) {
				found[name] = at
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			switch {
			case f.Name == "StartsAt" || f.Name == "EndsAt" || f.Type == reflect.TypeFor[event.Filter]() || f.Type == reflect.TypeFor[event.Event]():
			case f.Type == reflect.TypeFor[time.Time]():
				found[f.Name] = v.Field(i).Interface().(time.Time)
			case f.IsExported():
				for name, at := range timesIn(v.Field(i)) {
					found[name] = at
				}
			}
		}
	}
	return found
}

// No time in any record, now or later, is ahead of a clock that was reset by more than a
// day, whatever it was before; what is not ahead stays as it is.
func TestResetTimesLowersEveryTime(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, ahead := range []time.Duration{365 * 24 * time.Hour, -time.Hour} {
		s, ctx := openStore(t), t.Context()
		at := now.Add(ahead)
		key := handoff.Key{Tenant: "acme", Integration: "x"}
		h := store.History{Tenant: "acme", Integration: "x", Incarnation: 1}
		in := &integration.Integration{Tenant: "acme", ID: "x", Incarnation: 1<<63 + 1, StartsAt: at, EndsAt: at}
		state := &handoff.PartitionState{Partition: key.Partition(), Live: []handoff.Subscriber{{ID: "x"}}, LowWatermark: 1<<63 + 1}
		cursor := &handoff.Cursor{Key: key, State: handoff.Scheduled}
		count := &integration.RejectedCount{Kept: 1}
		rejected := &integration.Rejected{Event: event.Draft{ID: "e", Name: "a.b", Payload: []byte("{}")}.Stamp("acme", at)}
		logged := integration.LogEntry{Action: integration.ActionStopped, Reason: "created_at <b>"}
		records := []any{in, state, cursor, count, rejected, &logged}
		for _, r := range records {
			if len(setTimes(reflect.ValueOf(r), at)) == 0 {
				t.Fatalf("%T has no times", r)
			}
		}
		err := s.Commit(ctx, store.PutIntegration{Integration: in}, store.PutPartition{State: state}, store.PutCursor{Cursor: cursor},
			store.PutRejectedCount{History: h, Count: count}, store.PutRejected{History: h, Rejected: rejected}, store.AddEntry{History: h, Entry: logged})
		if err != nil {
			t.Fatal(err)
		}
		damaged := func(tx *sqlitedb.Tx) error {
			_, err := tx.Exec("INSERT INTO integrations (tenant, id, version, data) VALUES ('other', 'y', 1, x'00')")
			return err
		}
		if err := s.db.Write(ctx, sqlitedb.Turn{}, damaged); err != nil {
			t.Fatal(err)
		}
		if err := ResetTimes(ctx, s.db, now); err != nil {
			t.Fatal(err)
		}
		var got [6]any
		var errs [6]error
		got[0], errs[0] = s.Integration(ctx, "acme", "x")
		got[1], errs[1] = s.Partition(ctx, key.Partition())
		got[2], errs[2] = s.Cursor(ctx, key)
		got[3], errs[3] = s.RejectedCount(ctx, h)
		got[4], errs[4] = s.Rejected(ctx, h, "e")
		entries, err := s.Entries(ctx, h, 10)
		if err != nil || len(entries) != 1 {
			t.Fatal(entries, err)
		}
		got[5] = &entries[0]
		if list, err := s.OldestRejected(ctx, h, 10); err != nil || len(list) != 1 || list[0] != got[4].(*integration.Rejected).Ref() {
			t.Errorf("%v ahead: the list is %v, %v, want it as the rejected event is: %v", ahead, list, err, got[4])
		}
		for i := range records {
			if errs[i] != nil {
				t.Fatalf("%T: %v", records[i], errs[i])
			}
			for name, was := range timesIn(reflect.ValueOf(got[i])) {
				if was.After(now.Add(24*time.Hour)) || ahead < 0 && !was.Equal(at) {
					t.Errorf("%v ahead: %s of %T is %v", ahead, name, records[i], was.Sub(now))
				}
			}
			setTimes(reflect.ValueOf(got[i]), at)
			if diff := cmp.Diff(records[i], got[i]); diff != "" {
				t.Errorf("%T besides its times (-was +is):\n%s", records[i], diff)
			}
		}
		due, err := s.Due(ctx, now, 10)
		expired, err2 := s.ExpiredReplays(ctx, now, 10)
		if err != nil || err2 != nil || len(due) != 1 || len(expired) != 1 {
			t.Errorf("%v ahead: due %v, %v; expired %v, %v", ahead, due, err, expired, err2)
		}
		stored := got[0].(*integration.Integration)
		if stored.Alerts.Since = at; ahead > 0 {
			stored.Alerts.Since = now
		}
		if after, _, err := s.Troubled(ctx, store.PlaceOfTrouble(stored), 10); err != nil || len(after) != 0 {
			t.Errorf("%v ahead: %d in trouble after its own place, %v", ahead, len(after), err)
		}
	}
}

// A reset that is interrupted is done again, at another time: the list stays as the rejected
// events are, which are found in it by their times.
func TestAnInterruptedResetKeepsTheListInOrder(t *testing.T) {
	s, ctx := openStore(t), t.Context()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	h := store.History{Tenant: "acme", Integration: "x", Incarnation: 1}
	for i, id := range []string{"a", "b", "c"} {
		at := now.Add(time.Duration(2*i-1) * time.Hour) // the first is not ahead
		rejected := &integration.Rejected{Event: event.Draft{ID: id, Name: "a.b", Payload: []byte("{}")}.Stamp("acme", at), CreatedAt: at}
		if err := s.Commit(ctx, store.PutRejected{History: h, Rejected: rejected}); err != nil {
			t.Fatal(err)
		}
	}
	if err := resetTable(ctx, s.db, "rejected", nil, now); err != nil {
		t.Fatal(err)
	}
	if err := ResetTimes(ctx, s.db, now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	list, err := s.OldestRejected(ctx, h, 10)
	if err != nil || len(list) != 3 || !list[0].CreatedAt.Equal(now.Add(-time.Hour)) {
		t.Fatalf("the list is %v, %v", list, err)
	}
	for _, ref := range list {
		if r, err := s.Rejected(ctx, h, ref.EventID); err != nil || r.Ref() != ref {
			t.Errorf("the list has %v, the event %v, %v", ref, r, err)
		}
	}
}

// Delivery records of a later time than now would be in the way of those that come.
func TestResetTimesForgetsDeliveriesOfLater(t *testing.T) {
	s, ctx := openStore(t), t.Context()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	p := event.Partition{Tenant: "acme"}
	add := func(at time.Time, data string) {
		t.Helper()
		if err := s.Commit(ctx, store.AddDeliveries{Record: deliveries.Record{Partition: p, At: at, First: 1, Last: 1, Data: []byte(data)}}); err != nil {
			t.Fatal(err)
		}
	}
	add(now.Add(-time.Hour), "earlier")
	add(now.Add(365*24*time.Hour), "later")
	if err := ResetTimes(ctx, s.db, now); err != nil {
		t.Fatal(err)
	}
	add(now, "now")
	found, err := s.Deliveries(ctx, deliveries.Query{Partition: p, Limit: 10})
	if err != nil || len(found) != 2 || string(found[0].Data) != "now" || !found[0].At.Equal(now) || string(found[1].Data) != "earlier" {
		t.Errorf("left are %+v, %v", found, err)
	}
}
