package dynamo_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/store"
)

var ofA = event.Partition{Tenant: "a"}

func aRecord(data string) store.AddDeliveries {
	return store.AddDeliveries{Record: deliveries.Record{Partition: ofA, At: base, Expires: base.Add(time.Hour), First: 1, Last: 1, Data: []byte(data)}}
}

// The write of an offset stays a single one, beside which the record is another: no
// transaction, which costs twice as much.
func TestADeliveryRecordIsOneMoreWrite(t *testing.T) {
	t.Parallel()
	w := &wire{}
	s := newTable(t).via(w)
	commit(t, s, store.PutPartition{State: &handoff.PartitionState{Partition: ofA, LowWatermark: 3}}, aRecord("x"))
	if got := w.count(); got != "[PutItem:2]" {
		t.Errorf("calls: %s", got)
	}
}

// A record that cannot be written fails no commit, whose offset is written.
func TestALostDeliveryRecordFailsNothing(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	w := &wire{change: func(c *call) (*http.Response, error) {
		if item, _ := c.body["Item"].(map[string]any); item["data"] != nil {
			return c.answer(http.StatusBadRequest, `{"__type":"com.amazon.coral.validate#ValidationException","message":"no"}`)
		}
		return c.pass()
	}}
	s := tb.via(w)
	var lost []error
	s.DeliveriesLost = func(err error) { lost = append(lost, err) }
	state := &handoff.PartitionState{Partition: ofA, LowWatermark: 3}
	commit(t, s, store.PutPartition{State: state}, aRecord("x"))
	stored, err := s.Partition(t.Context(), ofA)
	if err != nil || stored.LowWatermark != 3 || stored.Version != state.Version || len(lost) != 1 {
		t.Errorf("the state is %+v, %v; lost are %v", stored, err, lost)
	}
}

// A record is there once, also if the response to its put was lost; another one of the same
// time is not taken for it.
func TestADeliveryRecordIsWrittenOnce(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	s, _ := lossy(tb, nothing, unchanged)
	commit(t, s, aRecord("x"))
	commit(t, tb.store(), aRecord("y"))
	found, err := s.Deliveries(t.Context(), deliveries.Query{Partition: ofA, Limit: 9})
	if err != nil || len(found) != 2 || string(found[0].Data) != "y" || string(found[1].Data) != "x" {
		t.Errorf("there are %+v, %v", found, err)
	}
}
