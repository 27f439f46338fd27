package event_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
)

func TestFilterPasses(t *testing.T) {
	for _, c := range []struct {
		name   string
		filter event.Filter
		event  string
		want   bool
	}{
		{"no conditions", event.Filter{}, "order.created", true},
		{"its name", event.Filter{Names: []string{"order.created"}}, "order.created", true},
		{"the last of many names", event.Filter{Names: []string{"a.b", "c.d", "order.created"}}, "order.created", true},
		{"another name", event.Filter{Names: []string{"order.updated"}}, "order.created", false},
		{"the beginning of its name", event.Filter{Names: []string{"order.create"}}, "order.created", false},
		{"its entity among names", event.Filter{Names: []string{"order"}}, "order.created", false},
		{"its entity", event.Filter{Entities: []string{"order"}}, "order.created", true},
		{"the last of many entities", event.Filter{Entities: []string{"a", "b", "order"}}, "order.created", true},
		{"another entity", event.Filter{Entities: []string{"return"}}, "order.created", false},
		{"the beginning of its entity", event.Filter{Entities: []string{"order"}}, "orders.created", false},
		{"an entity that its own begins", event.Filter{Entities: []string{"orders"}}, "order.created", false},
		{"its name among entities", event.Filter{Entities: []string{"order.created"}}, "order.created", false},
		{"its name, not its entity", event.Filter{Names: []string{"order.created"}, Entities: []string{"return"}}, "order.created", true},
		{"its entity, not its name", event.Filter{Names: []string{"return.sent"}, Entities: []string{"order"}}, "order.created", true},
		{"neither", event.Filter{Names: []string{"return.sent"}, Entities: []string{"return"}}, "order.created", false},
	} {
		if got := c.filter.Pass(&event.Event{Name: c.event, PublishedAt: time.UnixMilli(1)}); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// A replay includes both ends of its time span: [starts_at, ends_at].
func TestFilterIncludesItsEnds(t *testing.T) {
	from := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	until := from.Add(time.Hour)
	for _, c := range []struct {
		name string
		at   time.Time
		want bool
	}{
		{"a millisecond before", from.Add(-time.Millisecond), false},
		{"the first moment", from, true},
		{"the first moment, of another zone", from.In(time.FixedZone("", 3600)), true},
		{"within", from.Add(time.Minute), true},
		{"the last moment", until, true},
		{"the last moment, of another zone", until.In(time.FixedZone("", -3600)), true},
		{"a millisecond after", until.Add(time.Millisecond), false},
	} {
		e := &event.Event{Name: "order.created", PublishedAt: c.at}
		for what, f := range map[string]struct {
			filter event.Filter
			want   bool
		}{
			"both ends":            {event.Filter{From: from, Until: until}, c.want},
			"both ends and a name": {event.Filter{From: from, Until: until, Names: []string{"order.created"}}, c.want},
			"both ends, not named": {event.Filter{From: from, Until: until, Names: []string{"order.updated"}}, false},
			"from alone":           {event.Filter{From: from}, !c.at.Before(from)},
			"until alone":          {event.Filter{Until: until}, !c.at.After(until)},
		} {
			if got := f.filter.Pass(e); got != f.want {
				t.Errorf("%s, %s: %v, want %v", c.name, what, got, f.want)
			}
		}
	}
}

// Filters are stored with their integration.
func TestFilterIsStoredAs(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123_000_000, time.UTC)
	for text, f := range map[string]event.Filter{
		`{}`: {},
		`{"names":["order.created"],"entities":["return"],"from":"2026-03-01T12:00:00.123Z","until":"2026-03-01T13:00:00.123Z"}`: {
			Names: []string{"order.created"}, Entities: []string{"return"}, From: at, Until: at.Add(time.Hour),
		},
	} {
		if got, err := json.Marshal(f); err != nil || string(got) != text {
			t.Errorf("%+v is %s, %v, want %s", f, got, err, text)
		}
		var got event.Filter
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(f, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}
