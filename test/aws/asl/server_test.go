package asl_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/sluicehq/sluice/test/aws/asl"
)

// inProcess answers requests by a handler, without a network, so that it can be
// used in a bubble.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

func clientOf(s *asl.Service) *sfn.Client {
	return sfn.NewFromConfig(aws.Config{
		Region:       "eu-central-1",
		BaseEndpoint: aws.String("http://states.invalid"),
		Credentials:  credentials.NewStaticCredentialsProvider("AK", "SK", ""),
		HTTPClient:   &http.Client{Transport: inProcess{asl.Server{Service: s}}},
	})
}

// The client of the SDK finds what it expects.
func TestServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := newService(t, asl.Options{}, steps(func(_ int, s *step) error { s.WaitSeconds, s.Next = 0, "done"; return nil }))
		c := clientOf(s)
		startIt := func(name, input string) (*sfn.StartExecutionOutput, error) {
			return c.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: aws.String(machine), Name: aws.String(name), Input: aws.String(input)})
		}
		began := time.Now()
		started, err := startIt("a", `{"wait_seconds":60}`)
		if err != nil || !started.StartDate.Equal(began) {
			t.Fatalf("%+v, %v", started, err)
		}
		var exists *types.ExecutionAlreadyExists
		if _, err := startIt("a", `{"wait_seconds":61}`); !errors.As(err, &exists) {
			t.Errorf("error %v", err)
		}
		for _, name := range []string{"b", "c"} {
			if _, err := startIt(name, `{"wait_seconds":3600}`); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(61 * time.Second)
		synctest.Wait()
		x, err := c.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: started.ExecutionArn})
		if err != nil || x.Status != types.ExecutionStatusSucceeded || !x.StopDate.Equal(began.Add(time.Minute)) || !strings.Contains(*x.Output, `"next":"done"`) {
			t.Errorf("%+v, %v", x, err)
		}
		stopped := strings.TrimSuffix(*started.ExecutionArn, "a") + "b"
		if _, err := c.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: aws.String(stopped), Error: aws.String("E"), Cause: aws.String("why")}); err != nil {
			t.Error(err)
		}
		var missing *types.ExecutionDoesNotExist
		if _, err := c.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: aws.String(stopped + "x")}); !errors.As(err, &missing) {
			t.Errorf("error %v", err)
		}
		var names []string
		pages := sfn.NewListExecutionsPaginator(c, &sfn.ListExecutionsInput{StateMachineArn: aws.String(machine), MaxResults: 2})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range page.Executions {
				names = append(names, *x.Name+" "+string(x.Status))
			}
		}
		if got := strings.Join(names, ", "); got != "c RUNNING, b ABORTED, a SUCCEEDED" {
			t.Errorf("executions %s", got)
		}
		only, err := c.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: aws.String(machine), StatusFilter: types.ExecutionStatusRunning})
		if err != nil || len(only.Executions) != 1 {
			t.Errorf("running %+v, %v", only, err)
		}
		if _, err := c.ListStateMachines(ctx, &sfn.ListStateMachinesInput{}); err == nil || !strings.Contains(err.Error(), "UnknownOperation") {
			t.Errorf("another call: %v", err)
		}
	})
}

func FuzzServer(f *testing.F) {
	f.Add("StartExecution", `{"stateMachineArn":"`+machine+`","name":"a","input":"{}"}`)
	f.Add("ListExecutions", `{"stateMachineArn":"`+machine+`","maxResults":1,"nextToken":"1"}`)
	f.Fuzz(func(t *testing.T, operation, body string) {
		s := newService(t, asl.Options{}, steps(func(_ int, s *step) error { s.Next = "done"; return nil }))
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("X-Amz-Target", "AWSStepFunctions."+operation)
		w := httptest.NewRecorder()
		asl.Server{Service: s}.ServeHTTP(w, r)
		if w.Code != http.StatusOK && w.Code != http.StatusBadRequest {
			t.Errorf("status %d", w.Code)
		}
	})
}
