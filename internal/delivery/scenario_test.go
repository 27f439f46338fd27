package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
)

// scenario is one case of the property test: the integrations, what users do to them,
// and how much goes wrong. Seed decides the rest.
type scenario struct {
	Kind       string
	Seed       uint64
	Calm       bool // only receivers fail, so nothing may be repeated
	Zombies    bool // two live loops at once
	Slots      int  // processes at a time
	Quiesce    bool // a stop ends all sends of the single process
	Sole       bool // the single process owns its cursors, as a node does
	Lanes      int
	InFlight   int
	Bound      int // of calls, steps of each kind, and reads at a time; 0 for none
	ReadEvents int // events per read of the log
	StepBudget time.Duration
	Latency    time.Duration // of each half of a call, at most

	Plans     []plan
	Publishes []publication
	Acts      []act

	Luck                                     int // maximum number of injected faults
	FailRate, CrashRate, StallRate, LossRate int // in 1000
	AppendFails, Reject, Retry, Slow, Hang   int // in 1000
	Unsent                                   int // in 1000
}

// plan is an integration to register.
type plan struct {
	S3         bool
	Wants      string // an event name, an entity, or everything
	Temporary  bool
	At         time.Duration // of its registration
	Back, Span time.Duration // of a replay: starts_at before At, and the span from there
}

type publication struct {
	At     time.Duration
	Events int
}

// act is something a user or an operator does.
type act struct {
	At    time.Duration
	What  string
	Which int
}

const (
	maxBatch   = 4 // events of one publication
	horizon    = 40 * time.Second
	faultsTill = 60 * time.Second
	doneWithin = time.Hour
)

var eventNames = []string{"order.created", "order.cancelled", "return.created"}

func between(lo, hi time.Duration) *rapid.Generator[time.Duration] {
	return rapid.Map(rapid.IntRange(int(lo/time.Millisecond), int(hi/time.Millisecond)), func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond })
}

// drawScenario draws a case. Each kind leaves something out, so that assertions that
// hold only without it are tested too.
func drawScenario(t *rapid.T) scenario {
	sc := scenario{
		Kind:       rapid.SampledFrom([]string{"calm", "stops", "faults", "crashes", "losses", "stalls", "stalls", "zombies"}).Draw(t, "kind"),
		Seed:       rapid.Uint64().Draw(t, "seed"),
		Slots:      1,
		Lanes:      rapid.SampledFrom([]int{1, 1, 2, 3}).Draw(t, "lanes"),
		InFlight:   rapid.IntRange(1, 4).Draw(t, "inFlight"),
		Bound:      rapid.SampledFrom([]int{0, 0, 2, 3}).Draw(t, "bound"),
		ReadEvents: rapid.SampledFrom([]int{1, 2, 4, 40}).Draw(t, "readEvents"),
		StepBudget: rapid.SampledFrom([]time.Duration{time.Minute, 2 * time.Second}).Draw(t, "stepBudget"),
		Latency:    rapid.SampledFrom([]time.Duration{time.Millisecond, 20 * time.Millisecond, 300 * time.Millisecond}).Draw(t, "latency"),
		Retry:      rapid.SampledFrom([]int{0, 20, 200}).Draw(t, "retry"),
		Reject:     rapid.SampledFrom([]int{0, 50}).Draw(t, "reject"),
		Slow:       rapid.SampledFrom([]int{0, 50}).Draw(t, "slow"),
		Hang:       rapid.SampledFrom([]int{0, 20}).Draw(t, "hang"),
		Unsent:     rapid.SampledFrom([]int{0, 50}).Draw(t, "unsent"),
	}
	sc.Quiesce = rapid.Bool().Draw(t, "quiesce")
	acts := []string{"quit"}
	if sc.Kind == "calm" {
		sc.Calm, sc.AppendFails = true, rapid.SampledFrom([]int{0, 300}).Draw(t, "appendFails")
	} else {
		acts = append(acts, "stop", "stop", "start", "renew")
	}
	if sc.Kind != "calm" && sc.Kind != "stops" {
		sc.Luck = rapid.SampledFrom([]int{1, 3, 10, 30}).Draw(t, "luck")
		sc.LossRate = rapid.SampledFrom([]int{0, 100, 500}).Draw(t, "losses")
		sc.AppendFails = rapid.SampledFrom([]int{0, 300}).Draw(t, "appendFails")
	}
	switch sc.Kind {
	case "faults", "zombies":
		sc.FailRate = rapid.SampledFrom([]int{5, 50}).Draw(t, "fails")
		sc.StallRate = rapid.SampledFrom([]int{0, 10}).Draw(t, "stalls")
	case "stalls": // actors hang in a call while their calls to receivers go on
		sc.StallRate, sc.Quiesce = rapid.SampledFrom([]int{0, 100, 300}).Draw(t, "stalls"), false
		sc.Slow, sc.Luck = rapid.SampledFrom([]int{100, 300, 900}).Draw(t, "slows"), 30
	case "crashes":
		sc.CrashRate = rapid.SampledFrom([]int{5, 30}).Draw(t, "crashes")
	}
	if sc.Zombies = sc.Kind == "zombies"; sc.Zombies || sc.Kind != "calm" && rapid.IntRange(0, 3).Draw(t, "two") == 0 {
		sc.Slots, sc.Quiesce = 2, false
	}
	sc.Sole = sc.Slots == 1 && rapid.Bool().Draw(t, "sole")
	sc.drawPeople(t, acts)
	return sc
}

