package lifecycle_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	logmemory "github.com/sluicehq/sluice/internal/eventlog/memory"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/lifecycle"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/rejected"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/store/memory"
)

const (
	tenant     = "acme"
	quietAfter = 16 * time.Second
)

var began = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// bundle is a Service over in-memory ports; it records the calls made.
type bundle struct {
	*lifecycle.Service
	t     testing.TB
	store *faulty
	log   *logmemory.Log

	mu        sync.Mutex
	clock     time.Time
	scheduled []handoff.Key
	checked   []string
	sealed    int
	private   string // CheckTarget rejects this host
	opening   error  // of Open
}

func setup(t testing.TB) *bundle {
	b := &bundle{t: t, clock: began, store: &faulty{Store: memory.New()}, private: "private.example"}
	b.log = logmemory.New(b.now)
	b.Service = &lifecycle.Service{
		Store: b.store, Log: b.log, Sealer: b, Settings: settings.Default(), Now: b.now,
		QuietAfter: quietAfter - 2*time.Second, // which the commit of a stop may take
		CheckTarget: func(_ context.Context, target string) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.checked = append(b.checked, target)
			if u, _ := url.Parse(target); u.Hostname() == b.private {
				return problem.New(problem.InvalidTarget, "private")
			}
			return nil
		},
		Schedule: func(keys ...handoff.Key) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.scheduled = append(b.scheduled, keys...)
		},
	}
	return b
}

// rejects returns the service for rejected events over the same ports.
func (b *bundle) rejects() *rejected.Service {
	return rejected.New(rejected.Options{Store: b.store, Integrations: b.Service, Settings: b.Settings, Now: b.now})
}

func (b *bundle) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.clock
}

func (b *bundle) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clock = b.clock.Add(d)
}

// Seal implements secret.Sealer with a "ciphertext" that contains its owner.
func (b *bundle) Seal(_ context.Context, o secret.Owner, clear secret.String) (secret.Sealed, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sealed++
	text := base64.StdEncoding.EncodeToString([]byte(clear.Reveal()))
	return secret.Sealed{Ciphertext: fmt.Appendf(nil, "%v %s", o, text), Mask: clear.Mask(), Bound: o.Origin != ""}, nil
}

// Open implements secret.Sealer.
func (b *bundle) Open(_ context.Context, o secret.Owner, sealed secret.Sealed) (secret.String, error) {
	text, ok := strings.CutPrefix(string(sealed.Ciphertext), fmt.Sprintf("%v ", o.Sealing(sealed)))
	clear, err := base64.StdEncoding.DecodeString(text)
	if b.opening != nil {
		return secret.String{}, b.opening
	}
	if !ok || err != nil {
		return secret.String{}, problem.New(problem.Internal, "does not open")
	}
	return secret.NewString(string(clear)), nil
}

// Outdated implements secret.Sealer.
func (b *bundle) Outdated(o secret.Owner, sealed secret.Sealed) bool {
	return !sealed.IsZero() && (o.Sealing(sealed) != o || sealed.Mask == maskOfBefore)
}

// maskOfBefore marks a ciphertext of an earlier release that is bound to its origin.
const maskOfBefore = "sealed by an earlier release"

// faulty is a store whose Commit can be tampered with.
type faulty struct {
	store.Store
	commits int
	// before is called with the number of each Commit, from 1; if it fails, so
	// does the Commit.
	before func(n int) error
	// listed is called after the expired replays are listed; reading before the
	// cursor of a lane is read.
	listed  func()
	reading func(lane int)
}

// Cursor implements store.Store.
func (f *faulty) Cursor(ctx context.Context, k handoff.Key) (*handoff.Cursor, error) {
	if f.reading != nil {
		f.reading(k.Lane)
	}
	return f.Store.Cursor(ctx, k)
}

// Rejected implements store.Store, and fails on a long key too.
func (f *faulty) Rejected(ctx context.Context, h store.History, eventID string) (*integration.Rejected, error) {
	if len(eventID) > 2048 {
		return nil, problem.New(problem.Internal, "bad key")
	}
	return f.Store.Rejected(ctx, h, eventID)
}

// ExpiredReplays implements store.Store.
func (f *faulty) ExpiredReplays(ctx context.Context, before time.Time, limit int) ([]*integration.Integration, error) {
	over, err := f.Store.ExpiredReplays(ctx, before, limit)
	if f.listed != nil {
		f.listed()
	}
	return over, err
}

// Integration implements store.Store. Like other databases, it fails on a key
// that is too long or empty.
func (f *faulty) Integration(ctx context.Context, tenant, id string) (*integration.Integration, error) {
	if id == "" || len(id) > 2048 {
		return nil, problem.New(problem.Internal, "bad key")
	}
	return f.Store.Integration(ctx, tenant, id)
}

func (f *faulty) Commit(ctx context.Context, writes ...store.Write) error {
	if f.before != nil {
		f.commits++
		if err := f.before(f.commits); err != nil {
			return err
		}
	}
	return f.Store.Commit(ctx, writes...)
}

