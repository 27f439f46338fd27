package front

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	kinesistypes "github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/test/aws/emulators"
)

func TestMain(m *testing.M) { os.Exit(emulators.Run(m)) }

func TestRoutes(t *testing.T) {
	f := Start(t, 1)
	t.Run("DynamoDB", func(t *testing.T) { throughDynamoDB(t, f) })
	t.Run("Kinesis", func(t *testing.T) { throughKinesis(t, f) })
	t.Run("S3", func(t *testing.T) { throughS3(t, f) })
}

func throughDynamoDB(t *testing.T, f *Front) {
	client := dynamodb.NewFromConfig(quick(f))
	table := emulators.NewTable(t, client)
	before := f.Counts()
	key := map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: "p"}, "sk": &types.AttributeValueMemberS{Value: "s"},
	}
	// An addition whose response is lost takes effect, and again when it is retried.
	defer f.Inject(Fault{Match: Operation(DynamoDB, "UpdateItem"), Kind: TimeoutAfterSuccess, Count: 1})()
	_, err := client.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: &table, Key: key, UpdateExpression: aws.String("ADD n :one"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":one": &types.AttributeValueMemberN{Value: "1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &table, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if n, is := out.Item["n"].(*types.AttributeValueMemberN); !is || n.Value != "2" {
		t.Errorf("the item is %v, want n of 2", out.Item)
	}
	want := Counts{"dynamodb.UpdateItem": 2, "dynamodb.GetItem": 1}
	if diff := cmp.Diff(want, f.Counts().Since(before)); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func throughKinesis(t *testing.T, f *Front) {
	client := kinesis.NewFromConfig(quick(f))
	name := aws.String("s-" + rand.Text())
	if _, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: name, ShardCount: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	waiter := kinesis.NewStreamExistsWaiter(client, func(o *kinesis.StreamExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 10*time.Millisecond, time.Second
	})
	if err := waiter.Wait(t.Context(), &kinesis.DescribeStreamInput{StreamName: name}, time.Minute); err != nil {
		t.Fatal(err)
	}
	put := func(texts ...string) (failed int, through string) {
		in := &kinesis.PutRecordsInput{StreamName: name}
		for _, text := range texts {
			in.Records = append(in.Records, kinesistypes.PutRecordsRequestEntry{PartitionKey: aws.String("p"), Data: []byte(text)})
		}
		out, err := client.PutRecords(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range out.Records {
			switch {
			case r.ErrorCode == nil && r.SequenceNumber != nil:
				through += texts[i]
			case *r.ErrorCode != "ProvisionedThroughputExceededException":
				t.Errorf("record %d failed by %s", i, *r.ErrorCode)
			}
		}
		return int(*out.FailedRecordCount), through
	}
	throttle := f.Inject(Fault{Match: Operation(Kinesis, "PutRecords"), Kind: Throttle})
	if failed, through := put("a", "b", "c", "d", "e"); failed != 3 || through != "bd" {
		t.Errorf("%d failed and %s went through, want 3 and bd", failed, through)
	}
	if failed, through := put("f"); failed != 1 || through != "" {
		t.Errorf("%d failed and %q went through, want 1 and none", failed, through)
	}
	throttle()
	if failed, through := put("g", "h"); failed != 0 || through != "gh" {
		t.Errorf("%d failed and %s went through, want 0 and gh", failed, through)
	}
	if got := readAll(t, client, name); got != "bdgh" {
		t.Errorf("the stream has %s, want bdgh", got)
	}
}

func readAll(t *testing.T, client *kinesis.Client, name *string) string {
	t.Helper()
	at, err := client.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
		StreamName: name, ShardId: aws.String("shardId-000000000000"), ShardIteratorType: kinesistypes.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: at.ShardIterator})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, r := range out.Records {
		text.Write(r.Data)
	}
	return text.String()
}

func throughS3(t *testing.T, f *Front) {
	client := s3.NewFromConfig(quick(f), func(o *s3.Options) { o.UsePathStyle = true })
	bucket := aws.String("b-" + strings.ToLower(rand.Text()))
	ctx := t.Context()
	_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{
		Bucket: bucket, CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: emulators.Region},
	})
	if err != nil {
		t.Fatal(err)
	}
	before := f.Counts()
	content := bytes.Repeat([]byte("0123456789"), 200_000)
	key := aws.String("log/a b+c%2F/ü")
	// A put whose response is lost takes effect: the condition of the retry fails.
	remove := f.Inject(Fault{Match: Operation(S3, "PutObject"), Kind: TimeoutAfterSuccess, Count: 1})
	_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(content), IfNoneMatch: aws.String("*")})
	remove()
	var response interface{ HTTPStatusCode() int }
	if !errors.As(err, &response) || response.HTTPStatusCode() != 412 {
		t.Errorf("a conditional put whose first response was lost: %v, want status 412", err)
	}
	remove = f.Inject(Fault{Match: Operation(S3, "PutObject"), Kind: Throttle, Count: 1})
	_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String("other"), Body: bytes.NewReader(content)})
	remove()
	if err != nil {
		t.Error(err)
	}
	got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if text, err := io.ReadAll(got.Body); err != nil || !bytes.Equal(text, content) {
		t.Errorf("%d bytes came back, %v, want the %d that were put", len(text), err, len(content))
	}
	list, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket})
	if err != nil || len(list.Contents) != 2 {
		t.Errorf("%v, %v, want two objects", list, err)
	}
	if _, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: key}); err != nil {
		t.Error(err)
	}
	want := Counts{"s3.PutObject": 4, "s3.GetObject": 1, "s3.ListObjectsV2": 1, "s3.DeleteObject": 1}
	if diff := cmp.Diff(want, f.Counts().Since(before)); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}
