package dynamo

import (
	"fmt"
	"hash/fnv"
	"net/url"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/event"
)

// The attributes of an item. In expressions each is written as its #name.
const (
	attrPK        = "pk"
	attrSK        = "sk"
	attrCount     = "count"     // how many events
	attrBytes     = "bytes"     // of their bodies
	attrFirst     = "first"     // the earliest published_at, in ms; of a note, in all its segments
	attrLast      = "last"      // the latest
	attrSource    = "source"    // how far which stream was appended
	attrSequence  = "sequence"  //
	attrNonce     = "nonce"     // of the put that made the item
	attrData      = "data"      // the events, or
	attrObject    = "object"    // the key of the object that has them
	attrExpires   = "expires"   // in s; DynamoDB removes the item some time after it
	attrAt        = "at"        // of a barrier, in ms
	attrNumber    = "number"    // of a marker or a note
	attrTimetable = "timetable" // of a marker: heads
	attrDue       = "due"       // of a marker, in ms
)

// The items of a partition. The names lie after all numbers, so that no range of
// numbers has them in it.
const (
	barrierKey = "BARRIER"
	belatedKey = "BELATED"
	markerKey  = "HEAD"

	timetableIndex = "timetable"
	headsTimetable = "heads"
)

const partitionPrefix = "S#"

func partitionKey(p event.Partition) string { return partitionPrefix + p.Key() }

// partitionOf returns the partition of a key; false if it is none.
func partitionOf(key string) (event.Partition, bool) {
	key, found := strings.CutPrefix(key, partitionPrefix)
	p, ok := event.PartitionOf(key)
	return p, found && ok
}

// maxNumber is the largest number a segment can have; it has 20 digits.
const maxNumber = ^uint64(0)

func numberKey(number uint64) string { return fmt.Sprintf("%020d", number) }

func itemKey(p event.Partition, sk string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{attrPK: text(partitionKey(p)), attrSK: text(sk)}
}

// objectKey is the key of a segment's object. It begins with a hash, as S3
// spreads load by the beginning of keys, and ends with the nonce: what lost the
// race for a number is never taken for what won it.
func objectKey(p event.Partition, number, nonce uint64) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(p.Key())) // a hash never fails
	return fmt.Sprintf("log/%02x/%s/%s-%016x.zst", h.Sum32()&0xff, url.PathEscape(p.Key()), numberKey(number), nonce)
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number[T int | int64 | uint64](n T) types.AttributeValue {
	if n < 0 {
		return &types.AttributeValueMemberN{Value: strconv.FormatInt(int64(n), 10)}
	}
	return &types.AttributeValueMemberN{Value: strconv.FormatUint(uint64(n), 10)}
}

func textIn(attrs map[string]types.AttributeValue, name string) string {
	if v, ok := attrs[name].(*types.AttributeValueMemberS); ok {
		return v.Value
	}
	return ""
}

func intIn(attrs map[string]types.AttributeValue, name string) int64 {
	if v, ok := attrs[name].(*types.AttributeValueMemberN); ok {
		n, _ := strconv.ParseInt(v.Value, 10, 64) // written by this package
		return n
	}
	return 0
}

func uintIn(attrs map[string]types.AttributeValue, name string) uint64 {
	if v, ok := attrs[name].(*types.AttributeValueMemberN); ok {
		n, _ := strconv.ParseUint(v.Value, 10, 64)
		return n
	}
	return 0
}
