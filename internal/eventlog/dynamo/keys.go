package dynamo

import (
	"fmt"
	"hash/fnv"
	"net/url"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/event"
)

// Attribute names for expressions. Package dynamotable has the others.
const (
	attrFirst    = "first"
	attrLast     = "last"
	attrSource   = "source"
	attrSequence = "sequence"
	attrAt       = "at"
	attrNumber   = "number"
	attrCount    = "count"
	attrBytes    = "bytes"
	attrEvents   = "events"
	attrSize     = "size"
	attrSince    = "since"
)

// The sort keys of a partition's other items. They sort after all numbers, so that no
// range of numbers includes them.
const (
	skWatermark = "BARRIER"
	skLate      = "BELATED"
	skMarker    = "HEAD"
)

// The partition keys of the due index for markers: DynamoDB allows 1,000 writes a second to
// each. An earlier release put all markers under oldMarkerShard; they are found there until they
// are raised.
const (
	oldMarkerShard = "heads"
	markerShards   = 16
)

// markerShardOf returns the partition key of the due index for the marker of a partition.
func markerShardOf(p event.Partition) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(p.Key())) // a hash never fails
	return markerShard(int(h.Sum32() % markerShards))
}

func markerShard(n int) string { return oldMarkerShard + "#" + strconv.Itoa(n) }

// key is the primary key of an item.
type key = dynamotable.Key

func newKey(p event.Partition, sk string) key {
	return key{PK: dynamotable.SegmentPrefix + p.Key(), SK: sk}
}

// partitionOf returns the partition of a key; false if the key is of another kind.
func partitionOf(k key) (event.Partition, bool) {
	part, found := strings.CutPrefix(k.PK, dynamotable.SegmentPrefix)
	p, ok := event.PartitionOf(part)
	return p, found && ok
}

// maxNumber is the largest segment number; it has 20 digits.
const maxNumber = ^uint64(0)

func segmentKey(p event.Partition, number uint64) key { return newKey(p, digits(number)) }

// digits formats a number so that it sorts numerically.
func digits(number uint64) string { return fmt.Sprintf("%020d", number) }

// objectKey returns the key of a segment's object. It begins with a hash, because S3
// partitions a bucket by key prefix. It ends with the nonce, so that the object of a
// segment that lost the race for its number is never read as the winner's.
func objectKey(p event.Partition, number, nonce uint64) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(p.Key())) // a hash never fails
	return fmt.Sprintf("log/%02x/%s/%s-%016x.zst", h.Sum32()&0xff, url.PathEscape(p.Key()), digits(number), nonce)
}
