// Package publish validates the body of a publish call and writes its events to the
// log: all of them or none. Payloads are validated and compacted as text, never
// decoded, so every number and character in them is preserved.
package publish

import (
	"context"
	"crypto/sha256"
	"runtime"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/idempotency"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
)

// Log stores drafts durably as events of a tenant, spread over its lanes.
type Log interface {
	// Publish stamps and writes the drafts, in order within a lane. The tenant is that of
	// the drafts that name none; it is "" if each names one. If it returns
	// nil, all of them are durable; after an error, some may be. It does not read
	// drafts after it has returned.
	Publish(ctx context.Context, tenant string, lanes event.Lanes, drafts []event.Draft) error
	// PublishOnce is Publish for the tenant of the key, and gives ids to the drafts that
	// have none. A repeat, for idempotency.Life from the first call on, gives the same ids
	// and writes what the calls before it did not, so nothing if one of them returned nil.
	// Its errors are those of package idempotency too: then nothing is written.
	PublishOnce(ctx context.Context, key idempotency.Key, lanes event.Lanes, drafts []event.Draft) error
}

// Format is the format of a publish call's body.
type Format int

// The formats of a body.
const (
	JSON   Format = iota // one event, or {"events":[…]}
	NDJSON               // one event per line; empty lines are skipped
)

// Call is one publish call.
type Call struct {
	Tenant    string // of the events that name none; "": each must name one
	AnyTenant bool   // events may name any tenant; otherwise, none but Tenant
	Format    Format
	Body      []byte
	Key       string // the call is done once for each; "": it has none
}

// Service publishes events. It is safe for concurrent use.
type Service struct {
	// Admit, unless nil, is asked before anything is written. It gets how many bytes of the
	// call are for which tenant; its error is that of the call. Set it before the first call.
	Admit func(bytes map[string]int) error
	// Lanes returns over how many lanes events are spread; New sets it to those of the
	// settings. It is asked before the events get their time: a replay that is complete by then
	// is not concerned by lanes that are opened later. Set it before the first call.
	Lanes func(ctx context.Context) event.Lanes

	log     Log
	limits  limits
	parsers chan struct{} // a place for each large body that is being parsed
}

// largeBody is the size from which on a body waits for a place to be parsed.
const largeBody = 64 << 10

type limits struct {
	event, call int64 // bytes
	events      int
}

// New returns a Service with the limits and lanes of the settings.
func New(log Log, s settings.Settings) *Service {
	return &Service{
		Lanes:  func(context.Context) event.Lanes { return event.Lanes{Each: s.Lanes} },
		log:    log,
		limits: limits{event: s.MaxEventBytes, call: s.MaxPublishBytes, events: s.MaxPublishEvents},
		// More at a time would take more memory and no less time.
		parsers: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
}

// Publish stores the events of the call durably and returns their ids in order. It takes
// ownership of the body and compacts it in place. Errors name the offending event. Nothing
// is written unless every event is valid and every tenant's part is admitted.
func (s *Service) Publish(ctx context.Context, call Call) ([]string, error) {
	if !call.AnyTenant { // before it is parsed, which is what takes time
		if err := s.admit(map[string]int{call.Tenant: len(call.Body)}); err != nil {
			return nil, err
		}
	}
	digest := digestOf(call) // parsing changes the body
	p, err := s.parse(ctx, call)
	if err != nil {
		return nil, err
	}
	if call.AnyTenant {
		if err := s.admit(p.bytes); err != nil {
			return nil, err
		}
	}
	drafts, lanes := p.drafts, s.Lanes(ctx)
	if call.Key == "" {
		err = s.log.Publish(ctx, call.Tenant, lanes, drafts)
	} else {
		err = s.log.PublishOnce(ctx, idempotency.Key{Tenant: call.Tenant, Name: call.Key, Body: digest}, lanes, drafts)
	}
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(drafts))
	for i := range drafts {
		ids[i] = drafts[i].ID
	}
	return ids, nil
}

// digestOf returns what identifies the content of a call with a key.
func digestOf(call Call) (d idempotency.Digest) {
	if call.Key == "" {
		return d
	}
	h := sha256.New()
	_, _ = h.Write([]byte{byte(call.Format)}) // a hash never fails
	_, _ = h.Write(call.Body)
	h.Sum(d[:0])
	return d
}

func (s *Service) admit(bytes map[string]int) error {
	if s.Admit == nil {
		return nil
	}
	return s.Admit(bytes)
}

// parse is parseNow, and limits how many large bodies are parsed at a time.
func (s *Service) parse(ctx context.Context, call Call) (*parser, error) {
	if len(call.Body) < largeBody {
		return s.parseNow(call)
	}
	select {
	case s.parsers <- struct{}{}:
		defer func() { <-s.parsers }()
		return s.parseNow(call)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// parseNow parses and checks the events of a call.
func (s *Service) parseNow(call Call) (*parser, error) {
	if int64(len(call.Body)) > s.limits.call {
		return nil, problem.New(problem.PayloadTooLarge,
			"The call has %d bytes; the limit is %d. Send the events in several calls.", len(call.Body), s.limits.call)
	}
	p := &parser{limits: s.limits, call: call, body: call.Body, bytes: map[string]int{}}
	parse := p.json
	if call.Format == NDJSON {
		parse = p.lines
	}
	if err := parse(); err != nil {
		return nil, err
	}
	if len(p.drafts) == 0 {
		return nil, noEvents(call.Format)
	}
	if err := p.uniqueIDs(); err != nil {
		return nil, err
	}
	for i := range p.drafts {
		if err := finish(&p.drafts[i], call.Key == ""); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func noEvents(format Format) error {
	if format == NDJSON {
		return problem.New(problem.InvalidRequest, "The call has no events; send at least one, each on its own line.")
	}
	return problem.New(problem.InvalidRequest, "The list events has no events; send at least one.")
}

// uniqueIDs rejects a call with a duplicate id. It skips events without an id, which
// get one later.
func (p *parser) uniqueIDs() error {
	first := make(map[string]int, len(p.drafts))
	for i := range p.drafts {
		id := p.drafts[i].ID
		if id == "" {
			continue
		}
		if j, ok := first[id]; ok {
			return p.reject(p.places[i], problem.InvalidRequest, "id",
				"%s is also the id of %s; ids must be unique within a call", id, p.places[j])
		}
		first[id] = i
	}
	return nil
}

// finish compacts the payload, which is valid JSON, and generates a missing id if it is to.
func finish(d *event.Draft, id bool) error {
	if err := compact(&d.Payload); err != nil {
		return problem.Wrap(err, problem.Internal, "A valid payload could not be compacted.")
	}
	if d.ID != "" || !id {
		return nil
	}
	made, err := uuid.NewV7()
	if err != nil {
		return problem.Wrap(err, problem.Internal, "An event id could not be generated.")
	}
	d.ID = made.String()
	return nil
}
