package producer_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/sluicehq/sluice/producer"
)

func Example() {
	var cfg aws.Config // of config.LoadDefaultConfig
	p := producer.New(kinesis.NewFromConfig(cfg), "sluice-prod-Stream-1A2B3C")
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			slog.Error("some events may not be published", "error", err)
		}
	}()

	err := p.Publish(context.Background(), producer.Event{
		Tenant: "acme", ID: "01890a5d-ac96-774b-bcce-b302099a8057", Name: "order.created",
		Payload: json.RawMessage(`{"order_id": "1001"}`),
	})
	if err != nil {
		slog.Error("not published; will publish it again", "error", err)
	}
}

// Of a call with many events, only those that the stream did not accept are published again.
func ExampleNotAcceptedError() {
	var p *producer.Producer // of producer.New
	var events []producer.Event
	for len(events) > 0 {
		err := p.Publish(context.Background(), events...)
		refused, ok := errors.AsType[*producer.NotAcceptedError](err)
		if !ok {
			break // all are accepted, or one is not valid
		}
		var again []producer.Event
		for _, i := range refused.Indices {
			again = append(again, events[i])
		}
		events = again
	}
}
