package golden

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/sluicehq/sluice/internal/statemachine"
	"github.com/sluicehq/sluice/test/aws/emulators"
)

// step is one precondition of a case. It has exactly one field.
type step struct {
	// Call calls the API as the tenant: "POST /api/…", with Body.
	Call string          `json:"call,omitempty"`
	Body json.RawMessage `json:"body,omitempty"`
	// Deliver invokes fanout with records, as the stream does.
	Deliver []record `json:"deliver,omitempty"`
	// Run runs a function on the input of another case: "fanout/one-event".
	Run string `json:"run,omitempty"`
	// Advance takes the cursor of an integration on, in lane 0, until it has
	// nothing to do or has to wait.
	Advance string `json:"advance,omitempty"`
	// Receiver sets the receiver's next response statuses, in order; the last
	// status stays.
	Receiver []int `json:"receiver,omitempty"`
	// Bucket creates a bucket.
	Bucket string `json:"bucket,omitempty"`
	// Later moves all due times back by this much, as if time had passed.
	Later string `json:"later,omitempty"`
}

// before is a time in a given file: {{-1h}} is an hour ago.
var before = regexp.MustCompile(`\{\{(-?[0-9a-z]+)\}\}`)

func (w *World) give(ctx context.Context, c Case) error {
	text, err := c.optional(givenEnd)
	if text == nil || err != nil {
		return err
	}
	now := time.Now()
	text = before.ReplaceAllFunc(text, func(m []byte) []byte {
		d, bad := time.ParseDuration(string(before.FindSubmatch(m)[1]))
		if bad != nil {
			err = bad
		}
		return []byte(now.Add(d).UTC().Format("2006-01-02T15:04:05.000Z"))
	})
	if err != nil {
		return err
	}
	var steps []step
	if err := decodeStrict([]byte(w.toWorld(string(text))), &steps); err != nil {
		return err
	}
	for i := range steps {
		if err := w.take(ctx, i, &steps[i]); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

func (w *World) take(ctx context.Context, number int, s *step) error {
	switch {
	case s.Call != "":
		return w.call(ctx, s.Call, s.Body)
	case s.Deliver != nil:
		// Sequence numbers of the stream go up.
		input, err := batch(s.Deliver, number+1)
		if err != nil {
			return err
		}
		return w.invoke(ctx, "fanout", input, nil)
	case s.Run != "":
		function, name, _ := strings.Cut(s.Run, "/")
		c, err := Find(function, name)
		if err != nil {
			return err
		}
		input, err := c.Input()
		if err != nil {
			return err
		}
		return w.invoke(ctx, function, []byte(w.toWorld(string(input))), nil)
	case s.Advance != "":
		return w.advance(ctx, s.Advance)
	case s.Receiver != nil:
		w.mu.Lock()
		defer w.mu.Unlock()
		w.answers = s.Receiver
		return nil
	case s.Bucket != "":
		return w.bucket(ctx, s.Bucket)
	case s.Later != "":
		return w.later(ctx, s.Later)
	}
	return fmt.Errorf("the step is empty")
}

// call calls the API, which must respond with a 2xx.
func (w *World) call(ctx context.Context, what string, body []byte) error {
	status, text, err := w.api(ctx, what, body)
	if err == nil && status/100 != 2 {
		err = fmt.Errorf("%s: %d %s", what, status, text)
	}
	return err
}

func (w *World) api(ctx context.Context, what string, body []byte) (int, []byte, error) {
	method, path, _ := strings.Cut(what, " ")
	req, err := http.NewRequestWithContext(ctx, method, w.URL+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+w.Token(tenant, "integrations:write", "events:publish"))
	res, err := (&http.Client{Timeout: waitTimeout}).Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, text, err
}

func (w *World) invoke(ctx context.Context, function string, input []byte, answer any) error {
	r, err := w.Host.Invoke(ctx, function, input)
	if err == nil && r.FunctionError != "" {
		err = fmt.Errorf("%s failed: %s", function, r.Payload)
	}
	if err == nil && answer != nil {
		err = json.Unmarshal(r.Payload, answer)
	}
	return err
}

// mostSteps limits how often advance runs before a case.
const mostSteps = 20

func (w *World) advance(ctx context.Context, integration string) error {
	state := statemachine.State{Tenant: tenant, Integration: integration}
	for range mostSteps {
		input, err := json.Marshal(state)
		if err != nil {
			return err
		}
		if err := w.invoke(ctx, "advance", input, &state); err != nil {
			return err
		}
		if state.Next == statemachine.Done || state.WaitSeconds > 0 {
			return nil
		}
	}
	return fmt.Errorf("the cursor of %s still has work after %d steps", integration, mostSteps)
}

func (w *World) bucket(ctx context.Context, name string) error {
	_, err := w.S3.CreateBucket(ctx, &s3.CreateBucketInput{
		Bucket: &name, CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: emulators.Region},
	})
	return err
}

// later moves the due times in the due index.
func (w *World) later(ctx context.Context, by string) error {
	d, err := time.ParseDuration(by)
	if err != nil {
		return err
	}
	return w.items(ctx, w.Table, "pk, sk, due", func(item map[string]types.AttributeValue) error {
		if item["due"] == nil {
			return nil
		}
		_, err := w.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: &w.Table, Key: map[string]types.AttributeValue{"pk": item["pk"], "sk": item["sk"]},
			UpdateExpression: aws.String("SET due = due - :by"),
			ExpressionAttributeValues: map[string]types.AttributeValue{
				":by": &types.AttributeValueMemberN{Value: strconv.FormatInt(d.Milliseconds(), 10)},
			},
		})
		return err
	})
}