// drawPeople draws the integrations, the publications and the acts.
func (sc *scenario) drawPeople(t *rapid.T, acts []string) {
	at, registered, acted, span, fewest := between(0, horizon), between(0, horizon), between(0, horizon), between(time.Millisecond, horizon), 0
	if sc.Kind == "stalls" { // many calls are in flight when it is stopped, or ends
		at, registered, acted, span, fewest = between(0, 8*time.Second), between(0, time.Second), between(4*time.Second, 20*time.Second), between(2*time.Second, 12*time.Second), 1
	}
	sc.Plans = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) plan {
		p := plan{
			S3:    rapid.IntRange(0, 3).Draw(t, "s3") == 3,
			Wants: rapid.SampledFrom([]string{"", "", "order", "order.created"}).Draw(t, "wants"),
		}
		if rapid.IntRange(0, 2).Draw(t, "late") > 0 {
			p.At = registered.Draw(t, "at")
		}
		if p.Temporary = rapid.IntRange(0, 3).Draw(t, "type") == 3; p.Temporary {
			p.Back, p.Span = between(0, p.At).Draw(t, "back"), span.Draw(t, "span")
		}
		return p
	}), 1, 4).Draw(t, "plans")
	sc.Publishes = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) publication {
		return publication{at.Draw(t, "at"), rapid.IntRange(1, maxBatch).Draw(t, "events")}
	}), 1+3*fewest, 16).Draw(t, "publishes")
	sc.Acts = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) act {
		return act{acted.Draw(t, "at"), rapid.SampledFrom(acts).Draw(t, "what"), rapid.IntRange(0, 3).Draw(t, "which")}
	}), fewest, 6).Draw(t, "acts")
}

// eventID has a fixed width, so that all events have the same size.
func eventID(publication, n int) string { return fmt.Sprintf("e%02d-%d", publication, n) }

var eventSize = len(event.Draft{ID: eventID(0, 0), Name: "order.created", Payload: []byte(`{}`)}.Stamp(tenant, time.Now()).Body)

func idOf(body []byte) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(string(body), `{"id":"`), `"`)
	return id
}

// servesLive reports whether a slot's process runs the live loop of a partition.
func (w *world) servesLive(slot int, p event.Partition) bool {
	return w.Zombies || p.Lane%w.Slots == slot
}

func (w *world) process(slot int) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.slots[slot%w.Slots]
}

// run runs the case to its end and returns the violations.
func (w *world) run() []string {
	ctx, cancel := context.WithCancel(context.Background())
	var actors, processes sync.WaitGroup
	for slot := range w.Slots {
		w.slots[slot] = newProcess(w, slot)
		processes.Go(func() { w.supervise(ctx, slot) })
	}
	for i, p := range w.Plans {
		actors.Go(func() {
			time.Sleep(p.At)
			w.register(i)
		})
	}
	for i, p := range w.Publishes {
		actors.Go(func() { w.publish(i, p) })
	}
	for i, a := range w.Acts {
		actors.Go(func() {
			time.Sleep(a.At + time.Duration(i)) // no two at the same time
			w.act(a)
		})
	}
	time.Sleep(faultsTill)
	w.mu.Lock()
	w.lull = true
	w.mu.Unlock()
	actors.Wait()
	for i := range w.Plans {
		w.user(func(p *process) error {
			_, err := p.life.Start(context.Background(), tenant, planID(i))
			return err
		})
	}
	w.waitUntilDone()
	cancel()
	processes.Wait()
	w.checkRepeats()
	return w.faults
}

