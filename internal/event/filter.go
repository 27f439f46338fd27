package event

import "time"

// Filter selects the events of an integration. The zero Filter passes every
// event.
type Filter struct {
	Names    []string  `json:"names,omitzero"`    // event names
	Entities []string  `json:"entities,omitzero"` // entity names; an event passes if either list has it
	From     time.Time `json:"from,omitzero"`     // published at or after, unless zero
	Until    time.Time `json:"until,omitzero"`    // published at or before, unless zero
}

// Covers reports whether the event was published in the filter's time span.
func (f *Filter) Covers(e *Event) bool {
	if !f.From.IsZero() && e.PublishedAt.Before(f.From) {
		return false
	}
	return f.Until.IsZero() || !e.PublishedAt.After(f.Until)
}

// Pass reports whether the event passes the filter. The lists are short (at most
// 100 names each), so a linear search is enough.
func (f *Filter) Pass(e *Event) bool {
	if !f.Covers(e) {
		return false
	}
	if len(f.Names) == 0 && len(f.Entities) == 0 {
		return true
	}
	for _, name := range f.Names {
		if name == e.Name {
			return true
		}
	}
	if len(f.Entities) == 0 {
		return false
	}
	entity := Entity(e.Name)
	for _, wanted := range f.Entities {
		if wanted == entity {
			return true
		}
	}
	return false
}
