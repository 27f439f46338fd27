package dynamo

import (
	"encoding/json"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
)

// attributes is an item in the form of the DynamoDB API.
type attributes = map[string]types.AttributeValue

// item is a stored record. A field is zero if the item lacks its attribute.
type item struct {
	key
	Version  uint64 `dynamodbav:"version,omitempty"`   // random, changes with every put
	Doc      string `dynamodbav:"doc,omitempty"`       // the record as JSON
	Event    []byte `dynamodbav:"event,omitempty"`     // of a rejected event, as a segment
	Count    string `dynamodbav:"list,omitempty"`      // of the list of rejected events, as JSON
	First    uint64 `dynamodbav:"first,omitempty"`     // segment of a delivery record
	Last     uint64 `dynamodbav:"last,omitempty"`      // segment of a delivery record
	Data     []byte `dynamodbav:"data,omitempty"`      // of a delivery record, packed
	DueShard string `dynamodbav:"timetable,omitempty"` // see package dynamotable
	Due      *int64 `dynamodbav:"due,omitempty"`       // ms since 1970; 0 is a due time too
	Expires  int64  `dynamodbav:"expires,omitempty"`   // s since 1970
}

// newItem returns the item for a record, without a version.
func newItem(k key, record any) (*item, error) {
	doc, err := json.Marshal(record)
	if err != nil {
		return nil, problem.Wrap(err, problem.Internal, "cannot encode %T", record)
	}
	return &item{key: k, Doc: string(doc)}, nil
}

// itemOf decodes attributes. Fields that a projection left out are zero.
func itemOf(attrs attributes) (*item, error) {
	it := &item{}
	if err := attributevalue.UnmarshalMap(attrs, it); err != nil {
		return nil, problem.Wrap(err, problem.Internal, "stored item %q %q has an attribute of the wrong type", it.PK, it.SK)
	}
	return it, nil
}

// versionOf returns the version of a stored item; 0 if it has none.
func versionOf(attrs attributes) uint64 {
	it, err := itemOf(attrs)
	if err != nil {
		return 0
	}
	return it.Version
}

// nonce returns a new version: random, never 0, and in practice never reused.
func nonce() uint64 {
	for {
		if n := rand.Uint64(); n != 0 {
			return n
		}
	}
}

// dueAt adds the item to the due index, unless the time is zero.
func (it *item) dueAt(kind string, t time.Time) {
	if t.IsZero() {
		return
	}
	due := dueMillis(t)
	it.DueShard, it.Due = dueShardOf(kind, it.key), &due
}

// dueMillis returns a time as the due index has it: in milliseconds, rounded up,
// so that nothing is due too early.
func dueMillis(t time.Time) int64 { return t.Add(time.Millisecond - 1).UnixMilli() }

// expires returns the TTL of an item: when it may be deleted, in seconds since
// 1970, rounded up.
func expires(made time.Time, after time.Duration) int64 {
	return made.Add(after + time.Second - 1).Unix()
}

// decode decodes an item's JSON into a record.
func (it *item) decode(record any) error {
	if it.Doc == "" {
		return problem.New(problem.Internal, "stored item %q %q has no doc", it.PK, it.SK)
	}
	if err := json.Unmarshal([]byte(it.Doc), record); err != nil {
		return problem.Wrap(err, problem.Internal, "cannot decode the stored %T", record)
	}
	return nil
}

// decodeVersioned decodes an item into a record that has a version. An item
// without one is damaged: no conditional write to it could ever succeed.
func (it *item) decodeVersioned(record any, version *uint64) error {
	if *version = it.Version; it.Version == 0 {
		return problem.New(problem.Internal, "stored item %q %q has no version", it.PK, it.SK)
	}
	return it.decode(record)
}

func (it *item) integration() (*integration.Integration, error) {
	in := &integration.Integration{}
	if err := it.decodeVersioned(in, &in.Version); err != nil {
		return nil, err
	}
	tenant, id, ok := integrationOf(it.key)
	if !ok {
		return nil, problem.New(problem.Internal, "stored item %q %q is not an integration", it.PK, it.SK)
	}
	in.Tenant, in.ID = tenant, id
	return in, nil
}
