package lifecycle_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/store"
)

// edit returns a change function: the state as a client reads it, with one change.
func edit(change func(*integration.Spec)) func(*integration.Integration) (integration.Spec, error) {
	return func(in *integration.Integration) (integration.Spec, error) {
		s := integration.Spec{
			ID: in.ID, Type: in.Type, StartsAt: in.StartsAt, EndsAt: in.EndsAt,
			Filter: integration.FilterSpec{Names: in.Filter.Names, Entities: in.Filter.Entities},
		}
		if w := in.Webhook; w != nil {
			s.Webhook = &integration.WebhookSpec{URL: w.URL, APIKey: secret.NewString(w.APIKey.Mask), SigningSecret: secret.NewString(w.SigningSecret.Mask)}
		}
		if p := in.S3; p != nil {
			s.S3 = &integration.S3Spec{
				AccessKeyID: p.AccessKeyID, SecretAccessKey: secret.NewString(p.SecretAccessKey.Mask),
				Region: p.Region, Bucket: p.Bucket, KeyPrefix: p.KeyPrefix, Endpoint: p.Endpoint,
			}
		}
		change(&s)
		return s, nil
	}
}

func (b *bundle) update(id string, change func(*integration.Spec)) *integration.Integration {
	b.t.Helper()
	in, err := b.Update(b.t.Context(), tenant, id, edit(change))
	b.ok(err)
	return in
}

// stopped registers an integration, stops it and waits until it is stopped.
func (b *bundle) stopped(s integration.Spec) *integration.Integration {
	b.t.Helper()
	b.register(s)
	in := b.stop(s.ID)
	b.pass(quietAfter)
	return in
}

func TestUpdate(t *testing.T) {
	b := setup(t)
	old := b.stopped(webhook("orders"))
	b.checked = nil
	in := b.update("orders", func(s *integration.Spec) {
		s.Webhook.URL = "https://example.com/new"
		s.Filter = integration.FilterSpec{Entities: []string{"order"}}
	})
	stored, err := b.Get(t.Context(), tenant, "orders")
	b.ok(err)
	if diff := cmp.Diff(stored, in); diff != "" {
		t.Errorf("what is returned is not what is stored:\n%s", diff)
	}
	want := *old
	want.Webhook = &integration.Webhook{URL: "https://example.com/new", APIKey: old.Webhook.APIKey, SigningSecret: old.Webhook.SigningSecret}
	want.Filter.Entities = []string{"order"}
	want.Generation, want.Version = 3, in.Version
	if diff := cmp.Diff(&want, in); diff != "" {
		t.Error(diff)
	}
	if c := b.cursor("orders", 0); c.Generation != 3 || c.State != "parked" {
		t.Errorf("cursor %+v", c)
	}
	if diff := cmp.Diff([]string{"https://example.com/new"}, b.checked); diff != "" {
		t.Errorf("checked: %s", diff)
	}
	b.update("orders", func(s *integration.Spec) { s.Filter.Entities = []string{"order"} }) // no change
	entries, err := b.Entries(t.Context(), tenant, "orders")
	b.ok(err)
	if got := entries[0]; got.Action != integration.ActionUpdated || got.Reason != "Updated via API. Changed: callback_parameters.callback_url, filter_conditions.entity_filter." {
		t.Errorf("log %+v", got)
	}
	b.update("orders", func(s *integration.Spec) { s.Filter.Entities = nil })
	if len(b.checked) != 1 {
		t.Errorf("checked a URL that did not change: %v", b.checked)
	}
	b.start("orders")
	if c := b.cursor("orders", 0); c.Generation != 5 || c.State != "driven" {
		t.Errorf("cursor after the start %+v", c)
	}
}

