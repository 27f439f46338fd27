package event

import "time"

// Filter is what an integration wants of the log. The zero Filter passes
// every event.
type Filter struct {
	Names    []string  `json:"names,omitzero"`    // event names, and/or
	Entities []string  `json:"entities,omitzero"` // entities; an event passes by either
	From     time.Time `json:"from,omitzero"`     // published at or after, unless zero
	Until    time.Time `json:"until,omitzero"`    // published at or before, unless zero
}

// Pass reports whether the event is wanted. The lists are short (at most 100
// names each), so they are searched as they stand.
func (f *Filter) Pass(e *Event) bool {
	if !f.From.IsZero() && e.PublishedAt.Before(f.From) {
		return false
	}
	if !f.Until.IsZero() && e.PublishedAt.After(f.Until) {
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
