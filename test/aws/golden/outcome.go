package golden

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/sluicehq/sluice/internal/publish/kinesis"
	"github.com/sluicehq/sluice/test/aws/front"
	"github.com/sluicehq/sluice/test/aws/lambdahost"
)

// Outcome is a function's result and its observable effects.
type Outcome struct {
	Answer       any                    `json:"answer"`
	Failed       bool                   `json:"failed,omitempty"`   // the result is an error
	Calls        []call                 `json:"receiver,omitempty"` // calls that it got
	Published    []published            `json:"stream,omitempty"`   // records that were put there
	Objects      map[string]any         `json:"objects,omitempty"`  // new ones, by key
	Executions   []execution            `json:"executions,omitempty"`
	Messages     []message              `json:"messages,omitempty"` // that were sent to the queue
	Integrations map[string]integration `json:"integrations,omitempty"`
	Requests     map[string]int         `json:"requests,omitempty"` // to AWS, by operation
}

type published struct {
	Partition string   `json:"partition_key"`
	Events    []string `json:"events"` // names
}

// execution is one that was started.
type execution struct {
	Integration string `json:"integration"`
	Lane        int    `json:"lane"`
	WaitSeconds int    `json:"wait_seconds"`
}

// message is one that was sent.
type message struct {
	execution
	Shadow bool `json:"shadow,omitempty"`
	Count  int  `json:"count"`
}

type integration struct {
	Status   string   `json:"status"`
	Log      []string `json:"log"` // actions, oldest first
	Rejected int      `json:"rejected_events,omitempty"`
}

