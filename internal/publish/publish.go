// Package publish checks the body of a publish call and hands its events to
// the log: all of them, or none. Payloads are checked and compacted as text,
// never decoded, so that every number and character in them survives.
package publish

import (
	"context"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
)

// Log makes drafts durable as events of a tenant, spread over its lanes.
type Log interface {
	// Publish stamps and writes the drafts, in their order within a lane. When
	// it returns without an error all of them are durable; with an error, some
	// may be. Drafts are not read after it has returned.
	Publish(ctx context.Context, tenant string, lanes int, drafts []event.Draft) error
}

// Format is the form of a publish call's body.
type Format int

// The forms of a body.
const (
	JSON   Format = iota // one event, or {"events":[…]}
	NDJSON               // one event a line; empty lines are skipped
)

// Service publishes events. It is safe for concurrent use.
type Service struct {
	log    Log
	limits limits
	lanes  int
}

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
	}
}

// Publish makes the events in body durable and returns their ids in order.
// body belongs to the Service from then on: it is compacted in place. Errors
// name the event they are about; nothing is written unless every event is
// good.
func (s *Service) Publish(ctx context.Context, tenant string, format Format, body []byte) ([]string, error) {
	drafts, err := s.drafts(format, body)
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

func (s *Service) drafts(format Format, body []byte) ([]event.Draft, error) {
	if int64(len(body)) > s.limits.call {
		return nil, problem.New(problem.PayloadTooLarge,
			"The call has %d bytes; at most %d are taken. Send the events in several calls.", len(body), s.limits.call)
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
		return problem.New(problem.InvalidRequest, "There is no event in the call; send at least one, each on a line of its own.")
	}
	return problem.New(problem.InvalidRequest, "There is no event in the list events; send at least one.")
}

// uniqueIDs refuses a call that has one id twice. Ids that are yet to be made
// are not among them.
func (p *parser) uniqueIDs() error {
	first := make(map[string]int, len(p.drafts))
	for i := range p.drafts {
		id := p.drafts[i].ID
		if id == "" {
			continue
		}
		if j, ok := first[id]; ok {
			return p.refuse(p.places[i], problem.InvalidRequest, "id",
				"is %s, as is that of %s; an id can be in a call once", id, p.places[j])
		}
		first[id] = i
	}
	return nil
}

// finish makes the missing id and takes the white space out of the payload,
// which is known to be valid.
func finish(d *event.Draft) error {
	if err := compact(&d.Payload); err != nil {
		return problem.Wrap(err, problem.Internal, "A valid payload cannot be compacted.")
	}
	if d.ID != "" {
		return nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return problem.Wrap(err, problem.Internal, "No event id can be made.")
	}
	d.ID = id.String()
	return nil
}
