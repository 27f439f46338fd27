package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/usertext"
)

// deliveryDocument is a deliveries.Delivery in the API's JSON. What is not known, or does
// not apply, is null.
type deliveryDocument struct {
	EventID     *string            `json:"event_id"`
	EventName   *string            `json:"event_name"`
	PublishedAt *string            `json:"published_at"`
	Outcome     deliveries.Outcome `json:"outcome"`
	Attempts    int                `json:"attempts"`
	First       *string            `json:"first_attempt_at"`
	Last        *string            `json:"last_attempt_at"`
	Status      *int               `json:"status_code"`
	Cause       *string            `json:"cause"`
	TookMS      *int64             `json:"took_ms"`
	File        *string            `json:"file"`
}

func deliveryDocumentOf(d *deliveries.Delivery) deliveryDocument {
	document := deliveryDocument{
		Outcome: d.Outcome, Attempts: d.Attempts, First: timeGiven(d.First), Last: timeGiven(d.Last),
		Cause: given(d.Cause), File: given(d.File),
	}
	if e := d.Event; e != nil {
		document.EventID, document.EventName, document.PublishedAt = &e.ID, &e.Name, timeGiven(e.PublishedAt)
	}
	if d.Status != 0 {
		document.Status = &d.Status
	}
	if d.Took >= 0 {
		document.TookMS = new(d.Took.Milliseconds())
	}
	return document
}

func (a *api) deliveries(x *exchange, r *http.Request) error {
	q, err := deliveryRequest(r.URL.Query())
	if err != nil {
		return err
	}
	found, next, err := a.Deliveries.List(r.Context(), x.tenant, r.PathValue("integration_id"), q)
	if err != nil {
		return err
	}
	documents := make([]deliveryDocument, len(found))
	for i := range found {
		documents[i] = deliveryDocumentOf(&found[i])
	}
	a.respond(x, http.StatusOK, struct {
		Deliveries []deliveryDocument `json:"deliveries"`
		Next       *string            `json:"next"`
	}{documents, given(next)})
	return nil
}

// deliveryOutcomes are those that deliveries can be asked for.
var deliveryOutcomes = []deliveries.Outcome{deliveries.Delivered, deliveries.Rejected, deliveries.Skipped, deliveries.Retrying}

// deliveryRequest reads the parameters of a call. One that is given must say something: an
// empty one would ask for everything.
func deliveryRequest(values url.Values) (q deliveries.Request, err error) {
	if q.Limit, err = number(values, "limit", "", 1, maxLimit, defaultLimit); err != nil {
		return q, err
	}
	if q.EventID = strings.ToLower(values.Get("event_id")); values.Has("event_id") && !event.ValidID(q.EventID) {
		return q, problem.New(problem.InvalidRequest, "event_id is %q; it must be a UUID.", clip(values.Get("event_id")))
	}
	if q.EventName = values.Get("event_name"); values.Has("event_name") && !event.ValidName(q.EventName) {
		return q, problem.New(problem.InvalidRequest, "event_name is %q; it must be the name of an event, such as order.created.", clip(q.EventName))
	}
	if q.Outcome = deliveries.Outcome(values.Get("outcome")); values.Has("outcome") && !slices.Contains(deliveryOutcomes, q.Outcome) {
		return q, problem.New(problem.InvalidRequest, "outcome is %q; it must be delivered, rejected, skipped or retrying.", clip(string(q.Outcome)))
	}
	if q.From, err = timeParameter(values, "from"); err != nil {
		return q, err
	}
	if q.To, err = timeParameter(values, "to"); err != nil {
		return q, err
	}
	if values.Has("from") && values.Has("to") && q.To.Before(q.From) {
		return q, problem.New(problem.InvalidRequest, "to is %s; it must not be before from, which is %s.", event.FormatTime(q.To), event.FormatTime(q.From))
	}
	if q.After = values.Get("after"); values.Has("after") && q.After == "" { // a script that has lost it must not begin again
		return q, problem.New(problem.InvalidRequest, "after is empty; send the next of the last response, or none to begin with the first page.")
	}
	return q, nil
}

// timeParameter returns a time, zero if it is not given. Others than from 1970 to before 2200
// are mistakes.
func timeParameter(values url.Values, name string) (time.Time, error) {
	if !values.Has(name) {
		return time.Time{}, nil
	}
	t, err := event.ParseTime(values.Get(name))
	if err != nil {
		return t, problem.New(problem.InvalidRequest, "%s is %q; it must be an RFC 3339 time such as 2019-01-17T12:00:00.000Z.", name, usertext.Clip(values.Get(name), 200))
	}
	if y := t.Year(); y < 1970 || y >= 2200 {
		return t, problem.New(problem.InvalidRequest, "%s is %s; it must be from 1970 to before 2200.", name, event.FormatTime(t))
	}
	return t, nil
}
