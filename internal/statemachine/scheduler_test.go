package statemachine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/problem"
)

var (
	now = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	key = handoff.Key{Tenant: "acme", Integration: "orders", Lane: 2}
)

// cursors are a map; with an entry for it, a read fails.
type cursors struct {
	mu     sync.Mutex
	cursor map[handoff.Key]handoff.Cursor
	err    map[handoff.Key]error
	reads  int
}

func (c *cursors) Cursor(_ context.Context, k handoff.Key) (*handoff.Cursor, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads++
	if err := c.err[k]; err != nil {
		return nil, err
	}
	found, ok := c.cursor[k]
	if !ok {
		return nil, problem.New(problem.NotFound, "There is no such cursor.")
	}
	found.Key = k
	return &found, nil
}

// machine records what is started.
type machine struct {
	mu      sync.Mutex
	started []string // name and input
	arn     string
	start   func(ctx context.Context) error // nil: it is started
}

func (m *machine) StartExecution(ctx context.Context, in *sfn.StartExecutionInput, _ ...func(*sfn.Options)) (*sfn.StartExecutionOutput, error) {
	if m.start != nil {
		if err := m.start(ctx); err != nil {
			return nil, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.arn = *in.StateMachineArn
	m.started = append(m.started, *in.Name+" "+*in.Input)
	return &sfn.StartExecutionOutput{}, nil
}

func setup(dueAt time.Time, version uint64) (*Scheduler, *machine, *cursors, *bytes.Buffer) {
	m, log := new(machine), new(bytes.Buffer)
	c := &cursors{cursor: map[handoff.Key]handoff.Cursor{key: {DueAt: dueAt, Version: version}}, err: map[handoff.Key]error{}}
	return &Scheduler{
		SFN: m, ARN: "arn:of:delivery", Cursors: c, Now: func() time.Time { return now },
		Replay: func(context.Context, handoff.Key) (bool, error) { return true, nil },
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	}, m, c, log
}

// Names and inputs of one release are met by the next, and by the state
// machine: this pins both.
func TestScheduleStartsAnExecution(t *testing.T) {
	const name = "32e289d37c6832b5be19c9d5985012d0"
	tests := []struct {
		name    string
		dueAt   time.Time
		version uint64
		salt    string
		want    string
	}{
		{"due at once", now, 1<<64 - 1, "", name + `-3w5e11264sgsf {"tenant":"acme","integration":"orders","lane":2,"version":"3w5e11264sgsf","shadow":false,"wait_seconds":0,"count":0,"next":"","renewal":""}`},
		{"overdue", now.Add(-time.Hour), 35, "", name + `-z {"tenant":"acme","integration":"orders","lane":2,"version":"z","shadow":false,"wait_seconds":0,"count":0,"next":"","renewal":""}`},
		{"due later", now.Add(90*time.Second + 1), 35, "", name + `-z {"tenant":"acme","integration":"orders","lane":2,"version":"z","shadow":false,"wait_seconds":91,"count":0,"next":"","renewal":""}`},
		{"due in years", now.AddDate(100, 0, 0), 35, "", name + `-z {"tenant":"acme","integration":"orders","lane":2,"version":"z","shadow":false,"wait_seconds":3600,"count":0,"next":"","renewal":""}`},
		{"by the sweep", now, 36, "20250601T120000Z", name + `-10-20250601T120000Z {"tenant":"acme","integration":"orders","lane":2,"version":"10","shadow":false,"wait_seconds":0,"count":0,"next":"","renewal":""}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, m, _, log := setup(tt.dueAt, tt.version)
			s.Salt = tt.salt
			s.Schedule(key)
			s.Wait()
			if diff := cmp.Diff([]string{tt.want}, m.started); diff != "" || m.arn != "arn:of:delivery" || log.Len() > 0 {
				t.Errorf("of %q (-want +got):\n%s%s", m.arn, diff, log)
			}
		})
	}
}

func TestScheduleStartsNothingThatIsNotDue(t *testing.T) {
	s, m, _, log := setup(time.Time{}, 7)
	s.Schedule(key, handoff.Key{Tenant: "acme", Integration: "deleted"})
	s.Wait()
	if len(m.started) > 0 || log.Len() > 0 {
		t.Errorf("started %v\n%s", m.started, log)
	}
}

func TestScheduleLogsAFailureOnce(t *testing.T) {
	for name, fail := range map[string]func(*machine, *cursors){
		"of the store": func(_ *machine, c *cursors) { c.err[key] = problem.New(problem.Unavailable, "Throttled.") },
		"of the machine": func(m *machine, _ *cursors) {
			m.start = func(context.Context) error { return errors.New("Throttled.") }
		},
	} {
		s, m, c, log := setup(now, 7)
		fail(m, c)
		s.Schedule(key)
		s.Wait()
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 || !strings.Contains(log.String(), "tenant=acme integration=orders lane=2 error=Throttled.") {
			t.Errorf("%s: logged\n%s", name, log)
		}
	}
}

func TestScheduleAcceptsAnExistingExecution(t *testing.T) {
	s, m, _, log := setup(now, 7)
	m.start = func(context.Context) error {
		return fmt.Errorf("operation error SFN: StartExecution: %w", &types.ExecutionAlreadyExists{})
	}
	s.Schedule(key)
	s.Wait()
	if log.Len() > 0 {
		t.Errorf("logged\n%s", log)
	}
}

func TestScheduleDoesNotBlockAndWaitDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m, c, log := setup(now, 7)
		var running, most int
		m.start = func(context.Context) error {
			m.mu.Lock()
			running++
			most = max(most, running)
			m.mu.Unlock()
			time.Sleep(time.Second)
			m.mu.Lock()
			running--
			m.mu.Unlock()
			return nil
		}
		begun := time.Now()
		s.Wait() // nothing was given
		for i := range 20 {
			k := handoff.Key{Tenant: "acme", Integration: "orders", Lane: i}
			c.mu.Lock() // those before are being started
			c.cursor[k] = handoff.Cursor{DueAt: now, Version: 7}
			c.mu.Unlock()
			s.Schedule(k)
		}
		if took := time.Since(begun); took > 0 {
			t.Errorf("Schedule took %v", took)
		}
		s.Wait()
		if took := time.Since(begun); took != 3*time.Second || len(m.started) != 20 || most != maxWorkers {
			t.Errorf("Wait returned after %v with %d started, %d at once", took, len(m.started), most)
		}
		s.Schedule(key)
		s.Wait()
		if len(m.started) != 21 || log.Len() > 0 {
			t.Errorf("%d started\n%s", len(m.started), log)
		}
	})
}

// A cursor that becomes due again while it waits in the queue is read once, and
// one that does so while its execution is being started is read again.
func TestScheduleOfTheSameCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m, c, _ := setup(now, 7)
		m.start = func(context.Context) error { time.Sleep(time.Second); return nil }
		s.Schedule(key, key)
		s.Schedule(key)
		synctest.Wait() // the first is being started
		s.Schedule(key, key)
		s.Wait()
		if c.reads != 2 {
			t.Errorf("%d reads, want 2", c.reads)
		}
	})
}

func TestStartThatHangsIsAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m, _, log := setup(now, 7)
		m.start = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		begun := time.Now()
		s.Schedule(key)
		s.Wait()
		if took := time.Since(begun); took != startTimeout || !strings.Contains(log.String(), "deadline exceeded") {
			t.Errorf("given up after %v\n%s", took, log)
		}
	})
}

func TestNamesFitAndDiffer(t *testing.T) {
	valid := regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)
	seen := map[string]string{}
	for _, k := range []handoff.Key{
		key,
		{Tenant: "acme", Integration: "orders", Lane: 1},
		{Tenant: "acme", Integration: "order", Lane: 2},
		{Tenant: "orders", Integration: "acme", Lane: 2},
		{Tenant: "2#acme", Integration: "orders"},
		{Tenant: strings.Repeat("ü", 64), Integration: strings.Repeat("a", 50), Lane: 31},
	} {
		for _, version := range []uint64{1, 11, 1<<64 - 1} {
			v := versionOf(&handoff.Cursor{Version: version})
			for _, name := range []string{
				executionName(k, v),
				executionName(k, v, strings.Repeat("s", 33)),
				executionName(k, v, "1"),
				executionName(k, v, "1000000", "t00000"),
				executionName(k, v, "1000001", "t00000"),
			} {
				of := fmt.Sprint(k, version)
				if !valid.MatchString(name) || seen[name] != "" {
					t.Errorf("%s has the name %q, as has %q", of, name, seen[name])
				}
				seen[name] = of
			}
		}
	}
}

func TestStartReturnsWhenEverythingIsStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m, c, _ := setup(now, 7)
		m.start = func(context.Context) error { time.Sleep(time.Second); return nil }
		var keys []handoff.Key
		for i := range 2 * maxWorkers {
			k := handoff.Key{Tenant: "acme", Integration: "orders", Lane: i}
			c.cursor[k] = handoff.Cursor{DueAt: now, Version: 7}
			keys = append(keys, k)
		}
		begun := time.Now()
		s.Start(keys...)
		if took := time.Since(begun); took != 2*time.Second || len(m.started) != len(keys) {
			t.Errorf("%d of %d started after %v", len(m.started), len(keys), took)
		}
	})
}
