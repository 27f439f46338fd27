package dynamo

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/store"
)

// The attributes of an item.
const (
	attrPK        = "pk"        // S, the hash key
	attrSK        = "sk"        // S, the range key
	attrVersion   = "version"   // N, a random number that is new with every put
	attrDoc       = "doc"       // S, the record as JSON
	attrEvent     = "event"     // B, the event of a rejected one, as a segment
	attrTimetable = "timetable" // S, the hash key of the index: a kind and a shard
	attrDue       = "due"       // N, the range key of the index: ms since 1970
	attrExpires   = "expires"   // N, s since 1970: DynamoDB deletes the item some time after
)

// timetableIndex is the sparse index of what is found by time. It has the keys
// alone.
const timetableIndex = "timetable"

// What the keys begin with, or are.
const (
	ofPartition = "P#" // partition key of package event
	ofTenant    = "T#" // tenant
	ofHistory   = "H#" // incarnation, integration, tenant

	skRecord      = "RECORD"
	skTenant      = "TENANT"
	skIndex       = "INDEX"
	toCursor      = "CURSOR#" // integration
	toIntegration = "I#"      // integration
	toRejected    = "R#"      // event id
	toEntry       = "E#"      // time, order
	// skDeleted is the mark of a deleted history. It is behind every entry, so
	// that whoever reads them, the newest first, meets it before all of them.
	skDeleted = "E~DELETED"
)

// The kinds of rows of the timetable.
const (
	kindDue     = "due"     // cursors, at their DueAt
	kindGrace   = "grace"   // completed replays, at their CompletedAt
	kindDeleted = "deleted" // marks of deleted histories, when they can be freed
)

// shards spreads the rows of a kind over so many hash keys, as one takes no
// more than 1,000 writes a second.
const shards = 16

// key names an item.
type key struct{ pk, sk string }

func tenantKey(tenant string) key { return key{ofTenant + tenant, skTenant} }

func integrationKey(tenant, id string) key { return key{ofTenant + tenant, toIntegration + id} }

func recordKey(p event.Partition) key { return key{ofPartition + p.Key(), skRecord} }

func cursorKey(k handoff.Key) key {
	return key{ofPartition + k.Partition().Key(), toCursor + k.Integration}
}

func indexKey(h store.History) key { return key{historyPK(h), skIndex} }

func deletedKey(h store.History) key { return key{historyPK(h), skDeleted} }

func rejectedKey(h store.History, eventID string) key {
	return key{historyPK(h), toRejected + eventID}
}

// entryKey sorts the entries of a history by their time, then by the order of
// their commits.
func entryKey(h store.History, created time.Time, order string) key {
	return key{historyPK(h), entriesFrom(created) + "#" + order}
}

// entriesFrom is before the range key of every entry that was created at the
// given time or later, and behind those of all before. It is the time in ms, of
// 14 digits, and the nanoseconds beyond. Times before 1970 count as 1970.
func entriesFrom(t time.Time) string {
	if t.Before(firstTime) {
		t = firstTime
	}
	if t.After(lastTime) {
		t = lastTime
	}
	return fmt.Sprintf("%s%014d.%06d", toEntry, t.UnixMilli(), t.Nanosecond()%int(time.Millisecond))
}

var (
	firstTime = time.UnixMilli(0)
	lastTime  = time.UnixMilli(99_999_999_999_999) // of 14 digits
)

// escape keeps an integration's id apart from the tenant behind it. An id that
// can be registered is what it is.
var escape = strings.NewReplacer("%", "%25", "#", "%23")

func historyPK(h store.History) string {
	return ofHistory + strconv.FormatUint(h.Incarnation, 10) + "#" + escape.Replace(h.Integration) + "#" + h.Tenant
}

// cursorOf returns what the key of a cursor names; false if it is none.
func cursorOf(k key) (handoff.Key, bool) {
	part, ok1 := strings.CutPrefix(k.pk, ofPartition)
	id, ok2 := strings.CutPrefix(k.sk, toCursor)
	p, ok3 := event.PartitionOf(part)
	return handoff.Key{Tenant: p.Tenant, Integration: id, Lane: p.Lane}, ok1 && ok2 && ok3
}

// integrationOf returns what the key of an integration names; false if it is
// none.
func integrationOf(k key) (tenant, id string, ok bool) {
	tenant, ok1 := strings.CutPrefix(k.pk, ofTenant)
	id, ok2 := strings.CutPrefix(k.sk, toIntegration)
	return tenant, id, ok1 && ok2
}

// timetable is the hash key of the index for an item of a kind.
func timetable(kind string, k key) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(k.pk + "\x00" + k.sk)) // a hash never fails
	return timetableShard(kind, int(h.Sum32()%shards))
}

func timetableShard(kind string, shard int) string { return kind + "#" + strconv.Itoa(shard) }

// attributes is the key as DynamoDB takes it.
func (k key) attributes() item {
	return item{attrPK: text(k.pk), attrSK: text(k.sk)}
}

// keyOf returns the key of an item.
func keyOf(it item) key {
	pk, _ := it[attrPK].(*types.AttributeValueMemberS)
	sk, _ := it[attrSK].(*types.AttributeValueMemberS)
	if pk == nil || sk == nil {
		return key{}
	}
	return key{pk.Value, sk.Value}
}