func TestUpdateS3(t *testing.T) {
	b := setup(t)
	b.stopped(s3("bucket"))
	in := b.update("bucket", func(s *integration.Spec) {
		s.S3.Endpoint, s.S3.KeyPrefix, s.S3.Bucket = "https://r2.example/", "/a/", "other"
		s.S3.SecretAccessKey = secret.NewString("another secret key")
	})
	if in.S3.KeyPrefix != "a" || in.S3.Bucket != "other" || in.S3.SecretAccessKey.Mask != "******** key" {
		t.Errorf("got %+v", in.S3)
	}
	if diff := cmp.Diff([]string{"https://r2.example/"}, b.checked); diff != "" {
		t.Errorf("checked: %s", diff)
	}
	clear, err := b.Reveal(t.Context(), in)
	b.ok(err)
	if clear.SecretAccessKey.Reveal() != "another secret key" {
		t.Error("the new secret is not stored")
	}
	b.update("bucket", func(s *integration.Spec) { s.S3.Region = "eu" })
	b.update("bucket", func(s *integration.Spec) { s.S3.Endpoint, s.S3.SecretAccessKey = "", secret.NewString(clears[3]) })
	if len(b.checked) != 1 {
		t.Errorf("checked an endpoint that did not change, or is none: %v", b.checked)
	}
}

func TestUpdateOfNothing(t *testing.T) {
	b := setup(t)
	b.stopped(webhook("orders"))
	before := b.state(tenant)
	b.update("orders", func(*integration.Spec) {})
	b.update("orders", func(s *integration.Spec) { // as sent by a client that reads secrets in clear text
		s.Webhook.APIKey, s.Webhook.SigningSecret = secret.NewString(clears[0]), secret.NewString(clears[1])
	})
	if diff := cmp.Diff(before, b.state(tenant)); diff != "" {
		t.Error(diff)
	}
}

func TestSigningSecretsOverlap(t *testing.T) {
	b := setup(t)
	first := b.stopped(webhook("orders")).Webhook.SigningSecret
	in := b.update("orders", func(s *integration.Spec) { s.Webhook.SigningSecret = secret.NewString(clears[2]) })
	if diff := cmp.Diff(first, in.Webhook.PreviousSecret); diff != "" || !in.Webhook.PreviousExpires.Equal(b.now().Add(24*time.Hour)) {
		t.Errorf("previous until %v: %s", in.Webhook.PreviousExpires, diff)
	}
	if clear, err := b.Reveal(t.Context(), in); err != nil || clear.SigningSecret.Reveal() != clears[2] {
		t.Errorf("the new one is not stored: %v", err)
	}
	b.pass(time.Hour)
	again := b.update("orders", func(s *integration.Spec) { s.Webhook.URL = "https://example.com/2" })
	if diff := cmp.Diff(first, again.Webhook.PreviousSecret); diff != "" || !again.Webhook.PreviousExpires.Equal(in.Webhook.PreviousExpires) {
		t.Errorf("another update changed the overlap: %s", diff)
	}
	in = b.update("orders", func(s *integration.Spec) { s.Webhook.SigningSecret = secret.String{} })
	if !in.Webhook.SigningSecret.IsZero() || !in.Webhook.PreviousSecret.IsZero() || !in.Webhook.PreviousExpires.IsZero() {
		t.Errorf("signs after the secret was removed: %+v", in.Webhook)
	}
	in = b.update("orders", func(s *integration.Spec) { s.Webhook.SigningSecret = secret.NewString(clears[1]) })
	if !in.Webhook.PreviousSecret.IsZero() {
		t.Errorf("there was none before: %+v", in.Webhook)
	}
}

// After losing the key, a client can send the secrets again. The old ones are not
// kept as previous secrets: they could not be opened.
func TestUpdateReplacesSecretsThatDoNotOpen(t *testing.T) {
	b := setup(t)
	b.stopped(webhook("orders"))
	b.opening = problem.New(problem.Internal, "lost the key")
	in := b.update("orders", func(s *integration.Spec) {
		s.Webhook.APIKey, s.Webhook.SigningSecret = secret.NewString("new key"), secret.NewString(clears[2])
	})
	if !in.Webhook.PreviousSecret.IsZero() {
		t.Error("keeps a secret that does not open")
	}
	b.opening = nil
	clear, err := b.Reveal(t.Context(), in)
	b.ok(err)
	if clear.APIKey.Reveal() != "new key" || clear.SigningSecret.Reveal() != clears[2] {
		t.Error("the new secrets are not stored")
	}
}