// The clear text of the tests' secrets, which must not appear anywhere.
var clears = []string{"api-key-in-clear", "whsec_c2lnbmluZy1zZWNyZXQtaW4tY2xlYXItMTI=", "whsec_YW5vdGhlci1zaWduaW5nLXNlY3JldC0xMjM=", "aws-secret-in-clear"}

func webhook(id string) integration.Spec {
	return integration.Spec{ID: id, Type: integration.Permanent, Webhook: &integration.WebhookSpec{
		URL: "https://example.com/" + id, APIKey: secret.NewString(clears[0]), SigningSecret: secret.NewString(clears[1]),
	}}
}

func s3(id string) integration.Spec {
	return integration.Spec{ID: id, Type: integration.Permanent, S3: &integration.S3Spec{
		AccessKeyID: "AKIA", SecretAccessKey: secret.NewString(clears[3]), Region: "auto", Bucket: "bucket",
	}}
}

func (b *bundle) replay(id string) integration.Spec {
	s := webhook(id)
	s.Type, s.StartsAt, s.EndsAt = integration.Temporary, b.now().Add(-time.Hour), b.now().Add(time.Hour)
	return s
}

func (b *bundle) register(s integration.Spec) *integration.Integration {
	b.t.Helper()
	in, err := b.Register(b.t.Context(), tenant, s)
	b.ok(err)
	return in
}

func (b *bundle) ok(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) is(err error, want problem.Code) {
	b.t.Helper()
	if got := problem.CodeOf(err); got != want {
		b.t.Fatalf("got error %v (%q), want %q", err, got, want)
	}
}

// publish appends one event to a lane and returns its segment's number.
func (b *bundle) publish(lane int) uint64 {
	b.t.Helper()
	return b.publishAt(lane, b.now())
}

func (b *bundle) publishAt(lane int, at time.Time) uint64 {
	b.t.Helper()
	d := event.Draft{ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", lane), Name: "order.created", Payload: []byte(`{}`)}
	n, err := b.log.Append(b.t.Context(), event.Partition{Tenant: tenant, Lane: lane}, "", eventlog.Unnamed(d.Stamp(tenant, at)))
	b.ok(err)
	return n
}

func (b *bundle) cursor(id string, lane int) *handoff.Cursor {
	b.t.Helper()
	c, err := b.Store.Cursor(b.t.Context(), handoff.Key{Tenant: tenant, Integration: id, Lane: lane})
	b.ok(err)
	return c
}

func (b *bundle) partition(lane int) *handoff.PartitionState {
	b.t.Helper()
	r, err := b.Store.Partition(b.t.Context(), event.Partition{Tenant: tenant, Lane: lane})
	b.ok(err)
	return r
}

// goLive does what the engine does with a cursor that has caught up.
func (b *bundle) goLive(id string, lane int) {
	b.t.Helper()
	r, c := b.partition(lane), b.cursor(id, lane)
	if !handoff.Join(r, c, handoff.Deliver, 0, time.Time{}, b.now()) {
		b.t.Fatalf("%s cannot join in lane %d", id, lane)
	}
	b.ok(b.store.Store.Commit(b.t.Context(), store.PutPartition{State: r}, store.PutCursor{Cursor: c}))
}

// actions returns the actions in the log, oldest first.
func (b *bundle) actions(id string) []integration.Action {
	b.t.Helper()
	entries, err := b.Entries(b.t.Context(), tenant, id)
	b.ok(err)
	var actions []integration.Action
	for _, e := range slices.Backward(entries) {
		actions = append(actions, e.Action)
	}
	return actions
}

// state returns everything that is stored of a tenant.
type state struct {
	Tenant       *store.Tenant
	Integrations []*integration.Integration
	Cursors      []*handoff.Cursor
	Records      []*handoff.PartitionState
	Entries      map[string][]integration.LogEntry
	Rejected     map[string]*integration.RejectedCount
}

const lanesLookedAt = 5

func (b *bundle) state(tenant string) state {
	b.t.Helper()
	ctx := context.Background()
	s := state{Entries: map[string][]integration.LogEntry{}, Rejected: map[string]*integration.RejectedCount{}}
	var err error
	s.Tenant, err = b.Store.Tenant(ctx, tenant)
	b.ok(err)
	s.Integrations, err = b.Store.Integrations(ctx, tenant)
	b.ok(err)
	for lane := range lanesLookedAt {
		r, err := b.Store.Partition(ctx, event.Partition{Tenant: tenant, Lane: lane})
		b.ok(err)
		s.Records = append(s.Records, r)
	}
	for _, in := range s.Integrations {
		s.Entries[in.ID], err = b.Store.Entries(ctx, store.HistoryOf(in), 100)
		b.ok(err)
		s.Rejected[in.ID], err = b.Store.RejectedCount(ctx, store.HistoryOf(in))
		b.ok(err)
		for lane := range lanesLookedAt {
			if c, err := b.Store.Cursor(ctx, handoff.Key{Tenant: tenant, Integration: in.ID, Lane: lane}); err == nil {
				s.Cursors = append(s.Cursors, c)
			}
		}
	}
	return s
}
