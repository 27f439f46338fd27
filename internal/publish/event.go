package publish

import (
	"cmp"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/strictjson"
	"github.com/sluicehq/sluice/internal/usertext"
)

// event reads and validates one event.
func (p *parser) event(at place) error {
	if len(p.drafts) == p.limits.events {
		return p.reject(at, problem.LimitReached, "", "exceeds the limit of %d events per call; send the rest in another call", p.limits.events)
	}
	if err := p.checkSize(at); err != nil {
		return err
	}
	if kind := p.dec.PeekKind(); kind != jsontext.KindBeginObject {
		if err := p.skip(at); err != nil { // invalid JSON is the better error
			return err
		}
		return p.reject(at, problem.InvalidRequest, "", "must be a JSON object with name and payload")
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return p.broken(at, err)
	}
	start := p.dec.InputOffset() - 1 // of the brace
	var d event.Draft
	for p.dec.PeekKind() != jsontext.KindEndObject {
		if err := p.field(at, &d); err != nil {
			return err
		}
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return p.broken(at, err)
	}
	size := p.dec.InputOffset() - start
	if size > p.limits.event {
		return p.tooLarge(at, size)
	}
	switch {
	case d.Name == "":
		return p.reject(at, problem.InvalidRequest, "name", "is required: the name of the event, such as order.items_cancelled")
	case d.Payload == nil:
		return p.reject(at, problem.InvalidRequest, "payload", "is required: a JSON object")
	case d.Tenant == "" && p.inRecord:
		return p.reject(at, problem.TenantRequired, "tenant", "is required: the tenant that gets the event")
	case d.Tenant == "" && p.call.Tenant == "":
		return p.reject(at, problem.TenantRequired, "tenant", "is required, as neither the access token nor the header Sluice-Tenant names one")
	}
	p.bytes[cmp.Or(d.Tenant, p.call.Tenant)] += int(size)
	p.drafts, p.places = append(p.drafts, d), append(p.places, at)
	return nil
}

// field reads one name and its value.
func (p *parser) field(at place, d *event.Draft) error {
	t, err := p.dec.ReadToken()
	if err != nil {
		return p.broken(at, err)
	}
	switch name := t.String(); name {
	case "id":
		return p.id(at, d)
	case "name":
		return p.name(at, d)
	case "payload":
		return p.payload(at, d)
	case "tenant":
		return p.tenant(at, d)
	case "published_at":
		return p.reject(at, problem.InvalidRequest, name, "is set by the service; leave it out")
	default:
		fields := "an event has id, name and payload"
		if p.inRecord {
			fields = "a record has tenant, id, name and payload"
		}
		return p.reject(at, problem.UnknownField, name, "is not a known field; "+fields)
	}
}

func (p *parser) id(at place, d *event.Draft) error {
	if p.dec.PeekKind() == jsontext.KindNull {
		return p.skip(at)
	}
	text, err := p.text(at, "id")
	if err != nil {
		return err
	}
	if !event.ValidID(text) {
		return p.reject(at, problem.InvalidRequest, "id", "%s is not a UUID; send one such as 01890a5d-ac96-774b-bcce-b302099a8057, or leave it out", quote(text))
	}
	d.ID = strings.ToLower(text)
	return nil
}

// tenant reads the tenant that an event names: with a platform token any, otherwise only
// that of the token.
func (p *parser) tenant(at place, d *event.Draft) error {
	if p.dec.PeekKind() == jsontext.KindNull {
		return p.skip(at)
	}
	text, err := p.text(at, "tenant")
	if err != nil {
		return err
	}
	if !p.call.AnyTenant && text != p.call.Tenant {
		return p.reject(at, problem.Forbidden, "tenant",
			"is another tenant than that of the access token, which needs the scope tenants:any and no tenant of its own for that; leave it out")
	}
	if err := usertext.CheckTenant(text); err != nil {
		return p.reject(at, problem.InvalidRequest, "tenant", "is not a valid tenant: %s %v", quote(text), err)
	}
	d.Tenant = text
	return nil
}

func (p *parser) name(at place, d *event.Draft) error {
	text, err := p.text(at, "name")
	if err != nil {
		return err
	}
	if !event.ValidName(text) {
		return p.reject(at, problem.InvalidRequest, "name",
			"%s is not an event name; use two or more words of a-z, 0-9 and _ that begin with a letter, joined by dots, at most %d characters in all", quote(text), event.MaxNameLength)
	}
	d.Name = text
	return nil
}

func (p *parser) payload(at place, d *event.Draft) error {
	object := p.dec.PeekKind() == jsontext.KindBeginObject
	value, err := p.dec.ReadValue()
	if err != nil {
		return p.broken(at, err)
	}
	if !object {
		return p.reject(at, problem.InvalidRequest, "payload", "must be a JSON object")
	}
	// The decoder reuses its buffer; alias the value in the body instead.
	end := p.offset + int(p.dec.InputOffset())
	d.Payload = p.body[end-len(value) : end : end]
	if err := strictjson.CheckDepth(d.Payload); err != nil {
		prefix := at.prefix()
		if at.kind == inList {
			prefix = ""
		}
		where := strictjson.Place{Body: p.body, Offset: end - len(value), Prefix: strictjson.Path(prefix, p.dec.StackPointer())}
		return where.Problem(err)
	}
	return nil
}

func (p *parser) text(at place, field string) (string, error) {
	if p.dec.PeekKind() != jsontext.KindString {
		if err := p.skip(at); err != nil {
			return "", err
		}
		return "", p.reject(at, problem.InvalidRequest, field, "must be a string")
	}
	t, err := p.dec.ReadToken()
	if err != nil {
		return "", p.broken(at, err)
	}
	text := t.String()
	if err := usertext.Check(text); err != nil {
		return "", p.reject(at, problem.InvalidRequest, field, "%v", err)
	}
	return text, nil
}
