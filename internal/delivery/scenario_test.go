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
	"github.com/sluicehq/sluice/internal/store"
)

// scenario is one case of the property test: the integrations, what users do to them,
// and how much goes wrong. Seed decides the rest.
type scenario struct {
	Kind                        string
	Seed                        uint64
	Calm                        bool // only receivers fail, so nothing may be repeated
	Zombies                     bool // two live loops at once
	Slots                       int  // processes at a time
	Quiesce                     bool // a stop ends all sends of the single process
	Sole                        bool // the single process owns its cursors, as a node does
	Sweeps                      bool // else nothing heals what the process forgets
	SQLite                      bool // the store and the log are those of a node, on a disk that fails
	Tenants                     int
	Lanes                       int
	Grown                       int // lanes that a tenant may get while it publishes; 0 if it gets none
	InFlight                    int
	Bound                       int // of calls, steps of each kind, and reads at a time; 0 for none
	ReadEvents                  int // events per read of the log
	StepBudget                  time.Duration
	Retention, FailureStopAfter time.Duration // 0: as long as usual
	Latency                     time.Duration // of each half of a call, at most

	Plans     []plan
	Publishes []publication
	Acts      []act

	Luck                                     int // maximum number of injected faults
	FailRate, CrashRate, StallRate, LossRate int // in 1000
	AppendFails, Reject, Retry, Slow, Hang   int // in 1000
	Unsent, DiskFails                        int // in 1000
}

// plan is an integration to register.
type plan struct {
	Tenant     string
	ID         string
	S3         bool
	Wants      string // an event name, an entity, or everything
	Temporary  bool
	At         time.Duration // of its registration
	Back, Span time.Duration // of a replay: starts_at before At, and the span from there
}

type publication struct {
	Tenant string
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
		Tenants:    rapid.SampledFrom([]int{1, 2}).Draw(t, "tenants"),
		Lanes:      rapid.SampledFrom([]int{1, 1, 2, 3}).Draw(t, "lanes"),
		InFlight:   rapid.IntRange(1, 4).Draw(t, "inFlight"),
		Bound:      rapid.SampledFrom([]int{0, 0, 2, 3}).Draw(t, "bound"),
		ReadEvents: rapid.SampledFrom([]int{1, 2, 4, 40}).Draw(t, "readEvents"),
		StepBudget: rapid.SampledFrom([]time.Duration{time.Minute, 2 * time.Second}).Draw(t, "stepBudget"),
		Latency:    rapid.SampledFrom([]time.Duration{time.Millisecond, 20 * time.Millisecond, 300 * time.Millisecond}).Draw(t, "latency"),
		Retry:      rapid.SampledFrom([]int{0, 20, 200}).Draw(t, "retry"),
		Reject:     rapid.SampledFrom([]int{0, 50, 400}).Draw(t, "reject"),
		Slow:       rapid.SampledFrom([]int{0, 50}).Draw(t, "slow"),
		Hang:       rapid.SampledFrom([]int{0, 20}).Draw(t, "hang"),
		Unsent:     rapid.SampledFrom([]int{0, 50}).Draw(t, "unsent"),
	}
	sc.Quiesce = rapid.Bool().Draw(t, "quiesce")
	acts := []string{"quit"}
	if sc.Kind == "calm" {
		sc.Calm, sc.AppendFails = true, rapid.SampledFrom([]int{0, 300}).Draw(t, "appendFails")
	} else {
		acts = append(acts, "stop", "stop", "start", "bounce", "renew", "patch", "skip", "skip", "skip", "from", "from", "retryAll", "retryAll", "retryAll")
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
	sc.Sole = sc.Slots == 1 && rapid.IntRange(0, 4).Draw(t, "sole") > 0
	if sc.Kind != "calm" {
		acts = append(acts, sc.drawYears(t)...)
	}
	if rapid.IntRange(0, 2).Draw(t, "grows") == 0 {
		sc.Grown = sc.Lanes + 2
	}
	// A node forgets nothing that its store has told it.
	sc.Sweeps = !sc.Sole || sc.LossRate+sc.FailRate+sc.StallRate > 0
	if sc.SQLite = sc.Sole && rapid.IntRange(0, 24).Draw(t, "sqlite") == 24; sc.SQLite && sc.Kind != "calm" {
		sc.DiskFails, sc.Sweeps = rapid.SampledFrom([]int{0, 5, 50}).Draw(t, "diskFails"), true
	}
	sc.drawPeople(t, acts)
	return sc
}

