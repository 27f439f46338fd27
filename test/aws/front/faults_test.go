package front

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	kinesistypes "github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

// alone returns a front whose backends respond "{}" to everything, and a client
// configuration without retries.
func alone(t *testing.T, seed uint64) (*Front, aws.Config) {
	t.Helper()
	f, err := Listen(seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	content := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Header.Get("X-Amz-Target") != "" {
			_, _ = io.WriteString(w, "{}")
		}
	})
	f.Serve(Backends{DynamoDB: content, Kinesis: content, StepFunctions: content, Rest: content})
	config := f.Config()
	config.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	return f, config
}

// calls has one call of each kind, by its name in Counts.
func calls(config aws.Config) map[string]func(context.Context) error {
	tables, streams := dynamodb.NewFromConfig(config), kinesis.NewFromConfig(config)
	keys, queues, machines := kms.NewFromConfig(config), sqs.NewFromConfig(config), sfn.NewFromConfig(config)
	buckets := s3.NewFromConfig(config, func(o *s3.Options) { o.UsePathStyle = true })
	item := map[string]dynamodbtypes.AttributeValue{"pk": &dynamodbtypes.AttributeValueMemberS{Value: "p"}}
	put := dynamodbtypes.TransactWriteItem{Put: &dynamodbtypes.Put{TableName: aws.String("t"), Item: item}}
	return map[string]func(context.Context) error{
		"dynamodb.GetItem": func(ctx context.Context) error {
			_, err := tables.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("t"), Key: item})
			return err
		},
		"dynamodb.PutItem": func(ctx context.Context) error {
			_, err := tables.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("t"), Item: item})
			return err
		},
		"dynamodb.TransactWriteItems": func(ctx context.Context) error {
			_, err := tables.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []dynamodbtypes.TransactWriteItem{put, put}})
			return err
		},
		"kinesis.PutRecord": func(ctx context.Context) error {
			_, err := streams.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("s"), PartitionKey: aws.String("p"), Data: []byte("x")})
			return err
		},
		"kms.Encrypt": func(ctx context.Context) error {
			_, err := keys.Encrypt(ctx, &kms.EncryptInput{KeyId: aws.String("k"), Plaintext: []byte("x")})
			return err
		},
		"states.StartExecution": func(ctx context.Context) error {
			_, err := machines.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: aws.String("m"), Name: aws.String("n")})
			return err
		},
		"sqs.SendMessage": func(ctx context.Context) error {
			_, err := queues.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String("q"), MessageBody: aws.String("x")})
			return err
		},
		"s3.PutObject": func(ctx context.Context) error {
			_, err := buckets.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), Body: strings.NewReader("x")})
			return err
		},
		"s3.GetObject": func(ctx context.Context) error {
			_, err := buckets.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
			return err
		},
	}
}

