// Package alert tells an operator what happens to the integrations of all tenants. An
// alert is an event of the operator's tenant, which its ordinary integrations deliver.
//
// What changes an integration's state is a Commit of the store. Store, a decorator, adds
// to that Commit the alert about it and what was told last, so that they are there together
// or not at all: no alert is lost, and none is made twice. Publisher publishes the alerts
// that the store has. docs/adr/0019-alerts-are-committed-with-the-change.md explains why.
package alert

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/health"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/store"
)

// draftOf returns the event of an alert, whose payload is made.
func draftOf(a *store.Alert) event.Draft {
	return event.Draft{ID: idOf(a), Name: a.Kind.EventName(), Payload: a.Payload}
}

// idOf returns the id of an alert's event, the same one each time: a UUIDv7 whose time is
// that of the change, and whose other bits are a hash of what identifies the alert.
func idOf(a *store.Alert) string {
	h := a.History
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %s %d", h.Tenant, h.Integration, h.Incarnation, a.Kind, a.Number))
	id := uuid.UUID(sum[:16])
	ms := uint64(max(a.At.UnixMilli(), 0))
	for i := range 6 {
		id[i] = byte(ms >> (8 * (5 - i)))
	}
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

// payload is the payload of an alert's event.
type payload struct {
	Tenant string           `json:"tenant"`
	ID     string           `json:"id"`
	Health *health.Document `json:"health"` // null if it could not be found out
}

func payloadOf(in *integration.Integration, h *health.Health) ([]byte, error) {
	data, err := json.Marshal(payload{in.Tenant, in.ID, health.DocumentOf(h)})
	if err != nil {
		return nil, problem.Wrap(err, problem.Internal, "cannot encode an alert")
	}
	return data, nil
}

// closingLead is how long before the end of its restart window the alert about it is due.
const closingLead = 48 * time.Hour

// closingAt returns when the restart window of a stopped integration is about to close.
func closingAt(in *integration.Integration, s *settings.Settings) time.Time {
	at := in.RestartBy(s.Retention, s.Kept()).Add(-closingLead)
	if at.Before(in.StoppedAt) {
		return in.StoppedAt
	}
	return at
}

// Healths tells how integrations are doing: health.Service.
type Healths interface {
	Of(ctx context.Context, all ...*integration.Integration) ([]*health.Health, error)
}
