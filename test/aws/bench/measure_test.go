package bench

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/uuid"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/publish/kinesis"
	"github.com/sluicehq/sluice/test/aws/lambdahost"
	"github.com/sluicehq/sluice/test/aws/stack"
)

// trivial has an invocation of each function with next to nothing to do.
var trivial = map[string]string{
	"api": `{"version":"2.0","routeKey":"GET /healthz","rawPath":"/healthz","headers":{},
		"requestContext":{"http":{"method":"GET","path":"/healthz","protocol":"HTTP/1.1"},"stage":"$default"}}`,
	"fanout":  `{"Records":[]}`,
	"advance": `{"tenant":"nobody","integration":"none","lane":0,"version":"1","shadow":false,"wait_seconds":0,"count":0,"next":"wait","renewal":""}`,
	"sweep":   `{"time":"2026-01-01T00:00:00Z"}`,
}

// functions starts each function nine times.
func (s *stage) functions() []Function {
	var list []Function
	for _, name := range []string{"api", "fanout", "advance", "sweep"} {
		s.say("start %s", name)
		var inits, cpu []float64
		f := Function{Name: name, ZipBytes: zipped(s.t, name)}
		for range 9 {
			s.Host.Recycle(name)
			r := s.invoke(name, []byte(trivial[name]))
			inits, cpu = append(inits, ms(r.InitDuration)), append(cpu, ms(r.CPU))
			f.RSS = max(f.RSS, r.MaxRSS)
		}
		f.InitMS, f.InitCPU = median(inits), median(cpu)
		list = append(list, f)
	}
	return list
}

// zipped returns the archive size of a function built as make build-functions
// does.
func zipped(t testing.TB, name string) int64 {
	path := filepath.Join(t.TempDir(), name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-tags", "lambda.norpc", "-trimpath",
		"-ldflags", "-s -w -buildid=", "-o", path, "./functions/"+name)
	cmd.Dir = stack.Root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	archive := zip.NewWriter(&packed)
	file, err := archive.Create("bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(program); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return int64(packed.Len())
}

const (
	fullRecords = 100
	// fullData is the data size of each record such that all of them, base64 in
	// JSON, fill the 6 MB of an invocation.
	fullData = 46_500
)

// fullBatches invokes fanout with the largest possible batches, in records of one
// partition with ten subscribers.
func (s *stage) fullBatches() []FullBatch {
	kinds := []struct {
		what string
		most int // n of the largest record
		of   func(n int) (events int, payload func(int) []byte)
	}{
		{"random text, hardly compressible", 64_000, func(n int) (int, func(int) []byte) { return 1, func(int) []byte { return noise(n) } }},
		{"orders of 1 KB", 800, func(n int) (int, func(int) []byte) { return n, order }},
		{"one text again and again", 255_000, func(n int) (int, func(int) []byte) { return 4, func(int) []byte { return monotone(n) } }},
	}
	var list []FullBatch
	for i, kind := range kinds {
		s.say("a full batch: %s", kind.what)
		tenant := fmt.Sprintf("full-%d", i)
		s.register(tenant, 10)
		record := func(n int) []event.Event {
			events, payload := kind.of(n)
			return stack.Events(tenant, events, payload)
		}
		n := kind.most
		for len(kinesis.Encode(record(n))) > fullData {
			n -= kind.most / 50
		}
		var batch [][]event.Event
		full := FullBatch{What: kind.what}
		for range fullRecords {
			events := record(n)
			full.Events += len(events)
			for _, e := range events {
				full.Bodies += len(e.Body)
			}
			batch = append(batch, events)
		}
		payload := s.Batch(batch...)
		s.Host.Recycle("fanout")
		s.invoke("fanout", []byte(trivial["fanout"]))
		r := s.invoke("fanout", payload)
		full.Payload, full.RSS, full.BilledMS = len(payload), r.MaxRSS, r.BilledMS
		full.Left = 10 - s.Subscribers(s.t.Context(), tenant)
		list = append(list, full)
		s.Quiet(s.t)
	}
	return list
}

// hotPath breaks down the cost of a warm invocation into invocation, partitions and
// deliveries. Three kinds of batches, in turn, give three equations.
func (s *stage) hotPath(turns int) HotPath {
	const many = 20
	s.say("warm invocations: 1 partition, %d partitions, 10 subscribers, %d of each", many, turns)
	s.register("ten", 10)
	var singles []string
	for i := range many {
		singles = append(singles, fmt.Sprintf("single-%d", i))
		s.register(singles[i], 1)
	}
	one := func(tenants ...string) lambdahost.Result {
		var records [][]event.Event
		for _, tenant := range tenants {
			records = append(records, stack.Events(tenant, 1, order))
		}
		r := s.invoke("fanout", s.Batch(records...))
		var answer struct{ BatchItemFailures []any }
		if err := json.Unmarshal(r.Payload, &answer); err != nil || len(answer.BatchItemFailures) > 0 {
			s.t.Fatalf("fanout: %s", r.Payload)
		}
		return r
	}
	var alone, wide, deep, billed []float64
	written := 0
	for turn := range turns + 5 {
		before := len(s.Host.Log("fanout"))
		r := one(singles[0])
		after := len(s.Host.Log("fanout"))
		cpuWide, cpuDeep := ms(one(singles...).CPU), ms(one("ten").CPU)
		if turn < 5 {
			continue // to get warm
		}
		written += after - before
		alone, wide, deep, billed = append(alone, ms(r.CPU)), append(wide, cpuWide), append(deep, cpuDeep), append(billed, float64(r.BilledMS))
	}
	delivery := (median(deep) - median(alone)) / 9
	partition := (median(wide)-median(alone))/(many-1) - delivery
	return HotPath{
		DeliveryCPU: delivery, PartitionCPU: partition, InvocationCPU: median(alone) - partition - delivery,
		BilledMS: median(billed), LogBytes: float64(written) / float64(turns),
		EventBytes:   len(stack.Events(singles[0], 1, order)[0].Body),
		SegmentBytes: s.itemBytes("S#0#"+singles[0], ""),
		RecordBytes:  [2]int{s.itemBytes("P#0#"+singles[0], "RECORD"), s.itemBytes("P#0#ten", "RECORD")},
	}
}

// itemBytes returns the size of an item as DynamoDB counts it, or of the last
// segment of a log.
func (s *stage) itemBytes(pk, sk string) int {
	condition, values := "pk = :pk AND sk < :sk", map[string]types.AttributeValue{
		":pk": &types.AttributeValueMemberS{Value: pk}, ":sk": &types.AttributeValueMemberS{Value: "A"},
	}
	table, backward, one := s.Segments, false, int32(1)
	if sk != "" {
		table, condition, values[":sk"] = s.Table, "pk = :pk AND sk = :sk", &types.AttributeValueMemberS{Value: sk}
	}
	out, err := s.DynamoDB.Query(s.t.Context(), &dynamodb.QueryInput{
		TableName: &table, KeyConditionExpression: &condition, ExpressionAttributeValues: values,
		ScanIndexForward: &backward, Limit: &one,
	})
	if err != nil || len(out.Items) != 1 {
		s.t.Fatalf("%s %s: %v, %d items", pk, sk, err, len(out.Items))
	}
	// A map counts 3 bytes and 1 more for each entry, which an item does not.
	return valueBytes(&types.AttributeValueMemberM{Value: out.Items[0]}) - 3 - len(out.Items[0])
}

// valueBytes follows
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html.
func valueBytes(v types.AttributeValue) int {
	size := 3
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
		for _, each := range v.Value {
			size += 1 + valueBytes(each)
		}
	case *types.AttributeValueMemberM:
		for name, each := range v.Value {
			size += 1 + len(name) + valueBytes(each)
		}
	default:
		panic(fmt.Sprintf("an item has a %T", v))
	}
	return size
}