func TestWhatTheSDKSeesOfAFault(t *testing.T) {
	f, config := alone(t, 1)
	call := calls(config)
	const throughput = "ProvisionedThroughputExceededException"
	tests := []struct {
		call   string
		kind   Kind
		status int
		code   string
		as     any // a pointer to the SDK's type of the error
	}{
		{"dynamodb.GetItem", Throttle, 400, throughput, new(*dynamodbtypes.ProvisionedThroughputExceededException)},
		{"dynamodb.GetItem", Conflict, 400, throughput, nil},
		{"dynamodb.GetItem", Error500, 500, "InternalServerError", new(*dynamodbtypes.InternalServerError)},
		{"dynamodb.GetItem", Denied, 400, "AccessDeniedException", nil},
		{"dynamodb.GetItem", Gone, 400, "ResourceNotFoundException", new(*dynamodbtypes.ResourceNotFoundException)},
		{"dynamodb.PutItem", Throttle, 400, throughput, nil},
		{"dynamodb.PutItem", Conflict, 400, "TransactionConflictException", new(*dynamodbtypes.TransactionConflictException)},
		{"dynamodb.TransactWriteItems", Throttle, 400, "TransactionCanceledException", new(*dynamodbtypes.TransactionCanceledException)},
		{"dynamodb.TransactWriteItems", Conflict, 400, "TransactionCanceledException", new(*dynamodbtypes.TransactionCanceledException)},
		{"dynamodb.TransactWriteItems", Error500, 500, "InternalServerError", nil},
		{"kinesis.PutRecord", Throttle, 400, throughput, new(*kinesistypes.ProvisionedThroughputExceededException)},
		{"kinesis.PutRecord", Error500, 500, "InternalFailure", nil},
		{"kinesis.PutRecord", Denied, 400, "AccessDeniedException", new(*kinesistypes.AccessDeniedException)},
		{"kinesis.PutRecord", Gone, 400, "ResourceNotFoundException", new(*kinesistypes.ResourceNotFoundException)},
		{"kms.Encrypt", Throttle, 400, "ThrottlingException", nil},
		{"kms.Encrypt", Error500, 500, "KMSInternalException", new(*kmstypes.KMSInternalException)},
		{"kms.Encrypt", Denied, 400, "AccessDeniedException", nil},
		{"kms.Encrypt", Gone, 400, "NotFoundException", new(*kmstypes.NotFoundException)},
		{"states.StartExecution", Throttle, 400, "ThrottlingException", nil},
		{"states.StartExecution", Error500, 500, "InternalFailure", nil},
		{"states.StartExecution", Denied, 400, "AccessDeniedException", nil},
		{"states.StartExecution", Gone, 400, "StateMachineDoesNotExist", new(*sfntypes.StateMachineDoesNotExist)},
		{"sqs.SendMessage", Throttle, 400, "RequestThrottled", new(*sqstypes.RequestThrottled)},
		{"sqs.SendMessage", Error500, 500, "InternalFailure", nil},
		{"sqs.SendMessage", Gone, 400, "AWS.SimpleQueueService.NonExistentQueue", new(*sqstypes.QueueDoesNotExist)},
		{"s3.PutObject", Throttle, 503, "SlowDown", nil},
		{"s3.PutObject", Error500, 500, "InternalError", nil},
		{"s3.PutObject", Denied, 403, "AccessDenied", nil},
		{"s3.GetObject", Gone, 404, "NoSuchBucket", nil},
	}
	for _, tt := range tests {
		t.Run(tt.call+" "+string(tt.kind), func(t *testing.T) {
			defer f.Inject(Fault{Kind: tt.kind})()
			err := call[tt.call](t.Context())
			var api smithy.APIError
			if !errors.As(err, &api) {
				t.Fatalf("%v, want an error of the service", err)
			}
			var response interface{ HTTPStatusCode() int }
			if !errors.As(err, &response) || response.HTTPStatusCode() != tt.status || api.ErrorCode() != tt.code {
				t.Errorf("%v, want status %d and code %s", err, tt.status, tt.code)
			}
			if tt.as != nil && !errors.As(err, tt.as) {
				t.Errorf("%T, want %T", api, tt.as)
			}
		})
	}
	for name, do := range call {
		if err := do(t.Context()); err != nil {
			t.Errorf("%s after the fault: %v", name, err)
		}
	}
}

func TestReasonsOfACanceledTransaction(t *testing.T) {
	f, config := alone(t, 1)
	for kind, code := range map[Kind]string{Conflict: "TransactionConflict", Throttle: "ThrottlingError"} {
		remove := f.Inject(Fault{Kind: kind})
		err := calls(config)["dynamodb.TransactWriteItems"](t.Context())
		remove()
		var canceled *dynamodbtypes.TransactionCanceledException
		if !errors.As(err, &canceled) {
			t.Fatal(err)
		}
		var codes []string
		for _, r := range canceled.CancellationReasons {
			codes = append(codes, *r.Code)
		}
		if want := []string{code, "None"}; !slices.Equal(codes, want) {
			t.Errorf("%s: the reasons are %q, want %q", kind, codes, want)
		}
	}
}

// quick makes clients retry immediately.
func quick(f *Front) aws.Config {
	config := f.Config()
	config.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond })
	}
	return config
}

func TestRetriesOfTheSDKOutlastAFault(t *testing.T) {
	f, _ := alone(t, 1)
	config := quick(f)
	for _, kind := range []Kind{Throttle, Error500, TimeoutAfterSuccess} {
		for name, do := range calls(config) {
			if name == "dynamodb.TransactWriteItems" && kind == Throttle {
				continue // the SDK does not retry canceled transactions
			}
			defer f.Inject(Fault{Kind: kind, Count: 1})()
			before := f.Counts()
			if err := do(t.Context()); err != nil {
				t.Errorf("%s, %s: %v", name, kind, err)
			}
			if got := f.Counts().Since(before); got[name] != 2 {
				t.Errorf("%s, %s: %v, want two", name, kind, got)
			}
		}
	}
}

