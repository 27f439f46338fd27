package dynamo_test

import (
	"context"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/idempotency"
	"github.com/sluicehq/sluice/internal/idempotency/dynamo"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/test/aws/emulators"
)

func TestMain(m *testing.M) { os.Exit(emulators.Run(m)) }

var base = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var connections = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}

// rig is a table with a clock that the test moves.
type rig struct {
	*dynamo.Keys
	client *dynamodb.Client
	table  string
	now    time.Time
}

func newRig(t *testing.T) *rig {
	t.Helper()
	config := emulators.Config(emulators.DynamoDBURL(t))
	config.HTTPClient = connections
	r := &rig{client: dynamodb.NewFromConfig(config), now: base}
	r.table = emulators.NewTable(t, r.client)
	r.Keys = dynamo.New(r.client, r.table, func() time.Time { return r.now })
	return r
}

func (r *rig) take(t *testing.T, k idempotency.Key) idempotency.Claim {
	t.Helper()
	c, err := r.Take(t.Context(), k, r.now.Add(30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (r *rig) refuses(t *testing.T, k idempotency.Key, code problem.Code) (after time.Duration) {
	t.Helper()
	_, err := r.Take(t.Context(), k, r.now.Add(30*time.Second))
	if problem.CodeOf(err) != code {
		t.Errorf("%q of %q: got %v, want %s", k.Name, k.Tenant, err, code)
	}
	return problem.RetryAfterOf(err)
}

var key = idempotency.Key{Tenant: "acme", Name: "order-7", Body: idempotency.Digest{1}}

func TestAKeyIsClaimedSettledAndKnown(t *testing.T) {
	r := newRig(t)
	first := r.take(t, key)
	if first.Done || first.Left != nil || first.Seed == (idempotency.Seed{}) {
		t.Errorf("the first call has %+v", first)
	}
	r.now = base.Add(10 * time.Second)
	if after := r.refuses(t, key, problem.KeyInProgress); after != 20*time.Second {
		t.Errorf("try again after %v, want when the claim runs out", after)
	}
	other := key
	other.Body[0]++
	r.refuses(t, other, problem.IdempotencyMismatch)

	first.Left = []int{0, 7, 300, 999}
	if err := r.Settle(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	second := r.take(t, key)
	if second.Seed != first.Seed || !slices.Equal(second.Left, first.Left) || second.Done || second.Token == first.Token {
		t.Errorf("the second call has %+v, want what the first left: %+v", second, first)
	}
	second.Left, second.Done = nil, true
	if err := r.Settle(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	third := r.take(t, key)
	if !third.Done || third.Seed != first.Seed || third.Left != nil {
		t.Errorf("the third call has %+v", third)
	}
	r.refuses(t, other, problem.IdempotencyMismatch)
}

func TestAClaimThatRunsOutIsTakenOver(t *testing.T) {
	r := newRig(t)
	first := r.take(t, key)
	r.now = base.Add(30 * time.Second)
	second := r.take(t, key)
	if second.Seed != first.Seed || second.Done || second.Left != nil {
		t.Errorf("got %+v after %+v", second, first)
	}
	// The first call goes on after all. It must not settle what is the second one's.
	first.Done = true
	if err := r.Settle(t.Context(), first); err != nil {
		t.Errorf("the late call: %v", err)
	}
	if err := r.Drop(t.Context(), first); err != nil {
		t.Errorf("the late call: %v", err)
	}
	r.refuses(t, key, problem.KeyInProgress)
}

// The table removes an expired item late: 24 hours are judged by the time in the item.
func TestAKeyIsForgottenAfter24Hours(t *testing.T) {
	r := newRig(t)
	first := r.take(t, key)
	first.Done = true
	if err := r.Settle(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	r.now = base.Add(idempotency.Life - time.Second)
	if c := r.take(t, key); !c.Done {
		t.Errorf("just before: %+v", c)
	}
	r.now = base.Add(idempotency.Life)
	other := key
	other.Body[0]++
	if c := r.take(t, other); c.Done || c.Seed == first.Seed {
		t.Errorf("24 hours after: %+v", c)
	}
}

func TestADroppedKeyIsForgotten(t *testing.T) {
	r := newRig(t)
	if err := r.Drop(t.Context(), r.take(t, key)); err != nil {
		t.Fatal(err)
	}
	other := key
	other.Body[0]++
	r.take(t, other)
}

func TestKeysBelongToTheirTenant(t *testing.T) {
	r := newRig(t)
	seen := map[idempotency.Seed]bool{}
	for _, k := range []idempotency.Key{
		{Tenant: "acme", Name: "k"},
		{Tenant: "globex", Name: "k"},
		{Tenant: "", Name: "k"},
		{Tenant: "", Name: "4#acme#k"},
		{Tenant: "a", Name: "#b"},
		{Tenant: "a#", Name: "b"},
		{Tenant: strings.Repeat("t", 128), Name: strings.Repeat("k", idempotency.MaxBytes)},
	} {
		c := r.take(t, k)
		if seen[c.Seed] {
			t.Errorf("%+v is another one's key", k)
		}
		seen[c.Seed] = true
	}
}

func TestOneOfManyCallsGetsTheKey(t *testing.T) {
	r := newRig(t)
	for range 2 { // a new key, and one that a call left
		var mu sync.Mutex
		var claims []idempotency.Claim
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				c, err := r.Take(context.Background(), key, base.Add(time.Hour))
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					claims = append(claims, c)
				} else if problem.CodeOf(err) != problem.KeyInProgress {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(claims) != 1 {
			t.Fatalf("%d calls have the key: %s", len(claims), cmp.Diff(claims, nil))
		}
		if err := r.Settle(t.Context(), claims[0]); err != nil {
			t.Fatal(err)
		}
	}
}
