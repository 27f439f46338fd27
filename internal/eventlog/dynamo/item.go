package dynamo

import (
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// item is a segment as it is stored. What was not asked for is zero.
type item struct {
	number      uint64
	count       int
	bytes       int
	first, last int64 // ms
	mark        eventlog.Mark
	nonce       uint64
	expires     int64 // s
	data        []byte
	object      string
}

// describe fills in what the item says of its events.
func (it *item) describe(events []event.Event) {
	it.count = len(events)
	it.first = events[0].PublishedAt.UnixMilli()
	it.last = it.first
	for i := range events {
		ms := events[i].PublishedAt.UnixMilli()
		it.first, it.last = min(it.first, ms), max(it.last, ms)
		it.bytes += len(events[i].Body)
	}
}

func (it *item) attributes(p event.Partition) map[string]types.AttributeValue {
	attrs := itemKey(p, numberKey(it.number))
	attrs[attrCount] = number(it.count)
	attrs[attrBytes] = number(it.bytes)
	attrs[attrFirst] = number(it.first)
	attrs[attrLast] = number(it.last)
	attrs[attrNonce] = number(it.nonce)
	attrs[attrExpires] = number(it.expires)
	if it.mark.Source != "" {
		attrs[attrSource] = text(it.mark.Source)
		attrs[attrSequence] = text(it.mark.Sequence)
	}
	if it.object != "" {
		attrs[attrObject] = text(it.object)
	} else {
		attrs[attrData] = &types.AttributeValueMemberB{Value: it.data}
	}
	return attrs
}

func itemOf(attrs map[string]types.AttributeValue) item {
	n, _ := strconv.ParseUint(textIn(attrs, attrSK), 10, 64) // only numbers are asked for
	it := item{
		number: n, count: int(intIn(attrs, attrCount)), bytes: int(intIn(attrs, attrBytes)),
		first: intIn(attrs, attrFirst), last: intIn(attrs, attrLast),
		mark:  eventlog.Mark{Source: textIn(attrs, attrSource), Sequence: textIn(attrs, attrSequence)},
		nonce: uintIn(attrs, attrNonce), expires: intIn(attrs, attrExpires), object: textIn(attrs, attrObject),
	}
	if v, ok := attrs[attrData].(*types.AttributeValueMemberB); ok {
		it.data = v.Value
	}
	return it
}

func (it *item) expired(now time.Time) bool { return now.Unix() >= it.expires }
