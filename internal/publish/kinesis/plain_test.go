package kinesis

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
)

const place = "shardId-000000000006:49590338271490256608559692538361571095921575989136588898"

func TestPlainRecordsAreToldFromOthers(t *testing.T) {
	p := event.Draft{ID: "01890a5d-ac96-774b-bcce-b302099a8057", Name: "order.created", Payload: []byte(`{}`)}
	for text, want := range map[string]bool{
		"": false, string(Encode([]event.Event{p.Stamp("acme", now)})): false, string(EncodeMarker(now)): false,
		"\x03": false, "\x08": false, // of later releases
		`{"tenant":"acme"}`: true, "\t{}": true, "\n{}": true, "\r{}": true, "[]": true, `"e30="`: true, "eyJ9": true, "\xef\xbb\xbf{}": true,
	} {
		if got := IsPlain([]byte(text)); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// The stream redelivers records, and Lambda's time of arrival is a float: however often the
// record is read, the event must be the same.
func TestPlainRecordReadAgainIsTheSameEvent(t *testing.T) {
	arrived := time.UnixMilli(1545084650987)
	draft := event.Draft{Tenant: "acme", Name: "order.created", Payload: []byte(`{}`)}
	first := StampPlain(draft, place, arrived)
	if at, ok := event.TimeOfID(first.ID); !ok || !at.Equal(arrived) || !first.PublishedAt.Equal(arrived) {
		t.Errorf("the id %s has the time %v, the event %v, want %v", first.ID, at, first.PublishedAt, arrived)
	}
	for _, off := range []time.Duration{-12 * time.Nanosecond, 12 * time.Nanosecond} {
		if diff := cmp.Diff(first, StampPlain(draft, place, arrived.Add(off))); diff != "" {
			t.Errorf("read again (-first +again):\n%s", diff)
		}
	}
	for _, other := range []event.Event{StampPlain(draft, place+"0", arrived), StampPlain(draft, place, arrived.Add(time.Millisecond))} {
		if other.ID == first.ID {
			t.Errorf("two records have the id %s", other.ID)
		}
	}
	draft.ID = "01890a5d-ac96-774b-bcce-b302099a8057"
	if e := StampPlain(draft, place, arrived); e.ID != draft.ID {
		t.Errorf("its own id %s became %s", draft.ID, e.ID)
	}
	if want := "0167be38-c5eb-73e2-bd14-c2f479fdde74"; first.ID != want {
		t.Errorf("the id is %s; an earlier release gave %s", first.ID, want)
	}
}

func TestDecodePlainSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"\xf3\x89\x9a\xc2\x0a\x01a":             "decode a plain record: it is an aggregated record of the Kinesis Producer Library; set AggregationEnabled to false there",
		"\xef\xbb\xbf{}":                        "decode a plain record: it begins with a byte order mark; save it as UTF-8 without one",
		"eyJ9":                                  "decode a plain record: ",
		`{"name":"order.created","payload":{}}`: "decode a plain record: tenant is required: the tenant that gets the event.",
		`{"tenant":"acme","name":"a.b","payload":{"a":100}}`: "decode a plain record: The event has 50 bytes; the limit is 49.",
	} {
		if _, err := DecodePlain([]byte(text), 49); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// Whatever the setting allows, an event of a plain record must fit into a record with others'.
func TestLargestPlainRecordIsPut(t *testing.T) {
	s, _ := setup(t)
	text := `{"tenant":"` + strings.Repeat("t", 128) + `","name":"a.b","payload":{"a":""}}`
	text = strings.Replace(text, `""`, `"`+strings.Repeat("x", plainBytes-len(text))+`"`, 1)
	draft, err := DecodePlain([]byte(text), 10<<20)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := s.PutEvents(t.Context(), event.Lanes{Each: 1}, []event.Event{StampPlain(draft, place, now)}); left != nil || err != nil {
		t.Errorf("left %v, %v", left, err)
	}
	if _, err := DecodePlain([]byte(strings.Replace(text, "a.b", "a.bb", 1)), 10<<20); err == nil {
		t.Error("one with a byte more is decoded")
	}
}

func TestPutEventsReportsWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, client := setup(t)
		events := plainEvents("a", "b", "a", "c")
		client.fails = func(_ context.Context, _ int, records []Record) (failed []int, err error) {
			for i, r := range records {
				if r.Partition.Tenant == "a" {
					failed = append(failed, i)
				}
			}
			return failed, nil
		}
		left, err := s.PutEvents(t.Context(), event.Lanes{Each: 1}, events)
		if !slices.Equal(left, []int{0, 2}) || problem.CodeOf(err) != problem.Unavailable {
			t.Errorf("left %v, %v; want 0 and 2", left, err)
		}
	})
}

// Their stamps are their own, and each is in the lane of its id, as if the API had put it.
func TestPutEventsPutsEachInItsLane(t *testing.T) {
	s, client := setup(t)
	events := plainEvents("a", "b", "a", "c", "a", "a")
	if left, err := s.PutEvents(t.Context(), event.Lanes{Each: 16}, events); left != nil || err != nil {
		t.Fatalf("left %v, %v", left, err)
	}
	got := map[string]event.Event{}
	for _, r := range client.records {
		for _, e := range r.Events {
			got[e.ID] = e
			if want := (event.Partition{Tenant: e.Tenant, Lane: event.LaneOf(e.ID, 16)}); r.Partition != want {
				t.Errorf("%s is in %v, want %v", e.ID, r.Partition, want)
			}
		}
	}
	for _, e := range events {
		if diff := cmp.Diff(e, got[e.ID]); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// plainEvents returns an event of each tenant, a millisecond apart.
func plainEvents(tenants ...string) (events []event.Event) {
	for i, d := range drafts(len(tenants), 10) {
		d.Tenant = tenants[i]
		events = append(events, StampPlain(d, place, now.Add(time.Duration(i)*time.Millisecond)))
	}
	return events
}

// Whatever a producer puts, what is decoded is an event that the API could have put.
func FuzzDecodePlain(f *testing.F) {
	for _, text := range []string{
		`{"tenant":"acme","name":"order.created","payload":{"n":1.50}}`, ` {"payload":{"a":"\u2028<"},"tenant":"a\"b","name":"a.b","id":null}`,
		"{}", "[", "\xf3\x89\x9a\xc2", `{"tenant":"a","name":"a.b","payload":{"a":{"a":{}}}} {}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		draft, err := DecodePlain(data, 1000)
		if err != nil {
			return
		}
		e := StampPlain(draft, place, now)
		r, err := Decode(event.Partition{Tenant: e.Tenant}.Key(), Encode([]event.Event{e}))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]event.Event{e}, r.Events); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if !event.ValidID(e.ID) || !event.ValidName(e.Name) || !json.Valid(e.Body) || bytes.ContainsRune(e.Body, '\n') {
			t.Errorf("%+v with the body %s", e, e.Body)
		}
	})
}
