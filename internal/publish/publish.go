// Package publish validates the body of a publish call and writes its events to the
// log: all of them or none. Payloads are validated and compacted as text, never
// decoded, so every number and character in them is preserved.
package publish

import (
	"context"
	"runtime"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
)

// Log stores drafts durably as events of a tenant, spread over its lanes.
type Log interface {
	// Publish stamps and writes the drafts, in order within a lane. If it returns
	// nil, all of them are durable; after an error, some may be. It does not read
	// drafts after it has returned.
	Publish(ctx context.Context, tenant string, lanes int, drafts []event.Draft) error
}

// Format is the format of a publish call's body.
type Format int

// The formats of a body.
const (
	JSON   Format = iota // one event, or {"events":[…]}
	NDJSON               // one event per line; empty lines are skipped
)

// Service publishes events. It is safe for concurrent use.
type Service struct {
	log     Log
	limits  limits
	lanes   int
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
		log:    log,
		limits: limits{event: s.MaxEventBytes, call: s.MaxPublishBytes, events: s.MaxPublishEvents},
		lanes:  s.Lanes,
		// More at a time would take more memory and no less time.
		parsers: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
}

// Publish stores the events in body durably and returns their ids in order. It takes
// ownership of body and compacts it in place. Errors name the offending event. Nothing
// is written unless every event is valid.
func (s *Service) Publish(ctx context.Context, tenant string, format Format, body []byte) ([]string, error) {
	drafts, err := s.parse(ctx, format, body)
	if err != nil {
		return nil, err
	}
	if err := s.log.Publish(ctx, tenant, s.lanes, drafts); err != nil {
		return nil, err
	}
	ids := make([]string, len(drafts))
	for i := range drafts {
		ids[i] = drafts[i].ID
	}
	return ids, nil
}

// parse is drafts, and limits how many large bodies are parsed at a time.
func (s *Service) parse(ctx context.Context, format Format, body []byte) ([]event.Draft, error) {
	if len(body) < largeBody {
		return s.drafts(format, body)
	}
	select {
	case s.parsers <- struct{}{}:
		defer func() { <-s.parsers }()
		return s.drafts(format, body)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *Service) drafts(format Format, body []byte) ([]event.Draft, error) {
	if int64(len(body)) > s.limits.call {
		return nil, problem.New(problem.PayloadTooLarge,
			"The call has %d bytes; the limit is %d. Send the events in several calls.", len(body), s.limits.call)
	}
	p := &parser{limits: s.limits, body: body}
	parse := p.json
	if format == NDJSON {
		parse = p.lines
	}
	if err := parse(); err != nil {
		return nil, err
	}
	if len(p.drafts) == 0 {
		return nil, noEvents(format)
	}
	if err := p.uniqueIDs(); err != nil {
		return nil, err
	}
	for i := range p.drafts {
		if err := finish(&p.drafts[i]); err != nil {
			return nil, err
		}
	}
	return p.drafts, nil
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

// finish generates a missing id and compacts the payload, which is valid JSON.
func finish(d *event.Draft) error {
	if err := compact(&d.Payload); err != nil {
		return problem.Wrap(err, problem.Internal, "A valid payload could not be compacted.")
	}
	if d.ID != "" {
		return nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return problem.Wrap(err, problem.Internal, "An event id could not be generated.")
	}
	d.ID = id.String()
	return nil
}
