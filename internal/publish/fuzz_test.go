package publish_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/idempotency"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/publish"
	"github.com/sluicehq/sluice/internal/settings"
)

// FuzzPublish compares accepted bodies with what encoding/json reads.
func FuzzPublish(f *testing.F) {
	for _, s := range []string{
		`{"id":"` + uuidA + `","name":"order.created","payload":{"n":1.0,"s":"\u00e9 é"}}`,
		`{"events":[{"name":"a.b","payload":{"x":[ 1 , {"y":null}]}},{"name":"c.d","payload":{}}]}`,
		"{\"name\":\"a.b\",\"payload\":{}}\n\n{\"name\":\"a.b\",\"payload\":{\"a\":\"b\"}}\r\n",
		`{"events":[{"tenant":"x"}]}`, `{"name":"a.b","payload":{"a":1,"a":2}}`, `[[[`, `{"events":[]}x`,
	} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, body string, lines bool) {
		s, log := setup()
		format := publish.JSON
		if lines {
			format = publish.NDJSON
		}
		ids, err := s.Publish(t.Context(), publish.Call{Tenant: "acme", Format: format, Body: []byte(body)})
		if err != nil {
			e, ok := errors.AsType[*problem.Error](err)
			if !ok || e.Code == problem.Internal || log.calls != 0 || e.Message == "" {
				t.Fatalf("%v, %d calls of the log", err, log.calls)
			}
			return
		}
		want := reference(t, body, lines)
		if len(ids) != len(log.drafts) || len(want) != len(ids) {
			t.Fatalf("%d ids, %d drafts, %d events", len(ids), len(log.drafts), len(want))
		}
		for i, d := range log.drafts {
			checkDraft(t, d, want[i])
		}
	})
}

type given struct {
	Name    string
	Payload json.RawMessage
}

func reference(t *testing.T, body string, lines bool) []given {
	dec := json.NewDecoder(bytes.NewReader([]byte(body)))
	var all []given
	for dec.More() {
		var one struct {
			given
			Events []given
		}
		if err := dec.Decode(&one); err != nil {
			t.Fatal(err)
		}
		if one.Events != nil {
			return one.Events
		}
		all = append(all, one.given)
		if !lines && dec.More() {
			t.Fatal("a second value was accepted")
		}
	}
	return all
}

func checkDraft(t *testing.T, d event.Draft, want given) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, want.Payload); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(compact.String(), string(d.Payload)); diff != "" || bytes.ContainsAny(d.Payload, "\n\r") {
		t.Error(diff)
	}
	if !event.ValidName(d.Name) || d.Name != want.Name || len(d.ID) != 36 {
		t.Errorf("draft %+v", d)
	}
}

func BenchmarkPublish1000(b *testing.B) {
	for _, tt := range []struct {
		name         string
		format       publish.Format
		open, sep    string
		close, space string
	}{
		{name: "json", open: `{"events":[`, sep: ",", close: "]}"},
		{name: "json-spaced", open: `{"events":[`, sep: ",", close: "]}", space: " "},
		{name: "ndjson", format: publish.NDJSON, sep: "\n"},
	} {
		b.Run(tt.name, func(b *testing.B) {
			var body bytes.Buffer
			body.WriteString(tt.open)
			for i := range 1000 {
				if i > 0 {
					body.WriteString(tt.sep)
				}
				fmt.Fprintf(&body, `{"id":"01890a5d-ac96-774b-bcce-%012d","name":"order.items_cancelled","payload":{%s"order_id":"O-%d","items":[{"sku":"SKU-1","quantity":2,"price":{"amount":1999,"currency":"EUR"}},{"sku":"SKU-2","quantity":1,"price":{"amount":599,"currency":"EUR"}}],"reason":"customer changed mind","tags":["a","b","c"]}}`, i, tt.space, i)
			}
			body.WriteString(tt.close)
			s := settings.Default()
			s.Lanes = 3
			service := publish.New(new(dropped), s)
			given := make([]byte, body.Len())
			b.SetBytes(int64(body.Len()))
			b.ReportAllocs()
			for b.Loop() {
				copy(given, body.Bytes())
				if _, err := service.Publish(b.Context(), publish.Call{Tenant: "acme", Format: tt.format, Body: given}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type dropped struct{}

func (*dropped) Publish(context.Context, string, event.Lanes, []event.Draft) error { return nil }

func (*dropped) PublishOnce(context.Context, idempotency.Key, event.Lanes, []event.Draft) error {
	return nil
}