// drawYears draws what takes months or years: trimming, failures until an integration is
// stopped, and clocks that are set. It returns the acts of it.
func (sc *scenario) drawYears(t *rapid.T) (acts []string) {
	if rapid.IntRange(0, 3).Draw(t, "trims") == 0 {
		sc.Retention = rapid.SampledFrom([]time.Duration{time.Second, 5 * time.Second, 15 * time.Second}).Draw(t, "retention")
		acts = append(acts, "trim", "trim", "trim", "trim")
	}
	if rapid.IntRange(0, 3).Draw(t, "outage") == 0 {
		sc.FailureStopAfter, sc.Retry = 25*time.Second, 950
	}
	if sc.Sole && sc.Quiesce && rapid.IntRange(0, 3).Draw(t, "clock") == 0 {
		acts = append(acts, "clock", "clock")
	}
	return acts
}

// drawPeople draws the integrations, the publications and the acts.
func (sc *scenario) drawPeople(t *rapid.T, acts []string) {
	at, registered, acted, span, fewest := between(0, horizon), between(0, horizon), between(0, horizon), between(time.Millisecond, horizon), 0
	if sc.Kind == "stalls" { // many calls are in flight when it is stopped, or ends
		at, registered, acted, span, fewest = between(0, 8*time.Second), between(0, time.Second), between(4*time.Second, 20*time.Second), between(2*time.Second, 12*time.Second), 1
	}
	sc.Plans = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) plan {
		p := plan{
			Tenant: tenants[rapid.IntRange(0, sc.Tenants-1).Draw(t, "tenant")],
			S3:     rapid.IntRange(0, 3).Draw(t, "s3") == 3,
			Wants:  rapid.SampledFrom([]string{"", "", "order", "order.created"}).Draw(t, "wants"),
		}
		if rapid.IntRange(0, 2).Draw(t, "late") > 0 {
			p.At = registered.Draw(t, "at")
		}
		if p.Temporary = rapid.IntRange(0, 3).Draw(t, "type") == 3; p.Temporary {
			p.Back, p.Span = between(0, p.At).Draw(t, "back"), span.Draw(t, "span")
		}
		return p
	}), 1, 4*sc.Tenants).Draw(t, "plans")
	of := map[string]int{}
	for i := range sc.Plans {
		p := &sc.Plans[i]
		p.ID = fmt.Sprint("plan", of[p.Tenant])
		of[p.Tenant]++
	}
	sc.Publishes = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) publication {
		return publication{tenants[rapid.IntRange(0, sc.Tenants-1).Draw(t, "tenant")], at.Draw(t, "at"), rapid.IntRange(1, maxBatch).Draw(t, "events")}
	}), 1+3*fewest, 16).Draw(t, "publishes")
	sc.Acts = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) act {
		return act{acted.Draw(t, "at"), rapid.SampledFrom(acts).Draw(t, "what"), rapid.IntRange(0, 7).Draw(t, "which")}
	}), fewest, 6).Draw(t, "acts")
	if sc.Grown > 0 {
		for range 2 { // else hardly a case would have it
			sc.Acts = append(sc.Acts, act{acted.Draw(t, "lanes at"), "lanes", rapid.IntRange(0, 7).Draw(t, "which lanes")})
		}
	}
}

// eventID has a fixed width, so that all events have the same size.
func eventID(publication, n int) string { return fmt.Sprintf("e%02d-%d", publication, n) }

var eventSize = len(event.Draft{ID: eventID(0, 0), Name: "order.created", Payload: []byte(`{}`)}.Stamp(tenant, time.Now()).Body)

func tenantOf(body []byte) string {
	_, rest, _ := strings.Cut(string(body), `"tenant":"`)
	name, _, _ := strings.Cut(rest, `"`)
	return name
}

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
	if w.SQLite {
		if err := w.openDisk(); err != nil {
			return []string{err.Error()}
		}
	}
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
	w.disk.mend()
	actors.Wait()
	w.startAll()
	w.waitUntilDone()
	cancel()
	processes.Wait()
	w.checkReleased()
	w.checkRecorded()
	w.checkAlerts()
	w.disk.close()
	w.checkRepeats()
	return w.faults
}