// A key that is temporarily unavailable is not lost.
func TestUpdateWithoutTheKey(t *testing.T) {
	b := setup(t)
	b.stopped(webhook("orders"))
	b.opening = problem.New(problem.Unavailable, "no response")
	before := b.state(tenant)
	_, err := b.Update(t.Context(), tenant, "orders", edit(func(s *integration.Spec) { s.Webhook.SigningSecret = secret.NewString(clears[1]) }))
	b.is(err, problem.Unavailable)
	if diff := cmp.Diff(before, b.state(tenant)); diff != "" {
		t.Error(diff)
	}
}

func TestUpdateRefuses(t *testing.T) {
	mine := errors.New("mine")
	for _, c := range []struct {
		name   string
		set    func(*bundle)
		change func(*integration.Spec)
		want   problem.Code
	}{
		{"running", func(b *bundle) { b.register(webhook("x")) }, func(*integration.Spec) {}, problem.NotStopped},
		{"stopping", func(b *bundle) { b.register(webhook("x")); b.stop("x") }, func(*integration.Spec) {}, problem.NotStopped},
		{"temporary", func(b *bundle) { b.stopped(b.replay("x")) }, func(*integration.Spec) {}, problem.InvalidRequest},
		{"fixed field", func(b *bundle) { b.stopped(webhook("x")) }, func(s *integration.Spec) { s.ID = "y" }, problem.InvalidRequest},
		{"invalid", func(b *bundle) { b.stopped(webhook("x")) }, func(s *integration.Spec) { s.Webhook.URL = "ftp://h" }, problem.InvalidRequest},
		{"private", func(b *bundle) { b.stopped(webhook("x")) }, func(s *integration.Spec) {
			s.Webhook.URL, s.Webhook.APIKey = "https://private.example", secret.NewString(clears[0])
		}, problem.InvalidTarget},
		{"nobody", func(*bundle) {}, func(*integration.Spec) {}, problem.NotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := setup(t)
			c.set(b)
			before := b.state(tenant)
			_, err := b.Update(t.Context(), tenant, "x", edit(c.change))
			b.is(err, c.want)
			if diff := cmp.Diff(before, b.state(tenant)); diff != "" {
				t.Error(diff)
			}
		})
	}
	b := setup(t)
	b.stopped(webhook("x"))
	_, err := b.Update(t.Context(), tenant, "x", func(*integration.Integration) (integration.Spec, error) { return integration.Spec{}, mine })
	if !errors.Is(err, mine) {
		t.Errorf("got %v, want the change's own error", err)
	}
}

// A bucket's secret that is sent in clear and equals the stored one is kept.
func TestUpdateWithTheSecretOfABucketInClear(t *testing.T) {
	b := setup(t)
	b.stopped(s3("bucket"))
	before := b.state(tenant)
	b.update("bucket", func(s *integration.Spec) { s.S3.SecretAccessKey = secret.NewString(clears[3]) })
	if diff := cmp.Diff(before, b.state(tenant)); diff != "" {
		t.Errorf("the same secret is a change: %s", diff)
	}
}

// A file whose outcome is unknown belongs to the target before the update: it is not
// looked for in the next one.
func TestUpdateForgetsAFileOfTheTargetBefore(t *testing.T) {
	b := setup(t)
	b.stopped(s3("bucket"))
	cursor := b.cursor("bucket", 0)
	cursor.Upload = &handoff.Upload{Key: "file"}
	b.ok(b.store.Store.Commit(t.Context(), store.PutCursor{Cursor: cursor}))
	b.update("bucket", func(s *integration.Spec) { s.S3.Bucket = "another" })
	if u := b.cursor("bucket", 0).Upload; u != nil {
		t.Errorf("the cursor still has %+v", u)
	}
}
