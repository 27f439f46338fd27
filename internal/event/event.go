// Package event has the event, its name, the filter over names, and the
// partition it belongs to.
package event

import (
	"hash/fnv"
	"strconv"
	"strings"
	"time"
)

// Event is one published event. It is immutable once stamped: Body is shared
// by every delivery of it and must not be written to.
type Event struct {
	ID          string    // UUID in lower case
	Tenant      string    //
	Name        string    // e.g. "order.items_cancelled"
	PublishedAt time.Time // UTC, whole milliseconds
	Body        []byte    // the JSON object as it is sent, without a newline in it
}

// Draft is an event that is valid but not published yet: it gets its tenant
// and time from the service when it is stamped.
type Draft struct {
	ID      string
	Name    string
	Payload []byte // compact JSON object
}

// Stamp makes the event of a draft. The time is cut to milliseconds.
func (d Draft) Stamp(tenant string, at time.Time) Event {
	at = at.UTC().Truncate(time.Millisecond)
	body := make([]byte, 0, len(d.Payload)+len(d.ID)+len(tenant)+len(d.Name)+96)
	body = append(body, `{"id":"`...)
	body = append(body, d.ID...)
	body = append(body, `","tenant":`...)
	body = appendString(body, tenant)
	body = append(body, `,"name":"`...)
	body = append(body, d.Name...)
	body = append(body, `","published_at":"`...)
	body = at.AppendFormat(body, TimeLayout)
	body = append(body, `","payload":`...)
	body = append(body, d.Payload...)
	body = append(body, '}')
	return Event{ID: d.ID, Tenant: tenant, Name: d.Name, PublishedAt: at, Body: body}
}

// appendString appends s as a JSON string. A tenant comes from an access
// token's claim, so unlike ids and names it can hold any character.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// Entity is the part of an event name before the first dot: "order" of
// "order.items_cancelled".
func Entity(name string) string {
	entity, _, _ := strings.Cut(name, ".")
	return entity
}

// MaxNameLength is the longest event or entity name, in bytes.
const MaxNameLength = 128

// ValidName reports whether s is an event name: at least two words of
// [a-z][a-z0-9_]*, joined by dots, of at most MaxNameLength bytes.
func ValidName(s string) bool {
	entity, rest, dotted := strings.Cut(s, ".")
	if !dotted || len(s) > MaxNameLength || !validWord(entity) {
		return false
	}
	for word := range strings.SplitSeq(rest, ".") {
		if !validWord(word) {
			return false
		}
	}
	return true
}

// ValidEntity reports whether s is an entity name: one word of a name.
func ValidEntity(s string) bool { return len(s) <= MaxNameLength && validWord(s) }

func validWord(s string) bool {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// Partition is the unit of order and of scale: one lane of one tenant.
type Partition struct {
	Tenant string
	Lane   int // from 0
}

// Key is the partition as one text, for keys outside of the process: the lane
// and the tenant, as 0#acme. PartitionOf reads it again.
func (p Partition) Key() string { return strconv.Itoa(p.Lane) + "#" + p.Tenant }

// PartitionOf returns the partition with the given Key; false if it is none.
func PartitionOf(key string) (Partition, bool) {
	number, tenant, found := strings.Cut(key, "#")
	lane, err := strconv.Atoi(number)
	p := Partition{Tenant: tenant, Lane: lane}
	if !found || err != nil || lane < 0 || tenant == "" || p.Key() != key {
		return Partition{}, false
	}
	return p, true
}

// LaneOf returns the lane of an event id among the tenant's lanes. It is a
// stable hash: the same id lands in the same lane on every host and release.
func LaneOf(id string, lanes int) int {
	if lanes <= 1 {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // a hash never fails
	return int(h.Sum32() % uint32(lanes))
}

// ValidID reports whether s can be the id of an event: a UUID in its common form
// of 36 characters, in either case, of any version.
func ValidID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return false
			}
		}
	}
	return true
}
