// Package stack deploys template.yaml to local emulators of AWS, with the real
// functions as separate processes, behind one endpoint (package front) that counts
// calls and injects faults.
package stack

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/google/uuid"

	"github.com/sluicehq/sluice/test/aws/asl"
	"github.com/sluicehq/sluice/test/aws/emulators"
	"github.com/sluicehq/sluice/test/aws/front"
	"github.com/sluicehq/sluice/test/aws/httpfront"
	"github.com/sluicehq/sluice/test/aws/lambdahost"
	"github.com/sluicehq/sluice/test/aws/queue"
	"github.com/sluicehq/sluice/test/aws/streampoller"
)

// Options configure a stack. The zero value is usable.
type Options struct {
	// Settings are added to the functions' environment: SLUICE_….
	Settings map[string]string
	Shards   int // of the stream; 1 when 0
	Hooks    streampoller.Hooks
	// InvokeThroughFront sends the invocations of fanout and advance through the
	// front, which counts them and injects faults. Otherwise they bypass it.
	InvokeThroughFront bool
	RecordAge          time.Duration // MaximumRecordAge of the event source mapping; template.yaml's when 0
	Seed               uint64        // for faults with a probability
	// Endpoint, if set, is used instead of the emulators to create table, stream,
	// bucket and key.
	Endpoint string
}

// Stack is a deployment. It is removed at the end of its test.
type Stack struct {
	URL    string // of the API
	Issuer *httpfront.Issuer
	Front  *front.Front
	Host   *lambdahost.Host
	Poller *streampoller.Poller
	Queue  *queue.Queue // of steps

	Table, Segments, Stream, Bucket, Key, StateMachine string // names, id and ARN

	DynamoDB *dynamodb.Client
	Kinesis  *kinesis.Client
	S3       *s3.Client
	KMS      *kms.Client
	SFN      *sfn.Client

	Env map[string]string // of the functions

	sequence int // of the last record of a Batch
}

// Deploy creates a stack. If an emulator is not installed, the test is skipped, or
// fails if CI is set.
func Deploy(t testing.TB, o Options) *Stack {
	t.Helper()
	name := fmt.Sprintf("sluice-%d", time.Now().UnixNano())
	s := &Stack{
		Host:   lambdahost.New(lambdahost.Options{Region: emulators.Region, Account: emulators.Account}),
		Stream: name, Bucket: name,
		StateMachine: "arn:aws:states:" + emulators.Region + ":" + emulators.Account + ":stateMachine:" + name,
	}
	if err := s.deploy(t, o); err != nil {
		t.Fatalf("deploy: %v", err)
	}
	return s
}

func (s *Stack) deploy(t testing.TB, o Options) error {
	definition, err := readTemplate()
	if err != nil {
		return err
	}
	if err := s.openQueue(t, definition, o); err != nil {
		return err
	}
	if err := s.open(t, o); err != nil {
		return err
	}
	t.Cleanup(s.Host.Close)
	s.Front.Invoke(s.Host.Invoker())
	if err := s.create(t, o); err != nil {
		return err
	}
	if err := s.addFunctions(definition, o); err != nil {
		return err
	}
	if err := s.listen(t, definition); err != nil {
		return err
	}
	return s.startPoller(t, definition, o)
}

// open starts the front and creates clients that use it.
func (s *Stack) open(t testing.TB, o Options) error {
	var err error
	if s.Front, err = front.Listen(o.Seed); err != nil {
		return err
	}
	t.Cleanup(s.Front.Close)
	urls := emulators.URLs{DynamoDB: o.Endpoint, Kinesis: o.Endpoint, Moto: o.Endpoint}
	if o.Endpoint == "" {
		urls = emulators.All(t)
	}
	machine, err := s.machine(o)
	if err != nil {
		return err
	}
	t.Cleanup(machine.Close)
	s.Front.Serve(front.Backends{
		DynamoDB: front.Forward(urls.DynamoDB), Kinesis: front.Forward(urls.Kinesis), Rest: front.Forward(urls.Moto),
		StepFunctions: machine, SQS: s.Queue,
	})
	c := s.Front.Config()
	s.DynamoDB, s.Kinesis, s.KMS = dynamodb.NewFromConfig(c), kinesis.NewFromConfig(c), kms.NewFromConfig(c)
	s.SFN = sfn.NewFromConfig(c)
	s.S3 = s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle = true })
	return nil
}

// create creates all resources but the functions.
func (s *Stack) create(t testing.TB, o Options) error {
	ctx := t.Context()
	name := s.Stream
	s.Table, s.Segments = emulators.NewTable(t, s.DynamoDB), emulators.NewSegments(t, s.DynamoDB)
	if _, err := s.Kinesis.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(int32(max(o.Shards, 1)))}); err != nil {
		return err
	}
	exists := kinesis.NewStreamExistsWaiter(s.Kinesis, func(o *kinesis.StreamExistsWaiterOptions) { o.MinDelay, o.MaxDelay = 10*time.Millisecond, time.Second })
	if err := exists.Wait(ctx, &kinesis.DescribeStreamInput{StreamName: &name}, time.Minute); err != nil {
		return err
	}
	if _, err := s.S3.CreateBucket(ctx, &s3.CreateBucketInput{
		Bucket: &name, CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: emulators.Region},
	}); err != nil {
		return err
	}
	key, err := s.KMS.CreateKey(ctx, &kms.CreateKeyInput{})
	if err != nil {
		return err
	}
	s.Key = *key.KeyMetadata.Arn
	return nil
}