// catchUp publishes a thousand events for a stopped webhook and then starts it,
// once per round.
func (s *stage) catchUp(rounds int) CatchUp {
	api := s.register("waiting", 1)
	var billed, cpu []float64
	for range rounds {
		s.say("catch-up")
		if _, err := api.Stop(s.t.Context(), "hook-0"); err != nil {
			s.t.Fatal(err)
		}
		stack.Until(s.t, "the webhook is stopped", func(ctx context.Context) bool {
			in, err := api.Integration(ctx, "hook-0")
			return err == nil && in.Status == "stopped"
		})
		for range 50 {
			s.publish(api, 20)
		}
		s.Quiet(s.t)
		before, taken := s.Host.Stats("advance"), s.taken.Load()
		if _, err := api.Start(s.t.Context(), "hook-0"); err != nil {
			s.t.Fatal(err)
		}
		stack.Until(s.t, "everything is delivered", func(context.Context) bool { return s.taken.Load() >= taken+1000 })
		s.Quiet(s.t)
		after := s.Host.Stats("advance")
		billed, cpu = append(billed, float64(after.BilledMS-before.BilledMS)), append(cpu, ms(after.CPU-before.CPU))
	}
	return CatchUp{BilledMS: median(billed), CPU: median(cpu)}
}

// receive handles calls to all receivers. Those of the catch-up tenant take 50 ms.
func (s *stage) receive(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if r.URL.Path == "/waiting" {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-r.Context().Done():
			return
		}
	}
	s.taken.Add(1)
	w.WriteHeader(http.StatusOK)
}

// order returns a shop order of about 1,000 bytes; no two are alike.
func order(i int) []byte {
	var items []string
	for n := range 5 {
		items = append(items, fmt.Sprintf(`{"sku":"SKU-%06d","name":"Product %d","quantity":%d,"price":{"amount":"%d.%02d","currency":"EUR"},"id":%q}`,
			(i*7919+n*104729)%1000000, (i+n)%97, 1+n%3, 3+(i*31+n)%200, (i*17+n*13)%100, uuid.NewString()[:13]))
	}
	return fmt.Appendf(nil, `{"order_id":%q,"customer_id":%q,"status":"paid","channel":"web","shipping":{"country":"DE","city":"Hamburg","zip":"20%03d"},"items":[%s],"total":"%d.00","note":""}`,
		uuid.NewString(), uuid.NewString(), i%1000, strings.Join(items, ","), 20+i%400)
}

// noise returns a payload of about n bytes that compresses no better than random
// text.
func noise(size int) []byte {
	random := make([]byte, size*3/4)
	_, _ = rand.Read(random) // it cannot fail
	return fmt.Appendf(nil, `{"blob":%q}`, base64.RawURLEncoding.EncodeToString(random))
}

// monotone returns a payload of about n bytes that compresses as well as possible.
func monotone(size int) []byte {
	return fmt.Appendf(nil, `{"blob":%q}`, strings.Repeat("sluice ", size/7))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// median returns the median of one or more values.
func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}
