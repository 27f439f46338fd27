package asl_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/test/aws/asl"
	"github.com/sluicehq/sluice/test/aws/emulators"
)

func TestMain(m *testing.M) { os.Exit(emulators.Run(m)) }

// ran is how an execution went, as far as every interpreter must agree.
type ran struct {
	Status types.ExecutionStatus
	Error  string
	Events int
}

// moto's interpreter takes the deployed definition the way this one does: the
// same retries and renewals, and as many events in the history. Where a renewal
// was made before, moto 5.2.1 fails by itself (it wants a RequestId of the
// error), and where an answer is null it takes a missing path for one that is
// there, which Step Functions does not; so neither is compared.
func TestMotoAgrees(t *testing.T) {
	want := map[string]ran{
		"orders-0": {types.ExecutionStatusSucceeded, "", 1 + 2*9 + 3 + 5 + 2 + 1}, // two steps and a retry
		"orders-2": {types.ExecutionStatusSucceeded, "", 1 + 9 + 2 + 1},
		"taken":    {types.ExecutionStatusSucceeded, "", 1 + 9 + 5 + 2 + 1},
		"null":     {types.ExecutionStatusFailed, "States.Runtime", 1 + 2 + 5 + 1 + 1},
	}
	t.Run("this one", func(t *testing.T) {
		s := newService(t, asl.Options{Jitter: func() float64 { return 0 }}, (&script{failures: 1}).steps())
		got := play(t, clientOf(s), machine, func(arn string) int {
			x, err := s.Describe(arn)
			if err != nil {
				t.Error(err)
			}
			return x.Events
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
	t.Run("moto", func(t *testing.T) {
		client, arn := newMoto(t, (&script{failures: 1}).steps())
		got := play(t, client, arn, func(arn string) int {
			events := 0
			pages := sfn.NewGetExecutionHistoryPaginator(client, &sfn.GetExecutionHistoryInput{ExecutionArn: aws.String(arn)})
			for pages.HasMorePages() {
				page, err := pages.NextPage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				events += len(page.Events)
			}
			return events
		})
		for _, name := range []string{"orders-0", "orders-2"} {
			if diff := cmp.Diff(want[name], got[name]); diff != "" {
				t.Errorf("%s (-want +got)\n%s", name, diff)
			}
		}
	})
}

// script is the function of one run of play.
type script struct {
	mu       sync.Mutex
	failures int // of the first calls
}

func (c *script) steps() invokeFunc {
	return func(_ context.Context, payload []byte) ([]byte, string, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.failures--; c.failures >= 0 {
			return []byte(`{"errorType":"Unavailable","errorMessage":"The records cannot be read."}`), "Unhandled", nil
		}
		var s step
		if err := json.Unmarshal(payload, &s); err != nil {
			return nil, "", err
		}
		if s.Tenant == "null" {
			return []byte(`null`), "", nil
		}
		s.Renewal = "orders-2"
		if s.Count++; s.Count == 1 {
			s.Next = "done"
		}
		result, err := json.Marshal(s)
		return result, "", err
	}
}

// play makes one execution renew itself, one find that its renewal was made,
// and one fail.
func play(t *testing.T, client *sfn.Client, machine string, events func(arn string) int) map[string]ran {
	t.Helper()
	got := map[string]ran{}
	for _, c := range []struct {
		name   string
		count  int
		tenant string
	}{{"orders-0", limit - 2, "acme"}, {"orders-2", -1, ""}, {"taken", limit - 1, "other"}, {"null", 0, "null"}} {
		arn := strings.Replace(machine, ":stateMachine:", ":execution:", 1) + ":" + c.name
		if c.count >= 0 {
			s := first
			s.Tenant, s.Count = c.tenant, c.count
			input, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.StartExecution(t.Context(), &sfn.StartExecutionInput{
				StateMachineArn: aws.String(machine), Name: aws.String(c.name), Input: aws.String(string(input)),
			}); err != nil {
				t.Fatal(err)
			}
		}
		x := ended(t, client, arn)
		got[c.name] = ran{x.Status, aws.ToString(x.Error), events(arn)}
	}
	return got
}

// ended waits until the execution is no longer running.
func ended(t *testing.T, client *sfn.Client, arn string) *sfn.DescribeExecutionOutput {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-ticker.C {
		x, err := client.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: aws.String(arn)})
		if err != nil {
			t.Fatal(err)
		}
		if x.Status != types.ExecutionStatusRunning {
			return x
		}
	}
	t.Fatalf("%s does not end", arn)
	return nil
}

// newMoto returns a client of moto, and the ARN of the deployed machine there.
// What it calls comes to a front of the test, which runs the function.
func newMoto(t *testing.T, function invokeFunc) (client *sfn.Client, machine string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	moto, err := url.Parse(emulators.MotoBehind(t, listener.Addr().(*net.TCPAddr).Port))
	if err != nil {
		t.Fatal(err)
	}
	rest := httputil.NewSingleHostReverseProxy(moto)
	front := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/2015-03-31/functions/") {
			rest.ServeHTTP(w, r)
			return
		}
		payload, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		result, functionError, err := function(r.Context(), payload)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Amzn-Requestid", "1")
		if functionError != "" {
			w.Header().Set("X-Amz-Function-Error", functionError)
		}
		_, _ = w.Write(result)
	})}
	served := make(chan error, 1)
	go func() { served <- front.Serve(listener) }()
	t.Cleanup(func() {
		if err := front.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	client = sfn.NewFromConfig(emulators.Config(moto.String()))
	machine = "arn:aws:states:" + emulators.Region + ":" + emulators.Account + ":stateMachine:delivery"
	text := strings.NewReplacer("${AdvanceFunctionArn}", advance, "${StateMachineArn}", machine).Replace(string(deployed(t)))
	made, err := client.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
		Name: aws.String("delivery"), Definition: aws.String(text), RoleArn: aws.String("arn:aws:iam::" + emulators.Account + ":role/delivery"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return client, *made.StateMachineArn
}