// addFunctions adds the functions with their environment in template.yaml.
func (s *Stack) addFunctions(definition *template, o Options) error {
	dir, err := bootstraps()
	if err != nil {
		return err
	}
	env, err := s.environment(definition)
	if err != nil {
		return err
	}
	maps.Copy(env, o.Settings)
	s.Env = env
	for _, name := range names {
		f := definition.functions[name]
		if err := s.Host.AddFunction(lambdahost.Function{
			Name: name, Path: filepath.Join(dir, name, "bootstrap"), Env: env,
			Timeout: seconds(f.Timeout), MemoryMB: f.MemorySize,
		}); err != nil {
			return err
		}
	}
	return nil
}

// environment resolves the references in the template's environment.
func (s *Stack) environment(definition *template) (map[string]string, error) {
	env := map[string]string{
		"AWS_ENDPOINT_URL": s.Front.URL(),
		"SLUICE_TABLE":     s.Table, "SLUICE_SEGMENTS_TABLE": s.Segments, "SLUICE_STREAM": s.Stream, "SLUICE_BUCKET": s.Bucket,
		"SLUICE_KEY": s.Key, "SLUICE_STATE_MACHINE": s.StateMachine, "SLUICE_QUEUE": stepsURL,
		"SLUICE_STAGE": "test", "SLUICE_LANES": "1", "SLUICE_RETENTION": "720h", "SLUICE_DELIVERY_RETENTION": "168h", "SLUICE_TENANT_CLAIM": "tenant",
		"SLUICE_ALLOW_PRIVATE_TARGETS": "true", "SLUICE_EGRESS_PROXY": "", // receivers are on loopback
		"SLUICE_OPERATOR_TENANT": "", "SLUICE_ALERT_URL": "",
	}
	given := slices.Sorted(maps.Keys(definition.variables))
	for _, name := range given {
		if _, ok := env[name]; ok {
			continue
		}
		value, ok := definition.value(definition.variables[name])
		if !ok {
			return nil, fmt.Errorf("template.yaml sets %s, which this stack does not support", name)
		}
		env[name] = value
	}
	for name := range env {
		if name != "AWS_ENDPOINT_URL" && !slices.Contains(given, name) {
			return nil, fmt.Errorf("template.yaml does not set %s", name)
		}
	}
	return env, nil
}

// listen starts the HTTP API.
func (s *Stack) listen(t testing.TB, definition *template) error {
	issuer, err := httpfront.NewIssuer("https://id.example.com/", "sluice")
	if err != nil {
		return err
	}
	s.Issuer = issuer
	o := httpfront.Options{Invoker: s.Host.Invoker(), Function: "api", JWT: issuer.Authorizer(), Open: definition.open}
	api, err := httpfront.New(o)
	if err != nil {
		return err
	}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return nil
}

// startPoller starts the event source mapping of fanout.
func (s *Stack) startPoller(t testing.TB, definition *template, o Options) error {
	mapping, err := definition.functions["fanout"].mapping("Kinesis")
	if err != nil {
		return err
	}
	giveUpAfter, err := strconv.Atoi(definition.defaults["GiveUpAfterSeconds"])
	if err != nil {
		return err
	}
	p := mapping.Properties
	s.Poller, err = streampoller.New(streampoller.Options{
		Stream: s.Kinesis, StreamARN: s.streamARN(),
		Invoker: s.invoker(o), Function: "fanout",
		BatchSize: p.BatchSize, BatchingWindow: seconds(p.BatchingWindow), ParallelizationFactor: 10,
		ReportBatchItemFailures:    slices.Contains(p.FunctionResponseTypes, "ReportBatchItemFailures"),
		BisectBatchOnFunctionError: p.Bisect, MaximumRetryAttempts: p.MaximumRetryAttempts,
		MaximumRecordAge: cmp.Or(o.RecordAge, seconds(giveUpAfter)), OnFailure: s.giveUp,
		PollInterval: 50 * time.Millisecond, RetryDelay: 50 * time.Millisecond, Hooks: o.Hooks,
	})
	if err != nil {
		return err
	}
	s.Poller.Start()
	t.Cleanup(s.Poller.Stop)
	return nil
}

// giveUp implements the on-failure destination: the bucket, with the keys of Lambda.
func (s *Stack) giveUp(ctx context.Context, record []byte) error {
	key := "aws/lambda/" + uuid.NewString() + "/shardId-000000000000/" + time.Now().UTC().Format("2006/01/02/2006-01-02T15.04.05-") + uuid.NewString()
	_, err := s.S3.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.Bucket, Key: &key, Body: bytes.NewReader(record)})
	return err
}

// Token returns an access token of the tenant with the scopes.
func (s *Stack) Token(tenant string, scopes ...string) string {
	claims := map[string]any{"tenant": tenant, "scope": strings.Join(scopes, " ")}
	if tenant == "" { // a platform token
		delete(claims, "tenant")
	}
	token, err := s.Issuer.Token(claims)
	if err != nil {
		panic(err) // its own key signs it
	}
	return token
}

// machine returns the state machine of this deployment.
func (s *Stack) machine(o Options) (*asl.Machine, error) {
	text, err := os.ReadFile(filepath.Join(Root(), "statemachine", "delivery.asl.json"))
	if err != nil {
		return nil, err
	}
	return asl.New(s.StateMachine, asl.Fill(text, s.StateMachine, s.Host.ARN("advance")), s.invoker(o).Invoke)
}

// Log returns everything that the functions have written.
func (s *Stack) Log() string {
	var text strings.Builder
	for _, name := range names {
		text.Write(s.Host.Log(name))
	}
	return text.String()
}
