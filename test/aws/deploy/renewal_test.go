package deploy

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice/internal/client"
	"github.com/sluicehq/sluice/internal/statemachine"
	"github.com/sluicehq/sluice/test/scenario"
)

// states calls an operation of Step Functions.
func (s services) states(ctx context.Context, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	text, err := s.post(ctx, "states", "application/x-amz-json-1.0", "AWSStepFunctions."+operation, body)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, out)
}

// renews starts an execution with one step left before it is renewed, for a replay whose
// receiver is down, and expects that the deployed machine continues as another execution. No
// scenario takes the 250 steps. The emulator does not ask whether the role may start it;
// infra/ does.
func (w *world) renews(t *testing.T) {
	const name, tenant, integration = "sluice-sam", "renewed", "past"
	env := w.env(t, name, &scenario.Secrets{})
	calls := make(chan struct{}, 3)
	down := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(http.StatusServiceUnavailable)
		select {
		case calls <- struct{}{}:
		default: // there were enough
		}
	}))
	t.Cleanup(down.Close)
	api, err := client.New(env.URL, env.Token(tenant, "integrations:read", "integrations:write", "events:publish"), false)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	if _, err := api.Create(t.Context(), client.Registration{
		ID: integration, Type: "temporary", StartsAt: now.Add(-time.Hour).Format(time.RFC3339), EndsAt: now.Add(time.Hour).Format(time.RFC3339),
		Callback: &client.Callback{URL: down.URL},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Publish(t.Context(), []byte(`{"name":"order.created","payload":{}}`)); err != nil {
		t.Fatal(err)
	}
	for range cap(calls) { // the first may be of live delivery; those after it are of the cursor
		select {
		case <-calls:
		case <-time.After(waitTimeout):
			t.Fatal("the replay is not tried again and again")
		}
	}
	machine, err := w.aws.resource(t.Context(), name, "Delivery")
	if err != nil {
		t.Fatal(err)
	}
	last := w.play(t, machine, statemachine.State{Tenant: tenant, Integration: integration, Count: 249, Next: statemachine.Wait})
	var next struct{ ExecutionArn string }
	if err := json.Unmarshal([]byte(last.Output), &next); err != nil || last.Status != "SUCCEEDED" || next.ExecutionArn == "" {
		t.Fatalf("the execution was not renewed: %+v, %v", last, err)
	}
	renewed := execution{ARN: next.ExecutionArn}
	var input statemachine.State
	if err := w.aws.states(t.Context(), "DescribeExecution", renewed, &renewed); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(renewed.Input), &input); err != nil || input.Count != 0 || input.Tenant != tenant || input.Integration != integration {
		t.Errorf("it was renewed as %+v, %v", renewed, err)
	}
	if err := api.Delete(t.Context(), integration); err != nil {
		t.Error(err)
	}
}

// execution is one as DescribeExecution returns it.
type execution struct {
	ARN    string `json:"executionArn"`
	Status string `json:"status,omitzero"`
	Input  string `json:"input,omitzero"`
	Output string `json:"output,omitzero"`
}

// play starts an execution and waits until it has ended.
func (w *world) play(t *testing.T, machine string, state statemachine.State) execution {
	t.Helper()
	input, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	var x execution
	if err := w.aws.states(t.Context(), "StartExecution", map[string]string{
		"stateMachineArn": machine, "name": uuid.NewString(), "input": string(input),
	}, &x); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for x.Status == "" || x.Status == "RUNNING" {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the execution has not ended: %+v", x)
		}
		if err := w.aws.states(ctx, "DescribeExecution", execution{ARN: x.ARN}, &x); err != nil {
			t.Fatal(err)
		}
	}
	return x
}
