// Program uses the API with a client that oapi-codegen generates into the folder sluice.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/sluicehq/sluice/test/contract/program/sluice"
)

func main() {
	url, token, ctx := os.Args[1], os.Args[2], context.Background()
	api := ok(sluice.NewClientWithResponses(url, sluice.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	})))
	var events sluice.PublishEventsJSONRequestBody
	line := map[string]any{"sku": "a-1", "price": 19.5, "gift": false, "note": nil}
	check(events.FromNewEvent(sluice.NewEvent{Name: "order.created", Payload: map[string]any{"order": 1, "lines": []any{line}}}))
	published := ok(api.PublishEventsWithResponse(ctx, nil, events))
	fmt.Println("published", len(published.JSON202.Events))
	ok(api.RegisterIntegrationWithResponse(ctx, nil, sluice.Registration{
		Id: "made", IntegrationType: sluice.Permanent, CallbackParameters: &sluice.NewCallback{CallbackUrl: "http://receiver.example/hooks"},
	}))
	made := ok(api.GetIntegrationWithResponse(ctx, "made", nil)).JSON200
	fmt.Println("made", made.Id, made.Status, made.IntegrationType, made.CallbackParameters.CallbackUrl)
	health := ok(api.GetIntegrationHealthWithResponse(ctx, "made", nil)).JSON200
	fmt.Println("health", health.State)
	list := ok(api.ListRejectedEventsWithResponse(ctx, "refusing", nil)).JSON200
	for _, e := range list.RejectedEvents {
		fmt.Println("rejected", *e.EventName, e.Reason, *e.StatusCode, e.CreatedAt.Format("2006-01-02T15:04:05.000Z07:00"))
	}
}

func ok[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
