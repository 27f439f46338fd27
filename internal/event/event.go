// Package event defines the event, its name, the filter that integrations apply
// to events, and the partition an event belongs to.
package event

import (
	"cmp"
	"hash/fnv"
	"strconv"
	"strings"
	"time"
)

// Event is one published event. It is immutable once stamped: all deliveries
// share Body, which must not be modified.
type Event struct {
	ID          string    // UUID in lower case
	Tenant      string    //
	Name        string    // e.g. "order.items_cancelled"
	PublishedAt time.Time // UTC, whole milliseconds
	Body        []byte    // the JSON object that receivers get; contains no newline
}

// Draft is a valid event that is not published yet: Stamp adds its tenant and
// time.
type Draft struct {
	ID      string
	Tenant  string // "": the one that Stamp is given
	Name    string
	Payload []byte // compact JSON object
}

// Stamp returns the draft as an event of its own tenant, or of the given one if it names
// none. The time is truncated to milliseconds.
func (d Draft) Stamp(tenant string, at time.Time) Event {
	tenant = cmp.Or(d.Tenant, tenant)
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

// appendString appends s as a JSON string. A tenant comes from a claim of an
// access token, so unlike ids and names it can contain any character.
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

// Entity returns the part of an event name before the first dot: "order" for
// "order.items_cancelled".
func Entity(name string) string {
	entity, _, _ := strings.Cut(name, ".")
	return entity
}

// MaxNameLength is the maximum length of an event or entity name, in bytes.
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

// Partition is one lane of one tenant: the unit of ordering and of scale.
type Partition struct {
	Tenant string
	Lane   int // from 0
}

// Key returns the partition as a string for keys outside the process: lane and
// tenant, as in 0#acme. PartitionOf parses it.
func (p Partition) Key() string { return strconv.Itoa(p.Lane) + "#" + p.Tenant }

// PartitionOf parses the Key of a partition; false if it is not one.
func PartitionOf(key string) (Partition, bool) {
	number, tenant, found := strings.Cut(key, "#")
	lane, err := strconv.Atoi(number)
	p := Partition{Tenant: tenant, Lane: lane}
	if !found || err != nil || lane < 0 || tenant == "" || p.Key() != key {
		return Partition{}, false
	}
	return p, true
}

// Lanes says over how many lanes the events of each tenant are spread.
type Lanes struct {
	Each int            // at least
	Own  map[string]int // of those tenants that may have more; not modified any more
}

// Of returns how many lanes the events of a tenant are spread over.
func (l Lanes) Of(tenant string) int { return max(l.Each, l.Own[tenant]) }

// PartitionOf returns the partition of a tenant's event with the given id.
func (l Lanes) PartitionOf(tenant, id string) Partition {
	return Partition{Tenant: tenant, Lane: LaneOf(id, l.Of(tenant))}
}

// LaneOf returns the lane of an event id, in [0, lanes). It is a stable hash: an
// id has the same lane on every host and in every release.
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

// TimeOfID returns the time, in whole milliseconds, that a UUIDv7 begins with (RFC 9562,
// section 5.7); false for any other id.
func TimeOfID(id string) (time.Time, bool) {
	const version, variant = 14, 19
	if !ValidID(id) || id[version] != '7' || !strings.ContainsRune("89abAB", rune(id[variant])) {
		return time.Time{}, false
	}
	ms, err := strconv.ParseInt(id[:8]+id[9:13], 16, 64)
	return time.UnixMilli(ms).UTC(), err == nil
}
