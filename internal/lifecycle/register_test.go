package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
)

func TestRegister(t *testing.T) {
	b := setup(t)
	b.Settings.Lanes = 2
	b.publish(1)
	b.publish(1)
	in := b.register(webhook("orders"))

	if in.StatusAt(b.now()) != integration.Running || in.Generation != 1 || in.Incarnation != 1 || in.Lanes != 2 || in.OpenLanes != 0 || !in.CreatedAt.Equal(began) {
		t.Errorf("registered %+v", in)
	}
	stored, err := b.Get(t.Context(), tenant, "orders")
	b.ok(err)
	if diff := cmp.Diff(stored, in); diff != "" {
		t.Errorf("what is returned is not what is stored:\n%s", diff)
	}
	for lane, end := range []uint64{0, 2} {
		c := b.cursor("orders", lane)
		want := &handoff.Cursor{
			Key: c.Key, Generation: 1, State: handoff.Scheduled, DueAt: began, Version: c.Version,
			AckState: handoff.AckState{Offset: handoff.Offset{Segment: end}},
		}
		if diff := cmp.Diff(want, c); diff != "" {
			t.Error(diff)
		}
	}
	if diff := cmp.Diff([]handoff.Key{{Tenant: tenant, Integration: "orders", Lane: 0}, {Tenant: tenant, Integration: "orders", Lane: 1}}, b.scheduled); diff != "" {
		t.Errorf("scheduled: %s", diff)
	}
	if diff := cmp.Diff([]integration.Action{integration.ActionCreated, integration.ActionStarted}, b.actions("orders")); diff != "" {
		t.Errorf("log: %s", diff)
	}
	if diff := cmp.Diff([]string{"https://example.com/orders"}, b.checked); diff != "" {
		t.Errorf("checked: %s", diff)
	}
}

func TestRegisterReplay(t *testing.T) {
	b := setup(t)
	b.publish(0)
	b.pass(time.Hour)
	b.publish(0)
	b.pass(time.Minute)
	b.Settings.Lanes = 3
	spec := b.replay("replay")
	spec.StartsAt = began.Add(time.Minute)
	in := b.register(spec)
	if in.OpenLanes != 3 || in.Lanes != 3 {
		t.Errorf("lanes %d, open %d; want 3 and 3", in.Lanes, in.OpenLanes)
	}
	if got := b.cursor("replay", 0).Offset.Segment; got != 1 {
		t.Errorf("offset is segment %d, want 1", got)
	}
}

// A start in the past also reads the lanes that a higher setting made.
func TestRegisterReadsRemovedLanes(t *testing.T) {
	b := setup(t)
	b.publish(3)
	b.pass(time.Minute)
	spec := webhook("old")
	spec.StartsAt = began
	if in := b.register(spec); in.Lanes != 4 {
		t.Errorf("has %d lanes, want 4", in.Lanes)
	}
	if in := b.register(webhook("new")); in.Lanes != 1 {
		t.Errorf("without starts_at it has %d lanes, want 1", in.Lanes)
	}
}

func TestSecretsAreSealedAndRevealed(t *testing.T) {
	b := setup(t)
	hook, bucket := b.register(webhook("hook")), b.register(s3("bucket"))
	if hook.Webhook.APIKey.Mask != "********lear" || bucket.S3.SecretAccessKey.Mask != "********lear" {
		t.Errorf("masks are %q and %q", hook.Webhook.APIKey.Mask, bucket.S3.SecretAccessKey.Mask)
	}
	clear, err := b.Reveal(t.Context(), hook)
	b.ok(err)
	if clear.APIKey.Reveal() != clears[0] || clear.SigningSecret.Reveal() != clears[1] || !clear.SecretAccessKey.IsZero() {
		t.Error("the webhook's secrets are not what was given")
	}
	clear, err = b.Reveal(t.Context(), bucket)
	b.ok(err)
	if clear.SecretAccessKey.Reveal() != clears[3] {
		t.Error("the bucket's secret is not what was given")
	}
	bare := webhook("bare")
	bare.Webhook.APIKey, bare.Webhook.SigningSecret = clear.APIKey, clear.SigningSecret
	if in := b.register(bare); !in.Webhook.APIKey.IsZero() || !in.Webhook.SigningSecret.IsZero() {
		t.Error("no secret was sealed")
	}
	for _, secret := range clears {
		if strings.Contains(fmt.Sprintf("%+v %+v %+v", b.state(tenant), *hook.Webhook, *bucket.S3), secret) {
			t.Errorf("%s is stored in clear", secret)
		}
	}
	other := *hook
	other.Tenant = "other"
	if clear, err := b.Reveal(t.Context(), &other); err != nil || clear.Unopened == nil || !clear.APIKey.IsZero() || !clear.SigningSecret.IsZero() {
		t.Error("a secret opened for another tenant")
	}
}