// waitUntilDone waits until nothing is pending.
func (w *world) waitUntilDone() {
	began, missing := time.Now(), ""
	for time.Since(began) < doneWithin {
		if missing = w.pending(); missing == "" {
			return
		}
		w.mu.Lock()
		broken := len(w.faults) > 0
		w.mu.Unlock()
		if broken {
			return
		}
		time.Sleep(7 * time.Second)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail("%s", missing)
}

// supervise starts a new process whenever one has ended.
func (w *world) supervise(ctx context.Context, slot int) {
	for ctx.Err() == nil {
		p := w.process(slot)
		stop := context.AfterFunc(ctx, p.end)
		p.run()
		stop()
		if ctx.Err() != nil || !w.count() {
			return
		}
		d := w.dice("restart", fmt.Sprint(slot))
		time.Sleep(time.Duration(d.Int64N(int64(20 * time.Second))))
		next := newProcess(w, slot)
		w.mu.Lock()
		w.slots[slot] = next
		w.mu.Unlock()
	}
}

// user repeats an action until it gets a response.
func (w *world) user(do func(p *process) error) {
	for try := 0; w.count(); try++ {
		err := do(w.process(try))
		switch code := problem.CodeOf(err); {
		case code == problem.Unavailable, code == problem.Conflict, errors.Is(err, errDead):
			time.Sleep(time.Second)
		case err == nil, slices.Contains([]problem.Code{problem.AlreadyExists, problem.NotFound, problem.ReplayFinished}, code):
			return
		default:
			w.mu.Lock()
			w.fail("user: %v", err)
			w.mu.Unlock()
			return
		}
	}
}

func planID(i int) string { return fmt.Sprint("plan", i) }

func (w *world) register(i int) {
	p := w.Plans[i]
	spec := integration.Spec{ID: planID(i), Type: integration.Permanent}
	if p.S3 {
		spec.S3 = &integration.S3Spec{AccessKeyID: "AK", SecretAccessKey: secret.NewString("sk"), Region: "eu-central-1", Bucket: "bucket"}
	} else {
		spec.Webhook = &integration.WebhookSpec{URL: "https://example.com/"}
	}
	switch {
	case strings.Contains(p.Wants, "."):
		spec.Filter.Names = []string{p.Wants}
	case p.Wants != "":
		spec.Filter.Entities = []string{p.Wants}
	}
	if p.Temporary {
		spec.Type = integration.Temporary
		spec.StartsAt = time.Now().UTC().Truncate(time.Millisecond).Add(-p.Back)
		spec.EndsAt = spec.StartsAt.Add(p.Span)
	}
	w.user(func(p *process) error {
		_, err := p.life.Register(context.Background(), tenant, spec)
		return err
	})
}

func (w *world) act(a act) {
	ctx, i := context.Background(), a.Which%len(w.Plans)
	switch a.What {
	case "quit":
		w.process(a.Which).end()
	case "stop":
		w.user(func(p *process) error { _, err := p.life.Stop(ctx, tenant, planID(i)); return err })
	case "start":
		w.user(func(p *process) error { _, err := p.life.Start(ctx, tenant, planID(i)); return err })
	case "renew":
		w.user(func(p *process) error { return p.life.Delete(ctx, tenant, planID(i)) })
		w.register(i)
	}
}

// publish appends a batch to its lanes and tells the live loops. If a response is
// lost, it appends again with the same source.
func (w *world) publish(i int, p publication) {
	time.Sleep(p.At + time.Duration(i))
	for lane := range w.Lanes {
		part := event.Partition{Tenant: tenant, Lane: lane}
		for w.count() {
			d := w.dice("publish", fmt.Sprint(i, lane))
			time.Sleep(w.latency(d))
			fails := d.IntN(1000) < w.AppendFails && !w.quietTime()
			before := d.IntN(2) == 0
			if fails && before {
				continue
			}
			end, ok := w.append(part, i, p.Events)
			if !ok {
				break
			}
			time.Sleep(w.latency(d))
			if fails {
				continue
			}
			for slot := range w.Slots {
				if w.servesLive(slot, part) && (part.Lane%w.Slots == slot || d.IntN(2) == 0) {
					w.process(slot).grow(part, end)
				}
			}
			break
		}
	}
}

// append appends the publication's events of one lane to the log, if there are any.
// Their published_at is just after now, so that offsets that are final stay so.
func (w *world) append(part event.Partition, publication, n int) (end uint64, ok bool) {
	var events []event.Event
	at := time.Now().Truncate(time.Millisecond).Add(time.Millisecond)
	for j := range n {
		d := event.Draft{ID: eventID(publication, j), Name: eventNames[(publication+j)%len(eventNames)], Payload: []byte(`{}`)}
		if event.LaneOf(d.ID, w.Lanes) == part.Lane {
			events = append(events, d.Stamp(tenant, at))
		}
	}
	if len(events) == 0 {
		return 0, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	end, err := w.log.Append(context.Background(), part, fmt.Sprint("publication ", publication), []eventlog.Record{{Sequence: "1", Events: events}})
	if err != nil {
		w.fail("append: %v", err)
	}
	return end, err == nil
}