// waitUntilDone waits until nothing is pending.
func (w *world) waitUntilDone() {
	began, missing := time.Now(), ""
	for time.Since(began) < doneWithin {
		w.check()
		if time.Since(began) < 10*time.Minute {
			w.startAll() // those that a stalled actor stops for failures that had begun before
		}
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

func (w *world) startAll() {
	for _, p := range w.Plans {
		w.user(func(on *process) error {
			_, err := on.life.Start(context.Background(), p.Tenant, p.ID)
			return err
		})
	}
}

// check checks the owners while nothing is written.
func (w *world) check() {
	w.writes.Lock()
	defer w.writes.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.checkOwners()
}

// supervise starts a new process whenever one has ended.
func (w *world) supervise(ctx context.Context, slot int) {
	for ctx.Err() == nil {
		p := w.process(slot)
		stop := context.AfterFunc(ctx, p.end)
		p.run()
		stop()
		p.crash() // what it did for users ends too
		if ctx.Err() != nil || !w.count() {
			return
		}
		d := w.dice("restart", fmt.Sprint(slot))
		time.Sleep(time.Duration(d.Int64N(int64(20 * time.Second))))
		w.reopen()
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
		case err == nil, slices.Contains([]problem.Code{problem.AlreadyExists, problem.NotFound, problem.ReplayFinished, problem.NotBlocked}, code):
			return
		default:
			w.mu.Lock()
			w.fail("user: %v", err)
			w.mu.Unlock()
			return
		}
	}
}

// register registers a plan.
func (w *world) register(i int) {
	p := w.Plans[i]
	w.user(func(on *process) error {
		_, err := on.life.Register(context.Background(), p.Tenant, w.specOf(p))
		return err
	})
}

func (w *world) specOf(p plan) integration.Spec {
	spec := integration.Spec{ID: p.ID, Type: integration.Permanent}
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
		spec.StartsAt = w.now().UTC().Truncate(time.Millisecond).Add(-p.Back)
		spec.EndsAt = spec.StartsAt.Add(p.Span)
	}
	return spec
}

func (w *world) act(a act) {
	ctx, i := context.Background(), a.Which%len(w.Plans)
	name, id := w.Plans[i].Tenant, w.Plans[i].ID
	switch a.What {
	case "quit":
		w.process(a.Which).end()
	case "stop":
		w.user(func(p *process) error { _, err := p.life.Stop(ctx, name, id); return err })
	case "start":
		w.user(func(p *process) error { _, err := p.life.Start(ctx, name, id); return err })
	case "bounce":
		w.user(func(p *process) error { _, err := p.life.Stop(ctx, name, id); return err })
		w.user(func(p *process) error { _, err := p.life.Start(ctx, name, id); return err })
	case "renew":
		w.user(func(p *process) error { return p.life.Delete(ctx, name, id) })
		w.register(i)
	case "patch":
		w.patch(w.Plans[i], filters[a.Which%len(filters)])
	case "retryAll":
		for range 4 { // there may be nothing in the list yet
			w.retryAll(name, id)
			time.Sleep(2 * time.Second)
		}
	case "from":
		w.startFrom(name, id, a.Which)
	case "skip":
		w.skip(name, id)
	case "trim":
		w.trimNow()
	case "lanes":
		w.raise(name, w.Lanes+1+a.Which%2)
	case "clock":
		w.setClock(clockSteps[a.Which%len(clockSteps)])
	}
}

// raise gives a tenant more lanes, unless it has more already.
func (w *world) raise(name string, n int) {
	w.user(func(p *process) error {
		err := p.lanes.Raise(context.Background(), name, n)
		if problem.CodeOf(err) == problem.Conflict && !errors.Is(err, store.ErrConflict) {
			return nil
		}
		return err
	})
}

var clockSteps = []time.Duration{-5 * time.Minute, -3 * time.Second, 3 * time.Second, 5 * time.Minute}

// setClock sets the wall clock of all processes.
func (w *world) setClock(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.skew.Add(int64(by))
	w.skewed = true
	w.incidents++ // budgets and leases are over at once
}

