package bench

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/publish/kinesis"
	"github.com/sluicehq/sluice/test/aws/bench/cost"
)

// record is one record of events of the tenant.
func (tn *tenant) record(events int, payload func(int) []byte) Record {
	return Record{event.Partition{Tenant: tn.name}, Events(tn.name, events, payload)}
}

// hotPath takes a warm invocation to pieces: what each costs, each partition in
// it, and each delivery. Three kinds of batches, in turn, give three equations.
func (s *stage) hotPath(turns int) cost.HotPath {
	const many = 20
	s.say("warm invocations: 1 partition, %d partitions, 10 followers, %d of each", many, turns)
	ten := s.newTenant("ten", 10, 0)
	var singles []*tenant
	for i := range many {
		singles = append(singles, s.newTenant(fmt.Sprintf("single-%d", i), 1, 0))
	}
	one := func(tenants ...*tenant) (cpu, billed float64) {
		var records []Record
		for _, tn := range tenants {
			records = append(records, tn.record(1, order))
		}
		r := s.deliver(s.batch(records...))
		return ms(r.CPU), float64(r.BilledMS)
	}
	var alone, wide, deep, billed []float64
	written := 0
	for turn := range turns + 5 {
		before := len(s.Host.Log("fanout"))
		cpu, took := one(singles[0])
		after := len(s.Host.Log("fanout"))
		cpuWide, _ := one(singles...)
		cpuDeep, _ := one(ten)
		if turn < 5 {
			continue // to get warm
		}
		written += after - before
		alone, wide, deep, billed = append(alone, cpu), append(wide, cpuWide), append(deep, cpuDeep), append(billed, took)
	}
	delivery := (median(deep) - median(alone)) / 9
	partition := (median(wide)-median(alone))/(many-1) - delivery
	h := cost.HotPath{
		DeliveryCPU: delivery, PartitionCPU: partition, InvocationCPU: median(alone) - partition - delivery,
		BilledMS: median(billed), LogBytes: float64(written) / float64(turns),
		EventBytes:   len(singles[0].record(1, order).Events[0].Body),
		SegmentBytes: s.itemBytes("S#0#"+singles[0].name, ""),
		RecordBytes:  [2]int{s.itemBytes("P#0#"+singles[0].name, "RECORD"), s.itemBytes("P#0#"+ten.name, "RECORD")},
	}
	return h
}

// itemBytes is the size of an item as DynamoDB counts it, or of the last segment
// of a log.
func (s *stage) itemBytes(pk, sk string) int {
	condition, values := "pk = :pk AND sk < :sk", map[string]types.AttributeValue{
		":pk": &types.AttributeValueMemberS{Value: pk}, ":sk": &types.AttributeValueMemberS{Value: "A"},
	}
	if sk != "" {
		condition, values[":sk"] = "pk = :pk AND sk = :sk", &types.AttributeValueMemberS{Value: sk}
	}
	out, err := s.DynamoDB.Query(s.t.Context(), &dynamodb.QueryInput{
		TableName: &s.Table, KeyConditionExpression: &condition, ExpressionAttributeValues: values,
		ScanIndexForward: aws.Bool(false), Limit: aws.Int32(1),
	})
	if err != nil || len(out.Items) != 1 {
		s.t.Fatalf("%s %s: %v, %d items", pk, sk, err, len(out.Items))
	}
	size := 0
	for name, value := range out.Items[0] {
		size += len(name) + valueBytes(value)
	}
	return size
}

// valueBytes follows
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html.
func valueBytes(v types.AttributeValue) int {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberB:
		return len(v.Value)
	case *types.AttributeValueMemberN:
		return len(v.Value)/2 + 1
	case *types.AttributeValueMemberBOOL, *types.AttributeValueMemberNULL:
		return 1
	case *types.AttributeValueMemberL:
		size := 3
		for _, each := range v.Value {
			size += 1 + valueBytes(each)
		}
		return size
	case *types.AttributeValueMemberM:
		size := 3
		for name, each := range v.Value {
			size += 1 + len(name) + valueBytes(each)
		}
		return size
	default:
		panic(fmt.Sprintf("an item has a %T", v))
	}
}

// publishing measures publish calls, where nobody listens.
func (s *stage) publishing(turns int) []cost.Publish {
	var list []cost.Publish
	tn := s.newTenant("publisher", 0, 0)
	for _, n := range []int{1, 10, 100} {
		s.say("publish calls of %d events", n)
		for range 3 {
			tn.publish(n)
		}
		before, written := s.Host.Stats("api"), len(s.Host.Log("api"))
		for range turns {
			tn.publish(n)
		}
		after := s.Host.Stats("api")
		each := float64(turns)
		list = append(list, cost.Publish{
			Events: n, BilledMS: float64(after.BilledMS-before.BilledMS) / each, CPU: ms(after.CPU-before.CPU) / each,
			Bytes:    len(kinesis.Encode(tn.record(n, order).Events)),
			LogBytes: float64(len(s.Host.Log("api"))-written) / each,
		})
		s.quiet()
	}
	return list
}
