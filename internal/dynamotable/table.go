// Package dynamotable defines the parts of the main DynamoDB table that the store and the
// log share: the primary key, the due index and the time to live. template.yaml creates
// the table, and that of the segments, with the same key and time to live. The adapters add
// their own attributes.
package dynamotable

import "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

// The names of the shared attributes, for expressions.
const (
	PK       = "pk"        // S, the partition key
	SK       = "sk"        // S, the sort key
	DueShard = "timetable" // S, the partition key of DueIndex: a kind of item, and a shard
	Due      = "due"       // N, the sort key of DueIndex: ms since 1970
	Expires  = "expires"   // N, the time to live: s since 1970
)

// DueIndex is the global secondary index of the items that have a due time. It
// projects only the keys.
const DueIndex = "timetable"

// The prefixes of the partition keys, one for each kind of item.
const (
	PartitionPrefix = "P#" // partition states and cursors: lane, tenant
	TenantPrefix    = "T#" // tenants and integrations: tenant
	HistoryPrefix   = "H#" // log entries and rejected events: incarnation, integration, tenant
	SegmentPrefix   = "S#" // the log, in both tables: lane, tenant
	OncePrefix      = "O#" // idempotency keys: tenant, key
	DeliveryPrefix  = "D#" // delivery records: lane, tenant
	DataKeyPrefix   = "K#" // encrypted data keys: month, number
)

// Key is the primary key of an item. Item types embed it.
type Key struct {
	PK string `dynamodbav:"pk"`
	SK string `dynamodbav:"sk"`
}

// Attributes returns the key as DynamoDB's API takes it.
func (k Key) Attributes() map[string]types.AttributeValue {
	return map[string]types.AttributeValue{
		PK: &types.AttributeValueMemberS{Value: k.PK},
		SK: &types.AttributeValueMemberS{Value: k.SK},
	}
}
