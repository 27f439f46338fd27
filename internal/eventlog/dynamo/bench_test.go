package dynamo

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// BenchmarkPack compresses segments of orders: alike, but no two the same.
func BenchmarkPack(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		events := orders(n)
		size := len(eventlog.AppendSegment(nil, events))
		packed, err := pack(events)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint("pack/events=", n), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := pack(events); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(size)/float64(len(packed)), "ratio")
			b.ReportMetric(float64(len(packed)), "packed-B")
		})
		b.Run(fmt.Sprint("unpack/events=", n), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := unpack("acme", packed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func orders(n int) []event.Event {
	var events []event.Event
	for i := range n {
		payload := fmt.Appendf(nil, `{"order_number":"O%s","customer":{"id":"%s","email":"%s@example.com"},"currency":"EUR","total":%d,`+
			`"items":[{"sku":"%s","quantity":%d,"price":%d},{"sku":"%s","quantity":1,"price":1999}],"note":null,"shipping":{"method":"standard","country":"DE"}}`,
			noise(uint64(i), 8), noise(uint64(i)+1000, 12), noise(uint64(i)+2000, 9), i*37%100000, noise(uint64(i)+3000, 10), i%7, i*13%9999, noise(uint64(i)+4000, 10))
		events = append(events, event.Draft{ID: idOf(i), Name: "order.created", Payload: payload}.Stamp("acme", base))
	}
	return events
}

// BenchmarkEncode encodes the put of a segment, as the hot path does once for a
// batch: the item and its condition.
func BenchmarkEncode(b *testing.B) {
	it := item{
		key: segmentKey(part, 7), Count: 10, Bytes: 4000, First: base.UnixMilli(), Last: base.UnixMilli(),
		Source: "shardId-000000000000", Sequence: "49590338271490256608559692538361571095921575989136588898",
		Nonce: 1 << 63, Expires: base.Unix(), Data: noise(1, inlineBytes),
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := attributevalue.MarshalMap(&it); err != nil {
			b.Fatal(err)
		}
		if _, err := expression.NewBuilder().WithCondition(expression.Name(dynamotable.PK).AttributeNotExists()).Build(); err != nil {
			b.Fatal(err)
		}
	}
}