func TestRegisterRefuses(t *testing.T) {
	private := webhook("private")
	private.Webhook.URL = "https://private.example/"
	privateS3 := s3("private")
	privateS3.S3.Endpoint = "https://private.example/"
	invalid := webhook("UPPER")
	taken := webhook("taken")
	for _, c := range []struct {
		name string
		spec integration.Spec
		max  int
		want problem.Code
	}{
		{"invalid", invalid, 10, problem.InvalidRequest},
		{"private webhook", private, 10, problem.InvalidTarget},
		{"private endpoint", privateS3, 10, problem.InvalidTarget},
		{"taken id", taken, 10, problem.AlreadyExists},
		{"taken id at the limit", taken, 1, problem.AlreadyExists},
		{"one too many", webhook("other"), 1, problem.LimitReached},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := setup(t)
			b.register(taken)
			b.Settings.MaxIntegrations = c.max
			b.scheduled, b.sealed = nil, 0
			before := b.state(tenant)
			_, err := b.Register(t.Context(), tenant, c.spec)
			b.is(err, c.want)
			if diff := cmp.Diff(before, b.state(tenant)); diff != "" || b.scheduled != nil || b.sealed > 0 {
				t.Errorf("%d secrets sealed, scheduled %v, changed: %s", b.sealed, b.scheduled, diff)
			}
		})
	}
}

// A target that could not be checked, for whatever reason, is not accepted.
func TestTargetThatCannotBeCheckedIsRefused(t *testing.T) {
	b := setup(t)
	broken := errors.New("the resolver is broken")
	b.CheckTarget = func(context.Context, string) error { return broken }
	if _, err := b.Register(t.Context(), tenant, webhook("orders")); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	if left := b.state(tenant).Integrations; len(left) != 0 {
		t.Errorf("registered %+v", left[0])
	}
}

func TestS3WithoutEndpointIsNotChecked(t *testing.T) {
	b := setup(t)
	b.register(s3("bucket"))
	if b.checked != nil {
		t.Errorf("checked %v", b.checked)
	}
}

// together makes n registrations wait for each other after each passed the first
// admit, so that only the Commit can reject some.
func (b *bundle) together(n int) {
	var all sync.WaitGroup
	all.Add(n)
	b.CheckTarget = func(context.Context, string) error {
		all.Done()
		all.Wait()
		return nil
	}
}

func TestElevenAtOnceAreTen(t *testing.T) {
	b := setup(t)
	b.together(11)
	errs := make([]error, 11)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = b.Register(t.Context(), tenant, webhook(fmt.Sprintf("i%d", i))) })
	}
	wg.Wait()
	refused := 0
	for _, err := range errs {
		if err != nil {
			b.is(err, problem.LimitReached)
			refused++
		}
	}
	s := b.state(tenant)
	if refused != 1 || len(s.Integrations) != 10 || s.Tenant.Integrations != 10 || s.Tenant.Generation != 10 {
		t.Errorf("refused %d, there are %d, counted %d, generation %d", refused, len(s.Integrations), s.Tenant.Integrations, s.Tenant.Generation)
	}
	b.together(1)
	if _, err := b.Register(t.Context(), "other", webhook("i0")); err != nil {
		t.Errorf("another tenant: %v", err)
	}
}

func TestOneIdElevenTimesAtOnce(t *testing.T) {
	b := setup(t)
	b.together(11)
	errs := make([]error, 11)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = b.Register(t.Context(), tenant, webhook("same")) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		b.is(err, problem.AlreadyExists)
	}
	if won != 1 {
		t.Errorf("%d registrations got the id", won)
	}
}

// The log may reach back farther than the retention; a registration must not.
func TestStartsAtBeforeTheRetention(t *testing.T) {
	b := setup(t)
	b.publishAt(0, began.Add(-31*24*time.Hour))
	b.publishAt(0, began.Add(-30*24*time.Hour))
	spec := webhook("orders")
	spec.StartsAt = began.Add(-40 * 24 * time.Hour)
	b.register(spec)
	if got := b.cursor("orders", 0).Offset.Segment; got != 1 {
		t.Errorf("offset is segment %d, want 1", got)
	}
}