func TestWhenAFaultHappens(t *testing.T) {
	f, config := alone(t, 7)
	call := calls(config)
	ten := func() string {
		var got strings.Builder
		for range 10 {
			if call["dynamodb.PutItem"](t.Context()) == nil {
				got.WriteByte('.')
			} else {
				got.WriteByte('x')
			}
		}
		return got.String()
	}
	put := Operation(DynamoDB, "PutItem")
	body := func(text string) func(string, string, []byte) bool {
		return func(_, _ string, body []byte) bool { return strings.Contains(string(body), text) }
	}
	tests := []struct {
		fault Fault
		want  string
	}{
		{Fault{Kind: Denied}, "xxxxxxxxxx"},
		{Fault{Kind: Denied, Count: 2}, "xx........"},
		{Fault{Kind: Denied, After: 3, Count: 2}, "...xx....."},
		{Fault{Kind: Denied, Match: put, After: 9}, ".........x"},
		{Fault{Kind: Denied, Match: Service(DynamoDB), Count: 1}, "x........."},
		{Fault{Kind: Denied, Match: Service(Kinesis)}, ".........."},
		{Fault{Kind: Denied, Match: Operation(DynamoDB, "GetItem")}, ".........."},
		{Fault{Kind: Denied, Match: body(`"TableName":"t"`), Count: 1}, "x........."},
		{Fault{Kind: Denied, Match: body(`"TableName":"other"`)}, ".........."},
	}
	for _, tt := range tests {
		remove := f.Inject(tt.fault)
		if got := ten(); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.fault, got, tt.want)
		}
		remove()
		if got := ten(); got != ".........." {
			t.Errorf("%+v, after it was removed: %s", tt.fault, got)
		}
	}

	half := Fault{Kind: Denied, Probability: 0.5}
	remove := f.Inject(half)
	got := ten() + ten()
	remove()
	if n := strings.Count(got, "x"); n < 4 || n > 16 {
		t.Errorf("a fault with a probability of a half: %s", got)
	}
	f, config = alone(t, 7)
	call = calls(config)
	defer f.Inject(half)()
	if again := ten() + ten(); again != got {
		t.Errorf("with the same seed %s, and then %s", got, again)
	}
}

func TestLatencyAddsToWhatElseHappens(t *testing.T) {
	f, config := alone(t, 1)
	defer f.Inject(Fault{Kind: Latency, Latency: 20 * time.Millisecond})()
	defer f.Inject(Fault{Kind: Denied, Count: 1})()
	defer f.Inject(Fault{Kind: Latency, Latency: 30 * time.Millisecond})()
	began := time.Now()
	if err := calls(config)["kms.Encrypt"](t.Context()); err == nil {
		t.Error("it was not denied")
	}
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("it took %v, want 50 ms", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer f.Inject(Fault{Kind: Latency, Latency: time.Hour})()
	time.AfterFunc(20*time.Millisecond, cancel)
	if err := calls(config)["kms.Encrypt"](ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a call given up: %v", err)
	}
	var kinds []Kind
	for _, i := range f.Injected() {
		if i.Service != KMS || i.Op != "Encrypt" {
			t.Errorf("the log has %s", i)
		}
		kinds = append(kinds, i.Kind)
	}
	if diff := cmp.Diff([]Kind{Latency, Denied, Latency, Latency, Latency, Latency}, kinds); diff != "" {
		t.Errorf("the log (-want +got):\n%s", diff)
	}
}

func TestRefusalOfALargeObjectArrives(t *testing.T) {
	f, config := alone(t, 1)
	defer f.Inject(Fault{Kind: Throttle})()
	client := s3.NewFromConfig(config, func(o *s3.Options) {
		o.UsePathStyle = true
		o.ContinueHeaderThresholdBytes = -1 // it sends without asking first
	})
	large := bytes.NewReader(make([]byte, 16<<20))
	_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), Body: large})
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "SlowDown" {
		t.Errorf("%v, want SlowDown", err)
	}
}
