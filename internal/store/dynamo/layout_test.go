package dynamo_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// TestItemsAreStored pins the attributes of every kind of item: every later release
// must be able to read them. V is a version, which is random.
func TestItemsAreStored(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	d := event.Draft{ID: "6f1c4f0e-0000-4000-8000-000000000001", Name: "a.b", Payload: []byte(`{"a":1}`)}
	key := handoff.Key{Tenant: "a", Integration: "hook"}
	commit(t, tb.store(),
		store.PutTenant{Tenant: &store.Tenant{Name: "a", Generation: 7}},
		store.PutTenant{Tenant: &store.Tenant{Name: "b", Lanes: 4}},
		store.PutLanes{Lanes: &store.Lanes{Open: map[string]int{"b": 4}}},
		store.PutPartition{State: &handoff.PartitionState{Partition: event.Partition{Tenant: "a"}, LowWatermark: 3}},
		store.PutCursor{Cursor: &handoff.Cursor{Key: key, DueAt: base.Add(1)}},
		store.PutCursor{Cursor: &handoff.Cursor{Key: handoff.Key{Tenant: "a", Integration: "stopped"}}},
		store.PutCursor{Cursor: &handoff.Cursor{Key: handoff.Key{Tenant: "a", Integration: "epoch"}, DueAt: time.UnixMilli(0).UTC()}}, // 0 is a due time too
		store.PutRejectedCount{History: life, Count: &integration.RejectedCount{Kept: 1, Newest: base}},
		store.PutRejected{History: life, Rejected: &integration.Rejected{Event: d.Stamp("a", base), CreatedAt: base, Attempts: 2}},
		entry(life, "why", base),
		store.PutAlert{Alert: &store.Alert{History: life, Number: 3, Kind: integration.AlertFailing, At: base, DueAt: base.Add(1), Payload: []byte(`{"id":"hook"}`)}},
		store.DeleteHistory{History: store.History{Tenant: "a", Integration: "gone", Incarnation: 4}},
		store.AddDeliveries{Record: deliveries.Record{
			Partition: key.Partition(), Integration: "hook", At: base, Expires: base.Add(time.Hour), First: 2, Last: 3, Data: []byte("packed"),
		}},
		store.AddDeliveries{Record: deliveries.Record{Partition: key.Partition(), At: base, Expires: base.Add(time.Hour), First: 2, Last: 2, Data: []byte("packed")}},
	)
	if _, err := tb.store().KeepDataKey(t.Context(), "2026-11-0", []byte("encrypted")); err != nil {
		t.Fatal(err)
	}
	var got []string
	pages := dynamodb.NewScanPaginator(tb.client, &dynamodb.ScanInput{TableName: &tb.name, ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range page.Items {
			got = append(got, layout(it))
		}
	}
	slices.Sort(got)
	want := []string{
		`pk=S D#0#a, sk=S #1748779200000000000, data=B, expires=N 1748782800, first=N 2, last=N 2`,
		`pk=S D#0#a, sk=S hook#1748779200000000000, data=B, expires=N 1748782800, first=N 2, last=N 3`,
		`pk=S H#4#gone#a, sk=S E~DELETED, due=N 1748782860000, timetable=S deleted#14`,
		`pk=S H#5#hook#a, sk=S A#00000000000000000003, doc=S {"history":{"tenant":"a","integration":"hook","incarnation":5},"number":3,"kind":"failing","at":"2025-06-01T12:00:00Z","due_at":"2025-06-01T12:00:00.000000001Z","payload":{"id":"hook"}}, due=N 1748779200001, timetable=S alert#4, version=N V`,
		`pk=S H#5#hook#a, sk=S E#01748779200000.000000#…, doc=S {"action":"integration_updated","reason":"why","created_at":"2025-06-01T12:00:00Z"}, expires=N 1751371200`,
		`pk=S H#5#hook#a, sk=S INDEX, doc=S null, list=S {"kept":1,"newest":"2025-06-01T12:00:00Z"}, version=N V`,
		`pk=S H#5#hook#a, sk=S L#01748779200000.000000#6f1c4f0e-0000-4000-8000-000000000001, doc=S {"id":"6f1c4f0e-0000-4000-8000-000000000001","created_at":"2025-06-01T12:00:00Z","name":"a.b"}`,
		`pk=S H#5#hook#a, sk=S R#6f1c4f0e-0000-4000-8000-000000000001, doc=S {"created_at":"2025-06-01T12:00:00Z","attempts":2}, event=B, version=N V`,
		`pk=S K#2026-11-0, sk=S DATAKEY, data=B`,
		`pk=S P#0#a, sk=S CURSOR#epoch, doc=S {"generation":0,"state":"","position":{"segment":0,"index":0},"due_at":"1970-01-01T00:00:00Z"}, due=N 0, timetable=S due#12, version=N V`,
		`pk=S P#0#a, sk=S CURSOR#hook, doc=S {"generation":0,"state":"","position":{"segment":0,"index":0},"due_at":"2025-06-01T12:00:00.000000001Z"}, due=N 1748779200001, timetable=S due#0, version=N V`,
		`pk=S P#0#a, sk=S CURSOR#stopped, doc=S {"generation":0,"state":"","position":{"segment":0,"index":0}}, version=N V`,
		`pk=S P#0#a, sk=S RECORD, doc=S {"delivered":3}, version=N V`,
		`pk=S T#, sk=S LANES, doc=S {"open":{"b":4}}, version=N V`,
		`pk=S T#a, sk=S TENANT, doc=S {"integrations":0,"generation":7}, version=N V`,
		`pk=S T#b, sk=S TENANT, doc=S {"integrations":0,"generation":0,"lanes":4}, version=N V`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// layout formats an item with the types of its attributes, the key first.
func layout(it map[string]types.AttributeValue) string {
	names := slices.SortedFunc(maps.Keys(it), func(a, b string) int {
		if of := map[string]int{"pk": -2, "sk": -1}; of[a] != of[b] {
			return of[a] - of[b]
		}
		return strings.Compare(a, b)
	})
	var attributes []string
	for _, name := range names {
		value := fmt.Sprintf("%T", it[name])
		switch v := it[name].(type) {
		case *types.AttributeValueMemberS:
			value = "S " + v.Value
		case *types.AttributeValueMemberN:
			value = "N " + v.Value
		case *types.AttributeValueMemberB:
			value = "B"
		}
		if name == "version" {
			value = value[:2] + "V"
		}
		if name == "sk" && strings.HasPrefix(value, "S E#") {
			value = value[:len("S E#01748779200000.000000#")] + "…"
		}
		attributes = append(attributes, name+"="+value)
	}
	return strings.Join(attributes, ", ")
}