// observe collects the outcome of an invocation.
func (w *World) observe(ctx context.Context, r lambdahost.Result, requests front.Counts, old map[string]any) (*Outcome, error) {
	o := &Outcome{Failed: r.FunctionError != "", Requests: map[string]int{}}
	for name, n := range requests {
		if !strings.HasPrefix(name, front.Lambda+".") { // those are of executions
			o.Requests[name] = n
		}
	}
	w.mu.Lock()
	o.Calls = slices.Clone(w.calls)
	noted := w.requests
	w.mu.Unlock()
	slices.SortStableFunc(o.Calls, func(a, b call) int { return cmp.Or(cmp.Compare(a.Event, b.Event), cmp.Compare(a.Path, b.Path)) })
	for _, n := range noted {
		if err := o.add(n); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(o.Executions, func(a, b execution) int { return cmp.Compare(a.Integration, b.Integration) })
	var err error
	if o.Answer, err = readable(r.Payload); err != nil {
		return nil, err
	}
	if o.Objects, err = w.objects(ctx); err != nil {
		return nil, err
	}
	for key := range old {
		delete(o.Objects, key)
	}
	o.Integrations, err = w.integrations(ctx)
	return o, err
}

func (o *Outcome) add(r request) error {
	switch r.op {
	case "StartExecution":
		var in struct{ Input string }
		if err := json.Unmarshal(r.body, &in); err != nil {
			return err
		}
		var e execution
		if err := json.Unmarshal([]byte(in.Input), &e); err != nil {
			return err
		}
		o.Executions = append(o.Executions, e)
	case "SendMessage":
		var in struct{ MessageBody string }
		if err := json.Unmarshal(r.body, &in); err != nil {
			return err
		}
		var m message
		if err := json.Unmarshal([]byte(in.MessageBody), &m); err != nil {
			return err
		}
		o.Messages = append(o.Messages, m)
	case "PutRecords":
		var in struct {
			Records []struct {
				Data         []byte
				PartitionKey string
			}
		}
		if err := json.Unmarshal(r.body, &in); err != nil {
			return err
		}
		for _, put := range in.Records {
			content, err := kinesis.Decode(put.PartitionKey, put.Data)
			if err != nil {
				return err
			}
			p := published{Partition: put.PartitionKey}
			for i := range content.Events {
				p.Events = append(p.Events, content.Events[i].Name)
			}
			if !content.Marker.IsZero() {
				p.Events = append(p.Events, "(watermark marker)")
			}
			o.Published = append(o.Published, p)
		}
	}
	return nil
}

// readable decodes a result and the body in it.
func readable(payload []byte) (any, error) {
	if len(payload) == 0 {
		return nil, nil
	}
	var answer any
	if err := json.Unmarshal(payload, &answer); err != nil {
		return nil, fmt.Errorf("the result %q: %w", payload, err)
	}
	if fields, ok := answer.(map[string]any); ok {
		if text, ok := fields["body"].(string); ok {
			var body any
			if json.Unmarshal([]byte(text), &body) == nil {
				fields["body"] = body
			}
		}
	}
	return answer, nil
}

func (w *World) integrations(ctx context.Context) (map[string]integration, error) {
	const base = "GET /api/v1/org/integrations/eventstream"
	var list struct {
		Integrations []struct{ ID, Status string }
	}
	if err := w.get(ctx, base, &list); err != nil {
		return nil, err
	}
	all := map[string]integration{}
	for _, in := range list.Integrations {
		var log struct{ Entries []struct{ Action string } }
		var rejected struct {
			Events []json.RawMessage `json:"rejected_events"`
		}
		err := errors.Join(w.get(ctx, base+"/"+in.ID+"/logs", &log), w.get(ctx, base+"/"+in.ID+"/rejected_events", &rejected))
		if err != nil {
			return nil, err
		}
		seen := integration{Status: in.Status, Rejected: len(rejected.Events)}
		for _, e := range slices.Backward(log.Entries) {
			seen.Log = append(seen.Log, e.Action)
		}
		all[in.ID] = seen
	}
	return all, nil
}

func (w *World) get(ctx context.Context, what string, into any) error {
	status, text, err := w.api(ctx, what, nil)
	if err == nil && status != 200 {
		err = fmt.Errorf("%s: %d %s", what, status, text)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// objects returns the contents of both buckets by key: parsed if it is JSON,
// otherwise the number of lines or the size.
func (w *World) objects(ctx context.Context) (map[string]any, error) {
	all := map[string]any{}
	for _, bucket := range []string{w.Bucket, exports} {
		keys, err := w.keys(ctx, bucket)
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			if all[key], err = w.content(ctx, bucket, key); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

func (w *World) keys(ctx context.Context, bucket string) ([]string, error) {
	list, err := w.S3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket})
	if none := (*types.NoSuchBucket)(nil); errors.As(err, &none) {
		return nil, nil // most cases export nothing
	}
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, o := range list.Contents {
		keys = append(keys, *o.Key)
	}
	return keys, nil
}

func (w *World) content(ctx context.Context, bucket, key string) (any, error) {
	object, err := w.S3.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, err
	}
	defer func() { _ = object.Body.Close() }()
	text, err := io.ReadAll(object.Body)
	if err != nil {
		return nil, err
	}
	var parsed any
	if json.Unmarshal(text, &parsed) == nil {
		return parsed, nil
	}
	if bytes.HasPrefix(text, []byte("{")) { // NDJSON
		return fmt.Sprintf("%d lines", bytes.Count(text, []byte("\n"))), nil
	}
	return fmt.Sprintf("%d bytes", len(text)), nil
}

// ownIDs is the prefix of the event ids that the samples fix.
const ownIDs = "01977a"

var volatile = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "<id>"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "<time>"},
	{regexp.MustCompile(`/\d{13}-data-[A-Za-z0-9]+\.export`), "/<time>-data-<id>.export"},
	{regexp.MustCompile(`-[0-9a-f]{16}\.zst`), "-<nonce>.zst"},
	{regexp.MustCompile(`"[A-Z2-7]{26}"`), `"<request id>"`},
	{regexp.MustCompile(`"version": "[0-9a-z]+"`), `"version": "<version>"`},
	{regexp.MustCompile(`"renewal": "[^"]+"`), `"renewal": "<name>"`},
	{regexp.MustCompile(`"wait_seconds": [1-9]\d*`), `"wait_seconds": "<seconds>"`},
}

// Text returns the outcome for a golden file, with placeholders for what the input
// does not determine.
func (w *World) Text(c Case, o *Outcome) ([]byte, error) {
	input, err := c.Input()
	if err != nil {
		return nil, err
	}
	made, err := c.optional(recordsEnd)
	if err != nil {
		return nil, err
	}
	given := string(input) + string(made)
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(o); err != nil {
		return nil, err
	}
	out := w.fromWorld(text.String())
	for _, v := range volatile {
		out = v.pattern.ReplaceAllStringFunc(out, func(found string) string {
			if strings.Contains(given, found) || strings.HasPrefix(found, ownIDs) {
				return found
			}
			return v.name
		})
	}
	return []byte(out), nil
}
