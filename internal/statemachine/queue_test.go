package statemachine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/problem"
)

// mailbox records what is sent.
type mailbox struct{ sent []string }

func (m *mailbox) SendMessage(_ context.Context, in *sqs.SendMessageInput, _ ...func(*sqs.Options)) (*sqs.SendMessageOutput, error) {
	m.sent = append(m.sent, fmt.Sprint(*in.QueueUrl, " ", *in.MessageGroupId, " ", in.DelaySeconds, " ", *in.MessageBody))
	return &sqs.SendMessageOutput{}, nil
}

// Messages of one release are met by the next: this pins them. SQS refuses a longer delay, and a
// group that is not of ASCII.
func TestSend(t *testing.T) {
	m := &mailbox{}
	q := Queue{SQS: m, URL: "https://queue"}
	s := State{Tenant: "acme", Integration: "orders", Lane: 2, Version: "z", Count: 3, WaitSeconds: 300, Next: Wait}
	long := State{Tenant: strings.Repeat("ü", 128), Integration: "orders", WaitSeconds: 3600}
	for _, s := range []State{s, long} {
		if err := q.Send(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	const head = "https://queue "
	want := head + `822b33ad87c148a0a20a5ba7cd5ebcaa 300 {"tenant":"acme","integration":"orders","lane":2,"version":"z","shadow":false,"wait_seconds":300,"count":3,"next":"wait","renewal":""}`
	if diff := cmp.Diff(want, m.sent[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if fields := strings.Fields(m.sent[1]); len(fields[1]) != 32 || fields[2] != "900" {
		t.Errorf("group %s, delay %s", fields[1], fields[2])
	}
	_, body, _ := strings.Cut(m.sent[0], " 300 ")
	if got, err := ReadMessage(body); err != nil || got != s {
		t.Errorf("it is read as %+v, %v", got, err)
	}
	if _, err := ReadMessage("{"); err == nil {
		t.Error("half a message is read")
	}
}

// What is no replay goes on as a message, with the wait that is left, and starts no execution.
func TestScheduleSendsAMessage(t *testing.T) {
	for name, c := range map[string]struct {
		replay, sendFails bool
		cursorsErr        error
		sent, started     int
	}{
		"an integration":                    {sent: 1},
		"an integration, no queue":          {sendFails: true, sent: 1},
		"a replay":                          {replay: true, started: 1},
		"it is not known which of the both": {cursorsErr: errors.New("the table is away")},
	} {
		s, m, _, log := setup(now.Add(90*time.Second), 35)
		var sent []State
		s.Replay = func(_ context.Context, k handoff.Key) (bool, error) {
			if k != key {
				t.Errorf("asked about %v", k)
			}
			return c.replay, c.cursorsErr
		}
		s.Send = func(_ context.Context, s State) error {
			if sent = append(sent, s); c.sendFails {
				return errors.New("the queue is away")
			}
			return nil
		}
		s.Start(key)
		if len(sent) != c.sent || len(m.started) != c.started {
			t.Errorf("%s: %d messages, %d executions", name, len(sent), len(m.started))
		}
		if want := (State{Tenant: "acme", Integration: "orders", Lane: 2, Version: "z", WaitSeconds: 90}); c.sent > 0 && sent[0] != want {
			t.Errorf("%s: sent %+v", name, sent[0])
		}
		if failed := c.sendFails || c.cursorsErr != nil; failed != strings.Contains(log.String(), "the sweep will retry") {
			t.Errorf("%s: logged %s", name, log)
		}
	}
}

// A hiccup of a service does not leave a message hidden for minutes: it is tried again at once.
// A step that fails after it has taken the lease would be silent: its next try finds another
// version, and has nothing to fail with.
func TestAStepThatFailsAfterItsLeaseIsReported(t *testing.T) {
	lost := problem.New(problem.Internal, "A segment is lost.")
	synctest.Test(t, func(t *testing.T) {
		stored := &cursors{cursor: map[handoff.Key]handoff.Cursor{key: {DueAt: now, Version: 35}}}
		var sent []State
		d := Task{
			Cursors: stored,
			Now:     func() time.Time { return now },
			Send:    func(_ context.Context, s State) error { sent = append(sent, s); return nil },
			Advance: func(context.Context, handoff.Key) (delivery.Next, error) {
				stored.cursor[key] = handoff.Cursor{DueAt: now.Add(15 * time.Second), Version: 36}
				return delivery.Next{}, lost
			},
		}
		err := d.Message(t.Context(), State{Tenant: "acme", Integration: "orders", Lane: 2, Version: "z", Count: 1})
		if !errors.Is(err, lost) || len(sent) != 1 || !sent[0].Shadow {
			t.Errorf("%v, sent %+v", err, sent)
		}
	})
}

// A step whose next state could not be sent was made: repeated, it would find that its cursor
// has moved, and only look after it until its time is over.
func TestASendThatFailsRepeatsNoStep(t *testing.T) {
	unavailable := problem.New(problem.Unavailable, "Throttled.")
	for failures, want := range map[int]error{0: nil, 1: nil, 2: nil, 3: unavailable} {
		synctest.Test(t, func(t *testing.T) {
			stored := &cursors{cursor: map[handoff.Key]handoff.Cursor{key: {DueAt: now, Version: 35}}}
			var sent []State
			steps, left := 0, failures
			d := Task{
				Cursors: stored,
				Now:     func() time.Time { return now },
				Send: func(_ context.Context, s State) error {
					if left--; left >= 0 {
						return unavailable
					}
					sent = append(sent, s)
					return nil
				},
				Advance: func(context.Context, handoff.Key) (delivery.Next, error) {
					steps++
					stored.cursor[key] = handoff.Cursor{DueAt: now.Add(time.Minute), Version: 36}
					return delivery.Next{Wait: time.Minute}, nil
				},
			}
			err := d.Message(t.Context(), State{Tenant: "acme", Integration: "orders", Lane: 2, Version: "z", Count: 1})
			if !errors.Is(err, want) || steps != 1 || want == nil && (len(sent) != 1 || sent[0].Shadow || sent[0].Version != "10") {
				t.Errorf("%d failures: %v, %d steps, sent %+v", failures, err, steps, sent)
			}
		})
	}
}

func TestAMessageIsTriedAgainAtOnce(t *testing.T) {
	unavailable := problem.New(problem.Unavailable, "Throttled.")
	for failures, want := range map[int]struct {
		err  error
		took time.Duration
	}{0: {nil, 0}, 1: {nil, time.Second}, 2: {nil, 3 * time.Second}, 3: {unavailable, 3 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			began, left, sent := time.Now(), failures, 0
			d := Task{
				Cursors: &cursors{cursor: map[handoff.Key]handoff.Cursor{key: {DueAt: now, Version: 35}}},
				Now:     func() time.Time { return now },
				Send:    func(context.Context, State) error { sent++; return nil },
				Advance: func(context.Context, handoff.Key) (delivery.Next, error) {
					if left--; left >= 0 {
						return delivery.Next{}, unavailable
					}
					return delivery.Next{Wait: time.Minute}, nil
				},
			}
			err := d.Message(t.Context(), State{Tenant: "acme", Integration: "orders", Lane: 2, Version: "z", Count: 1})
			if !errors.Is(err, want.err) || time.Since(began) != want.took || (err == nil) != (sent == 1) {
				t.Errorf("%d failures: %v after %v, %d sent", failures, err, time.Since(began), sent)
			}
		})
	}
}
