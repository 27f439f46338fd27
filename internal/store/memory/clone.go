package memory

import (
	"bytes"
	"maps"
	"slices"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/store"
)

// A clone shares no mutable memory with its original. TestClonesShareNothing
// finds fields that are forgotten here.

func cloneTenant(t *store.Tenant) *store.Tenant {
	c := *t
	return &c
}

func cloneLanes(l *store.Lanes) *store.Lanes {
	c := *l
	c.Open = maps.Clone(l.Open)
	return &c
}

func cloneIntegration(in *integration.Integration) *integration.Integration {
	c := *in
	c.Filter.Names = slices.Clone(in.Filter.Names)
	c.Filter.Entities = slices.Clone(in.Filter.Entities)
	if in.Webhook != nil {
		w := *in.Webhook
		w.APIKey = cloneSealed(w.APIKey)
		w.SigningSecret = cloneSealed(w.SigningSecret)
		w.PreviousSecret = cloneSealed(w.PreviousSecret)
		c.Webhook = &w
	}
	if in.S3 != nil {
		s := *in.S3
		s.SecretAccessKey = cloneSealed(s.SecretAccessKey)
		c.S3 = &s
	}
	if in.Unreachable != nil {
		u := *in.Unreachable
		c.Unreachable = &u
	}
	return &c
}

func cloneSealed(s secret.Sealed) secret.Sealed {
	s.Ciphertext = bytes.Clone(s.Ciphertext)
	return s
}

func clonePartition(r *handoff.PartitionState) *handoff.PartitionState {
	c := *r
	c.Live = slices.Clone(r.Live)
	return &c
}

func cloneCursor(cur *handoff.Cursor) *handoff.Cursor {
	c := *cur
	c.Ahead = slices.Clone(cur.Ahead)
	c.FirstTries = slices.Clone(cur.FirstTries)
	if cur.Upload != nil {
		u := *cur.Upload
		u.ETags = slices.Clone(u.ETags)
		c.Upload = &u
	}
	return &c
}

func cloneCount(r *integration.RejectedCount) *integration.RejectedCount {
	c := *r
	c.Older = slices.Clone(r.Older)
	return &c
}

func cloneRejected(r *integration.Rejected) *integration.Rejected {
	c := *r
	c.Event.Body = bytes.Clone(r.Event.Body)
	return &c
}

func cloneAlert(a *store.Alert) *store.Alert {
	c := *a
	c.Payload = bytes.Clone(a.Payload)
	return &c
}