// patch stops an integration, changes its filter and starts it again.
func (w *world) patch(plan plan, filter integration.FilterSpec) {
	ctx := context.Background()
	w.user(func(p *process) error { _, err := p.life.Stop(ctx, plan.Tenant, plan.ID); return err })
	change := func(*integration.Integration) (integration.Spec, error) {
		spec := w.specOf(plan)
		spec.Filter = filter
		return spec, nil
	}
	for range 30 { // until it has stopped, unless it is started meanwhile
		var code problem.Code
		w.user(func(p *process) error {
			in, err := p.life.Update(ctx, plan.Tenant, plan.ID, change)
			if err == nil {
				w.updated(in, filter)
			}
			if code = problem.CodeOf(err); code == problem.NotStopped || code == problem.InvalidRequest {
				return nil // it runs, or is a replay
			}
			return err
		})
		if code != problem.NotStopped {
			break
		}
		time.Sleep(time.Second)
	}
	w.user(func(p *process) error { _, err := p.life.Start(ctx, plan.Tenant, plan.ID); return err })
}

func (w *world) updated(in *integration.Integration, want integration.FilterSpec) {
	if got := in.Filter; !slices.Equal(got.Names, want.Names) || !slices.Equal(got.Entities, want.Entities) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.fail("updated: %s has the filter %+v, want %+v", lifeName(in), got, want)
	}
}

var filters = []integration.FilterSpec{{}, {Entities: []string{"order"}}, {Names: []string{"order.created"}}, {Entities: []string{"return"}}}

// publish publishes events and tells the live loops.
func (w *world) publish(i int, p publication) {
	time.Sleep(p.At + time.Duration(i))
	if w.Sole {
		w.publishOnNode(i, p)
		return
	}
	spread := w.process(i).lanes.Current(context.Background())
	for lane := range spread.Of(p.Tenant) {
		w.appendUntilDone(i, p, spread, event.Partition{Tenant: p.Tenant, Lane: lane})
	}
}

func draftsOf(publication, n int) []event.Draft {
	var drafts []event.Draft
	for j := range n {
		drafts = append(drafts, event.Draft{ID: eventID(publication, j), Name: eventNames[(publication+j)%len(eventNames)], Payload: []byte(`{}`)})
	}
	return drafts
}

// publishOnNode publishes as a node does: again, until it is told that the events are in
// the log.
func (w *world) publishOnNode(i int, p publication) {
	for w.count() {
		d := w.dice("publish", fmt.Sprint(i))
		time.Sleep(w.latency(d))
		on := w.process(0)
		spread := on.lanes.Current(context.Background())
		var err error
		if d.IntN(1000) >= w.AppendFails || w.quietTime() {
			err = w.effect(on, func() error {
				return w.log.Publish(context.Background(), p.Tenant, spread, draftsOf(i, p.Events))
			})
		} else {
			err = problem.New(problem.Unavailable, "injected")
		}
		if err != nil {
			time.Sleep(200*time.Millisecond + w.latency(d))
			continue
		}
		w.published(p.Tenant, draftsOf(i, p.Events))
		for lane, end := range w.ends(p.Tenant) {
			if end > 0 {
				on.grow(event.Partition{Tenant: p.Tenant, Lane: lane}, end)
			}
		}
		return
	}
}

// ends returns the ends of a tenant's lanes.
func (w *world) ends(tenant string) []uint64 {
	w.writes.RLock() // the log may be opened again
	defer w.writes.RUnlock()
	ends := make([]uint64, w.mostLanes())
	for lane := range ends {
		ends[lane], _ = w.log.End(context.Background(), event.Partition{Tenant: tenant, Lane: lane})
	}
	return ends
}

// appendUntilDone appends the events of one lane, as a stream does: if a response is
// lost, again with the same source.
func (w *world) appendUntilDone(i int, p publication, spread event.Lanes, part event.Partition) {
	for w.count() {
		d := w.dice("publish", fmt.Sprint(i, part.Lane))
		time.Sleep(w.latency(d))
		fails := d.IntN(1000) < w.AppendFails && !w.quietTime()
		before := d.IntN(2) == 0
		if fails && before {
			continue
		}
		end, ok := w.append(part, spread, i, p.Events)
		if !ok {
			return
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
		return
	}
}

// append appends the publication's events of one lane to the log, if there are any.
// Their published_at is just after now, so that offsets that are final stay so.
func (w *world) append(part event.Partition, spread event.Lanes, publication, n int) (end uint64, ok bool) {
	var events []event.Event
	at := time.Now().Truncate(time.Millisecond).Add(time.Millisecond)
	for _, d := range draftsOf(publication, n) {
		if spread.PartitionOf(part.Tenant, d.ID) == part {
			events = append(events, d.Stamp(part.Tenant, at))
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
