// Package emulators starts the AWS emulators for tests: DynamoDB Local, kinesalite
// for Kinesis, and moto for S3, SQS and KMS. `make aws-tools` installs them into
// .aws-tools of the repository.
//
// Each starts once per test process, when a test first needs it, listens on a free
// port of loopback and keeps its data in memory. It exits with the test process,
// however that ends. A test whose emulator is not installed is skipped and says
// what is missing; if CI is set in the environment, it fails.
package emulators

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// Region is the region of all clients; the emulators accept any.
const Region = "eu-central-1"

// Account is the account that moto and kinesalite put into ARNs.
const Account = "123456789012"

var (
	dynamo = &emulator{name: "DynamoDB Local", needs: "a JDK and npm", command: dynamoCommand}
	stream = &emulator{name: "kinesalite", needs: "Node.js and npm", command: kinesaliteCommand}
	moto   = &emulator{name: "moto", needs: "Python 3.11 or later", command: motoCommand}
)

// Config returns a configuration for clients of the endpoint, a URL, with
// credentials that every emulator accepts and the SDK's standard retries. An S3
// client also needs UsePathStyle.
func Config(endpoint string) aws.Config {
	return aws.Config{
		Region:       Region,
		BaseEndpoint: aws.String(endpoint),
		Credentials:  credentials.NewStaticCredentialsProvider("AKIDTEST", "test", ""),
		RetryMode:    aws.RetryModeStandard,
	}
}

// DynamoDB returns a client of DynamoDB Local. Create tables with NewTable.
func DynamoDB(t testing.TB) *dynamodb.Client {
	t.Helper()
	return dynamodb.NewFromConfig(Config(DynamoDBURL(t)))
}

// DynamoDBURL is the endpoint of DynamoDB Local. All credentials and regions
// share one set of tables there.
func DynamoDBURL(t testing.TB) string {
	t.Helper()
	return dynamo.endpoint(t)
}

// Kinesis returns a client of kinesalite. A stream there is ready 10 ms after it
// was created or changed.
func Kinesis(t testing.TB) *kinesis.Client {
	t.Helper()
	return kinesis.NewFromConfig(Config(KinesisURL(t)))
}

// KinesisURL is the endpoint of kinesalite.
func KinesisURL(t testing.TB) string {
	t.Helper()
	return stream.endpoint(t)
}

// Moto returns the configuration for clients of moto: S3 (with UsePathStyle), SQS and
// KMS.
func Moto(t testing.TB) aws.Config {
	t.Helper()
	return Config(moto.endpoint(t))
}

// URLs are endpoints.
type URLs struct{ DynamoDB, Kinesis, Moto string }

// All starts all emulators concurrently.
func All(t testing.TB) URLs {
	t.Helper()
	var starting sync.WaitGroup
	for _, e := range []*emulator{dynamo, stream, moto} {
		starting.Go(func() { e.once.Do(e.start) })
	}
	starting.Wait()
	return URLs{DynamoDB: DynamoDBURL(t), Kinesis: KinesisURL(t), Moto: moto.endpoint(t)}
}

// Run runs the tests of a package, for its TestMain, then stops the emulators and
// waits until they have exited.
func Run(m *testing.M) int {
	code := m.Run()
	dynamo.stop()
	stream.stop()
	moto.stop()
	return code
}

// emulator starts when its endpoint is first needed.
type emulator struct {
	name, needs string
	command     func(tools string) (command, error)

	once    sync.Once
	process *process
	err     error
}

// errNotInstalled says that an emulator is not installed.
var errNotInstalled = errors.New("not installed")

func (e *emulator) endpoint(t testing.TB) string {
	t.Helper()
	e.once.Do(e.start)
	switch {
	case e.err == nil:
		return e.process.url
	case errors.Is(e.err, errNotInstalled) && os.Getenv("CI") == "":
		t.Skipf("%v", e.err)
	default:
		t.Fatalf("%v", e.err)
	}
	return ""
}

func (e *emulator) start() {
	tools, err := toolsDir()
	if err != nil {
		e.err = err
		return
	}
	c, err := e.command(tools)
	if err != nil {
		e.err = fmt.Errorf("%s is %w (%w): run 'make aws-tools', which needs %s for it", e.name, errNotInstalled, err, e.needs)
		return
	}
	if e.process, err = start(c); err != nil {
		e.err = fmt.Errorf("%s: %w", e.name, err)
	}
}

func (e *emulator) stop() {
	e.once.Do(func() {}) // none starts after this
	if e.process != nil {
		e.process.stop()
	}
}

// toolsDir is .aws-tools of the repository that the test runs in.
func toolsDir() (string, error) {
	dir, err := repository()
	return filepath.Join(dir, ".aws-tools"), err
}

// repository is the root folder of the working directory's module.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "test", "aws", "tools", "install.sh")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("emulators: the test does not run within the repository")
		}
		dir = up
	}
}
