package fanout_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/fanout"
)

// givenUp is an object as the documentation of Lambda shows it, with the payload given.
func givenUp(size, payload string) string {
	return `{
	"requestContext": {"requestId": "c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5", "functionArn": "arn:aws:lambda:us-east-2:123456789012:function:fanout", "condition": "RecordAgeExceeded", "approximateInvokeCount": 41},
	"responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": null},
	"version": "1.0", "timestamp": "2026-03-01T18:00:06.021Z",
	"KinesisBatchInfo": {
		"shardId": "shardId-000000000006", "startSequenceNumber": "4959", "endSequenceNumber": "4960", "batchSize": ` + size + `,
		"approximateArrivalOfFirstRecord": "2026-03-01T12:00:04.835Z", "approximateArrivalOfLastRecord": "2026-03-01T12:00:05.580Z",
		"streamArn": "arn:aws:kinesis:us-east-2:123456789012:stream/events"},
	"payload": ` + payload + `}`
}

const lambdaEvent = `{"Records":[
	{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"0#acme","sequenceNumber":"4959","data":"AAH/","approximateArrivalTimestamp":1772366404.835},"eventID":"shardId-000000000006:4959","eventSourceARN":"arn:aws:kinesis:us-east-2:123456789012:stream/events"},
	{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"1#acme","sequenceNumber":"4960","data":"e30=","approximateArrivalTimestamp":1772366405.58},"eventID":"shardId-000000000006:4960","eventSourceARN":"arn:aws:kinesis:us-east-2:123456789012:stream/events"}]}`

func TestABatchThatWasGivenUpHasItsRecords(t *testing.T) {
	quoted, err := json.Marshal(lambdaEvent)
	if err != nil {
		t.Fatal(err)
	}
	for how, payload := range map[string]string{"as a text": string(quoted), "as an object": lambdaEvent} {
		got, err := fanout.ParseGivenUp([]byte(givenUp("2", payload)))
		if err != nil {
			t.Fatalf("%s: %v", how, err)
		}
		var records []string
		for _, r := range got.Records {
			records = append(records, strings.Join([]string{r.EventID, r.Kinesis.PartitionKey, string(r.Kinesis.Data), r.Kinesis.ApproximateArrivalTimestamp.UTC().Round(time.Millisecond).Format("15:04:05.000")}, " "))
		}
		want := []string{"shardId-000000000006:4959 0#acme \x00\x01\xff 12:00:04.835", "shardId-000000000006:4960 1#acme {} 12:00:05.580"}
		if diff := cmp.Diff(want, records); diff != "" {
			t.Errorf("%s (-want +got):\n%s", how, diff)
		}
		got.Records = nil
		if diff := cmp.Diff(fanout.GivenUp{Reason: "RecordAgeExceeded", Stream: "arn:aws:kinesis:us-east-2:123456789012:stream/events", Shard: "shardId-000000000006"}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", how, diff)
		}
	}
}

// What is not whole is never put back and deleted.
func TestParseGivenUpRejects(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                                  "it is not a batch that was given up: unexpected end of JSON input",
		`{}`:                                 "it is not a batch that was given up: KinesisBatchInfo is missing",
		givenUp("2", `null`):                 "its payload does not have the records: unexpected end of JSON input",
		givenUp("0", `{"Records":[]}`):       "its payload has 0 records, and the batch had 0",
		givenUp("3", lambdaEvent):            "its payload has 2 records, and the batch had 3",
		givenUp("2", `"hello"`):              "its payload does not have the records: invalid character 'h'",
		givenUp("1", `{"Records":[{}]}`):     "record 0 of its payload has no eventID or no partitionKey",
		givenUp("2", `"{\"Records\":[{}]}"`): "its payload has 1 records, and the batch had 2",
	} {
		got, err := fanout.ParseGivenUp([]byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
		if diff := cmp.Diff(fanout.GivenUp{}, got); diff != "" {
			t.Errorf("%s is read as (-want +got):\n%s", text, diff)
		}
	}
}

func FuzzParseGivenUp(f *testing.F) {
	f.Add([]byte(givenUp("2", lambdaEvent)))
	f.Add([]byte(givenUp("1", `"{\"Records\":[]}"`)))
	f.Fuzz(func(t *testing.T, text []byte) {
		if got, err := fanout.ParseGivenUp(text); err == nil && (len(got.Records) == 0 || got.Records[0].Kinesis.PartitionKey == "") {
			t.Errorf("%q is parsed as %+v", text, got)
		}
	})
}
