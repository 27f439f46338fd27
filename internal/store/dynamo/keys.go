package dynamo

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// Sort keys, and the prefixes of those that contain a name.
const (
	skPartition = "RECORD"
	skTenant    = "TENANT"
	skDataKey   = "DATAKEY"
	skLanes     = "LANES"
	skCount     = "INDEX" // an earlier release had the whole list there
	// skDeleted is the tombstone of a deleted history. It sorts after every entry:
	// a query that reads the newest entries first returns it before all of them.
	skDeleted = "E~DELETED"

	cursorPrefix      = "CURSOR#" // integration
	integrationPrefix = "I#"      // integration
	rejectedPrefix    = "R#"      // event id
	listPrefix        = "L#"      // time, event id
	entryPrefix       = "E#"      // time, order
	alertPrefix       = "A#"      // number
)

// The kinds of items in the due index.
const (
	kindDue     = "due"     // cursors, at their DueAt
	kindExpired = "grace"   // completed replays, at their CompletedAt
	kindDeleted = "deleted" // tombstones of histories, at the time they can be freed
	kindAlert   = "alert"   // alerts, at their DueAt
	kindTrouble = "trouble" // integrations that are in trouble, at their Alerts.Since
)

// shards is how many partition keys of the due index the items of a kind are
// spread over: DynamoDB allows 1,000 writes per second to each.
const shards = 16

// key is the primary key of an item.
type key = dynamotable.Key

func newKey(pk, sk string) key { return key{PK: pk, SK: sk} }

func tenantKey(tenant string) key { return newKey(dynamotable.TenantPrefix+tenant, skTenant) }

// lanesKey is that of a record of all tenants: no tenant has an empty name.
var lanesKey = newKey(dynamotable.TenantPrefix, skLanes)

func integrationKey(tenant, id string) key {
	return newKey(dynamotable.TenantPrefix+tenant, integrationPrefix+id)
}

func recordKey(p event.Partition) key {
	return newKey(dynamotable.PartitionPrefix+p.Key(), skPartition)
}

func cursorKey(k handoff.Key) key {
	return newKey(dynamotable.PartitionPrefix+k.Partition().Key(), cursorPrefix+k.Integration)
}

func countKey(h store.History) key { return newKey(historyPK(h), skCount) }

func deletedKey(h store.History) key { return newKey(historyPK(h), skDeleted) }

func rejectedKey(h store.History, eventID string) key {
	return newKey(historyPK(h), rejectedPrefix+eventID)
}

// listKey sorts the rejected events of a history by time, then by their ids.
func listKey(h store.History, ref integration.RejectedRef) key {
	return newKey(historyPK(h), listPrefix+sortableTime(ref.CreatedAt)+"#"+ref.EventID)
}

func alertKey(a *store.Alert) key {
	return newKey(historyPK(a.History), alertPrefix+fmt.Sprintf("%020d", a.Number))
}

func testsKey(h store.History, minute time.Time) key {
	return newKey(historyPK(h), testsPrefix+strconv.FormatInt(minute.Unix(), 10))
}

// entryKey sorts the entries of a history by time, then by order, see entryOrder.
func entryKey(h store.History, created time.Time, order string) key {
	return newKey(historyPK(h), entriesFrom(created)+"#"+order)
}

// entriesFrom returns a sort key that is before that of every entry created at
// the given time or later, and after all earlier ones.
func entriesFrom(t time.Time) string { return entryPrefix + sortableTime(t) }

// sortableTime returns a time as 14 digits of ms and 6 of ns. Times before 1970 count as 1970.
func sortableTime(t time.Time) string {
	if t.Before(firstTime) {
		t = firstTime
	}
	if t.After(lastTime) {
		t = lastTime
	}
	return fmt.Sprintf("%014d.%06d", t.UnixMilli(), t.Nanosecond()%int(time.Millisecond))
}

var (
	firstTime = time.UnixMilli(0)
	lastTime  = time.UnixMilli(99_999_999_999_999) // of 14 digits
)

// escape separates an integration's id from the tenant after it. It does not
// change ids that can be registered.
var escape = strings.NewReplacer("%", "%25", "#", "%23")

func historyPK(h store.History) string {
	return dynamotable.HistoryPrefix + strconv.FormatUint(h.Incarnation, 10) + "#" + escape.Replace(h.Integration) + "#" + h.Tenant
}

// cursorOf parses the key of a cursor; false if it is another key.
func cursorOf(k key) (handoff.Key, bool) {
	part, ok1 := strings.CutPrefix(k.PK, dynamotable.PartitionPrefix)
	id, ok2 := strings.CutPrefix(k.SK, cursorPrefix)
	p, ok3 := event.PartitionOf(part)
	return handoff.Key{Tenant: p.Tenant, Integration: id, Lane: p.Lane}, ok1 && ok2 && ok3
}

// integrationOf parses the key of an integration; false if it is another key.
func integrationOf(k key) (tenant, id string, ok bool) {
	tenant, ok1 := strings.CutPrefix(k.PK, dynamotable.TenantPrefix)
	id, ok2 := strings.CutPrefix(k.SK, integrationPrefix)
	return tenant, id, ok1 && ok2
}

// dueShardOf returns the partition key in the due index for an item of a kind.
func dueShardOf(kind string, k key) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(k.PK + "\x00" + k.SK)) // a hash never fails
	return dueShard(kind, int(h.Sum32()%shards))
}

func dueShard(kind string, shard int) string { return kind + "#" + strconv.Itoa(shard) }
