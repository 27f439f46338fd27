package quota

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/problem"
)

// clocked returns a quota with a clock that the test moves.
func clocked(rate, logBytes int64) (*Quota, *time.Time) {
	now := time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	return &Quota{Rate: rate, LogBytes: logBytes, InLog: func(string) int64 { return 0 }, Now: func() time.Time { return now }}, &now
}

// admit is a call of one tenant.
func admit(q *Quota, tenant string, bytes int) error { return q.Admit(map[string]int{tenant: bytes}) }

// refused checks that the error is a refusal that names the setting and when to try
// again.
func refused(t *testing.T, err error, setting string, after time.Duration) {
	t.Helper()
	if problem.CodeOf(err) != problem.TooManyRequests || !strings.Contains(problem.MessageOf(err), setting) {
		t.Errorf("got %v, want a refusal that names %s", err, setting)
	}
	if got := problem.RetryAfterOf(err); got != after {
		t.Errorf("it may try again after %v, want %v", got, after)
	}
}

func TestATenantMayPublishItsRateAndTenTimesThatAtOnce(t *testing.T) {
	q, now := clocked(1000, 0)
	for i := range 10 {
		if err := admit(q, "a", 1000); err != nil {
			t.Fatalf("call %d of the burst: %v", i, err)
		}
	}
	refused(t, admit(q, "a", 500), "SLUICE_TENANT_PUBLISH_RATE", 500*time.Millisecond)
	if err := admit(q, "b", 10_000); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	passed := 0
	for range 1000 { // ten refusals a second cost nothing
		*now = now.Add(100 * time.Millisecond)
		if admit(q, "a", 500) == nil {
			passed++
		}
	}
	if passed != 200 {
		t.Errorf("in 100 s %d calls of 500 bytes passed, want 200", passed)
	}
}

// A call larger than the burst passes, and is paid for.
func TestACallLargerThanTheBurstPasses(t *testing.T) {
	q, now := clocked(1000, 0)
	if err := admit(q, "a", 50_000); err != nil {
		t.Error(err)
	}
	*now = now.Add(49 * time.Second)
	refused(t, admit(q, "a", 50_000), "SLUICE_TENANT_PUBLISH_RATE", time.Second)
	*now = now.Add(time.Second)
	if err := admit(q, "a", 50_000); err != nil {
		t.Error(err)
	}
}

func TestTenantsThatPublishNoMoreAreForgotten(t *testing.T) {
	q, now := clocked(1000, 0)
	for i := range 10_000 {
		*now = now.Add(10 * time.Millisecond)
		if err := admit(q, fmt.Sprint(i), 100); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(q.paid); n > 3000 {
		t.Errorf("%d tenants are remembered, and 1,000 published in the last ten seconds", n)
	}
}

func TestATenantsLogIsLimited(t *testing.T) {
	q, _ := clocked(0, 1000)
	q.InLog = func(tenant string) int64 { return map[string]int64{"full": 900}[tenant] }
	if err := admit(q, "full", 100); err != nil {
		t.Error(err)
	}
	refused(t, admit(q, "full", 101), "SLUICE_TENANT_LOG_BYTES", logWait)
	if err := admit(q, "empty", 1000); err != nil {
		t.Error(err)
	}
}

func TestZeroIsNoLimit(t *testing.T) {
	q, _ := clocked(0, 0)
	q.InLog = nil
	for range 100 {
		if err := admit(q, "a", 1<<30); err != nil {
			t.Fatal(err)
		}
	}
}

// A call of several tenants is refused whole, in the name of the one that waits longest, and
// is at nobody's cost.
func TestACallOfSeveralTenantsIsAdmittedWholeOrNotAtAll(t *testing.T) {
	q, _ := clocked(1000, 0)
	for tenant, bytes := range map[string]int{"used up": 10_000, "nearly": 9_500} {
		if err := admit(q, tenant, bytes); err != nil {
			t.Fatal(err)
		}
	}
	err := q.Admit(map[string]int{"used up": 2000, "nearly": 1000, "fresh": 10_000})
	refused(t, err, `"used up"`, 2*time.Second)
	for tenant, bytes := range map[string]int{"fresh": 10_000, "nearly": 500} {
		if err := admit(q, tenant, bytes); err != nil {
			t.Errorf("%s has paid for the call that was refused: %v", tenant, err)
		}
	}
	if err := q.Admit(map[string]int{"a": 6000, "b": 6000}); err != nil {
		t.Errorf("two tenants, each within its own limit: %v", err)
	}
	refused(t, admit(q, "b", 5000), "SLUICE_TENANT_PUBLISH_RATE", time.Second)
}

func TestTheLogOfEachTenantOfACallIsLimited(t *testing.T) {
	q, _ := clocked(0, 1000)
	q.InLog = func(tenant string) int64 { return map[string]int64{"full": 900}[tenant] }
	refused(t, q.Admit(map[string]int{"full": 101, "empty": 10}), `"full"`, logWait)
	if err := q.Admit(map[string]int{"full": 100, "empty": 1000}); err != nil {
		t.Error(err)
	}
}
