package dynamo

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// TestItemsAreStored pins the attributes of every kind of item: every later release must
// be able to read them.
func TestItemsAreStored(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.process()
	r.append(l, "stream", record(2000, 10))
	r.append(l, "", record(3, 20<<10)) // in an object, and late
	if err := l.Passed(t.Context(), part, base); err != nil {
		t.Fatal(err)
	}
	unnamed := event.Partition{Tenant: "acme", Lane: 1}
	if _, err := l.Append(t.Context(), unnamed, "", eventlog.Unnamed(eventAt(1, 1, time.Unix(1, 0)))); err != nil {
		t.Fatal(err)
	}
	equal(t, "segments", r.stored(r.options.Segments), []string{
		"bytes=N 146 count=N 1 data=B events=N 1 expires=N 1774958401 first=N 1000 last=N 1000 nonce=N pk=S S#1#acme since=N 1 size=N 146 sk=S 00000000000000000001 ",
		"bytes=N 155 count=N 1 data=B events=N 1 expires=N 1774958401 first=N 1772366402000 last=N 1772366402000 nonce=N pk=S S#0#acme sequence=S 2000 since=N 1 size=N 155 sk=S 00000000000000000001 source=S stream ",
		"bytes=N 20625 count=N 1 events=N 2 expires=N 1774958401 first=N 1772366400003 last=N 1772366402000 nonce=N object=S log/1a/0%23acme/00000000000000000002 pk=S S#0#acme sequence=S 2000 since=N 1 size=N 20780 sk=S 00000000000000000002 source=S stream ",
	})
	equal(t, "other items", r.stored(r.options.Table), []string{
		"at=N 1772366400000 expires=N 1772539200 pk=S S#0#acme sk=S BARRIER ",
		"due=N 1773230400000 number=N 0 pk=S S#0#acme sk=S HEAD timetable=S heads#10 ",
		"due=N 1773230400000 number=N 0 pk=S S#1#acme sk=S HEAD timetable=S heads#7 ",
		"expires=N 1774958401 first=N 1772366400003 number=N 2 pk=S S#0#acme sk=S BELATED ",
	})
}

// stored returns the items of a table.
func (r *rig) stored(table string) []string {
	r.t.Helper()
	out, err := r.options.DynamoDB.Scan(r.t.Context(), &dynamodb.ScanInput{TableName: &table, ConsistentRead: aws.Bool(true)})
	if err != nil {
		r.t.Fatal(err)
	}
	var all []string
	for _, it := range out.Items {
		all = append(all, layout(it))
	}
	slices.Sort(all)
	return all
}

// layout formats an item with the types of its attributes, without random and
// compressed values.
func layout(it map[string]types.AttributeValue) string {
	text := ""
	for _, name := range slices.Sorted(maps.Keys(it)) {
		value := fmt.Sprintf("%T", it[name])
		switch v := it[name].(type) {
		case *types.AttributeValueMemberS:
			value = "S " + v.Value
		case *types.AttributeValueMemberN:
			value = "N " + v.Value
		case *types.AttributeValueMemberB:
			value = "B"
		}
		switch name {
		case "nonce":
			value = value[:1]
		case "object":
			value = value[:len("S log/1a/0%23acme/00000000000000000002")]
		}
		text += name + "=" + value + " "
	}
	return text
}
