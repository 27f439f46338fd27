package emulators

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/google/go-cmp/cmp"
)

func TestMain(m *testing.M) { os.Exit(Run(m)) }

func TestTablesHaveTheTemplatesKeys(t *testing.T) {
	t.Parallel()
	client := DynamoDB(t)
	name, segments := NewTable(t, client), NewSegments(t, client)
	checkKeys(t, client, name, map[string]string{"": "pk HASH, sk RANGE", "timetable": "timetable" + " HASH, due RANGE KEYS_ONLY"})
	checkKeys(t, client, segments, map[string]string{"": "pk HASH, sk RANGE"})
	if other := NewTable(t, client); other == name || other == segments {
		t.Errorf("two tables of one name, %s", other)
	}
}

func checkKeys(t *testing.T, client *dynamodb.Client, name string, want map[string]string) {
	t.Helper()
	out, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &name})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{"": describe(out.Table.KeySchema)}
	for _, index := range out.Table.GlobalSecondaryIndexes {
		got[*index.IndexName] = describe(index.KeySchema) + " " + string(index.Projection.ProjectionType)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys of the table and its indexes (-want +got):\n%s", diff)
	}
	if out.Table.TableStatus != types.TableStatusActive {
		t.Errorf("the table is %s", out.Table.TableStatus)
	}
}

func describe(keys []types.KeySchemaElement) string {
	var parts []string
	for _, k := range keys {
		parts = append(parts, *k.AttributeName+" "+string(k.KeyType))
	}
	return strings.Join(parts, ", ")
}

func TestTableGoesWithItsTest(t *testing.T) {
	t.Parallel()
	client := DynamoDB(t)
	var name string
	t.Run("a test", func(t *testing.T) { name = NewTable(t, client) })
	_, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &name})
	if gone := (*types.ResourceNotFoundException)(nil); !errors.As(err, &gone) {
		t.Errorf("the table of a test that is over: %v", err)
	}
}

func TestOneProcessForAll(t *testing.T) {
	t.Parallel()
	if one, other := KinesisURL(t), KinesisURL(t); one != other {
		t.Errorf("two emulators, %s and %s", one, other)
	}
	urls := All(t)
	for _, where := range []string{urls.DynamoDB, urls.Kinesis, urls.Moto} {
		if !strings.HasPrefix(where, "http://127.0.0.1:") {
			t.Errorf("%s is not on loopback", where)
		}
	}
}

// orphanVariable makes the test binary start all emulators, print their endpoints
// and wait to be killed.
const orphanVariable = "SLUICE_TEST_ORPHANS"

func TestKilledParentLeavesNoneBehind(t *testing.T) {
	if os.Getenv(orphanVariable) != "" {
		fmt.Printf("up %s %s %s\n", DynamoDBURL(t), KinesisURL(t), moto.endpoint(t))
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
	t.Parallel()
	KinesisURL(t) // skips where nothing is installed
	DynamoDBURL(t)
	Moto(t)
	parent := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	parent.Env = append(os.Environ(), orphanVariable+"=1")
	stdin, err := parent.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var up []string
	for lines := bufio.NewScanner(out); up == nil && lines.Scan(); {
		if _, list, is := strings.Cut(lines.Text(), "up "); is {
			up = strings.Fields(list)
		}
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	_ = parent.Wait() // killed
	if len(up) != 3 {
		t.Fatalf("the parent started %q, want three", up)
	}
	for _, where := range up {
		if !closes(where) {
			t.Errorf("%s still responds after its parent was killed", where)
		}
	}
}

// closes waits until nothing listens on the address.
func closes(where string) bool {
	address, err := url.Parse(where)
	if err != nil {
		return false
	}
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.Dial("tcp", address.Host)
		if err != nil {
			return true
		}
		conn.Close()
		select {
		case <-tick.C:
		case <-deadline.C:
			return false
		}
	}
}

// A client that disconnects while it waits must not crash kinesalite.
func TestKinesisSurvivesAClosedConnection(t *testing.T) {
	t.Parallel()
	client := Kinesis(t)
	address, err := url.Parse(KinesisURL(t))
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"StreamName":"none"}`
	request := "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: Kinesis_20131202.DescribeStream\r\nX-Amz-Date: x\r\n" +
		"Content-Type: application/x-amz-json-1.1\r\nAuthorization: x Credential=x,SignedHeaders=x,Signature=x\r\n" +
		"Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	for n := range len(request) / 8 {
		conn, err := net.Dial("tcp", address.Host)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).SetLinger(0); err != nil { // a reset, not an end
			t.Fatal(err)
		}
		fmt.Fprint(conn, request[:len(request)-n*8])
		conn.Close()
	}
	if _, err := client.ListStreams(t.Context(), &kinesis.ListStreamsInput{}); err != nil {
		t.Errorf("after clients that hung up: %v", err)
	}
}

// outcome records how a test was skipped or failed.
type outcome struct {
	testing.TB
	skipped, failed string
}

func (o *outcome) Helper()                           {}
func (o *outcome) Skipf(format string, args ...any)  { o.skipped = fmt.Sprintf(format, args...) }
func (o *outcome) Fatalf(format string, args ...any) { o.failed = fmt.Sprintf(format, args...) }

func TestSkipsWithoutToolsButNotInCI(t *testing.T) {
	without := func(string) (command, error) { return command{}, errors.New("there is no kinesalite") }
	for _, ci := range []string{"", "true"} {
		t.Setenv("CI", ci)
		got := &outcome{TB: t}
		lacking := &emulator{name: "gadget", needs: "a toolchain", command: without}
		lacking.endpoint(got)
		message, other := got.skipped, got.failed
		if ci != "" {
			message, other = other, message
		}
		folder := &outcome{TB: t}
		Installed(folder, "what deploys", "no-such-folder")
		if (folder.failed != "") != (ci != "") || !strings.Contains(folder.skipped+folder.failed, "no-such-folder") {
			t.Errorf("with CI=%q a missing folder skips by %q and fails by %q", ci, folder.skipped, folder.failed)
		}
		for _, part := range []string{"gadget", "kinesalite", "a toolchain", "make aws-tools"} {
			if !strings.Contains(message, part) || other != "" {
				t.Errorf("with CI=%q it is skipped by %q and fails by %q, want %q named", ci, got.skipped, got.failed, part)
			}
		}
	}
	t.Setenv("CI", "")
	got := &outcome{TB: t}
	broken := &emulator{name: "gadget", command: func(string) (command, error) { return command{args: []string{"/bin/false"}}, nil }}
	if broken.endpoint(got); got.failed == "" || got.skipped != "" {
		t.Errorf("one that is installed and does not start: skipped by %q, failed by %q", got.skipped, got.failed)
	}
}

func TestMissingToolsAreNamed(t *testing.T) {
	empty := t.TempDir()
	for name, try := range map[string]func() (command, error){
		"DynamoDBLocal.jar": func() (command, error) { return dynamoCommand(empty) },
		"kinesalite":        func() (command, error) { return kinesaliteCommand(empty) },
		"venv":              func() (command, error) { return motoCommand(empty) },
	} {
		if _, err := try(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("in an empty folder: %v, want %s named", err, name)
		}
	}
}

func TestEmulatorThatEndsTellsWhy(t *testing.T) {
	_, err := start(command{args: []string{"/bin/sh", "-c", "echo no such luck; exit 3"}})
	if err == nil || !strings.Contains(err.Error(), "no such luck") || !strings.Contains(err.Error(), "3") {
		t.Errorf("%v, want its output and its exit status", err)
	}
}
