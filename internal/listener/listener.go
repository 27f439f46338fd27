// Package listener is a webhook receiver for trying things out: it hands on
// what arrives and answers as it is told to, slowly or with failures.
package listener

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/backoff"
	"github.com/sluicehq/sluice/internal/event"
)

// MaxBody is the longest body that is taken, in bytes; a longer one is
// answered with a 413.
const MaxBody = 16 << 20

// Options say how the receiver answers. The zero value takes everything with a
// 200 at once.
type Options struct {
	Delay    time.Duration // before each answer
	Statuses []int         // of the answers, in turn; the last one from then on
	Reject   []string      // event names that are always answered with a 400
	// SigningSecret checks signatures: "whsec_" and base64, as registered.
	SigningSecret string
	// Received, unless nil, is told of each call before it is answered, one
	// call at a time.
	Received func(Delivery)
	Now      func() time.Time // nil is time.Now
}

// Delivery is one call as it arrived.
type Delivery struct {
	ReceivedAt time.Time
	ID         string // header webhook-id
	Name       string // of the event; empty if the body is not an event
	Attempt    int    // header sluice-attempt; 0 without one
	Signature  Signature
	Status     int    // of the answer
	Body       []byte // the receiver of it may keep it
}

// Handler is the receiver. It is safe for concurrent use.
type Handler struct {
	options Options
	key     []byte

	mu     sync.Mutex
	calls  int
	counts map[int]int // calls by status
	again  int         // calls with an attempt above 1
	wrong  int         // signatures that are not OK
}

// New returns a receiver, or an error that names the option at fault.
func New(o Options) (*Handler, error) {
	for _, status := range o.Statuses {
		if status < 200 || status > 599 {
			return nil, fmt.Errorf("%d is not a status to answer with; choose one from 200 to 599", status)
		}
	}
	for _, name := range o.Reject {
		if !event.ValidName(name) {
			return nil, fmt.Errorf("%q is not an event name to reject; one looks like order.created", name)
		}
	}
	if o.Delay < 0 {
		return nil, errors.New("the delay is negative")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	h := &Handler{options: o, counts: map[int]int{}}
	if o.SigningSecret != "" {
		key, err := signingKey(o.SigningSecret)
		if err != nil {
			return nil, err
		}
		h.key = key
	}
	return h, nil
}

// ServeHTTP takes one call.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "this is a webhook receiver: it takes POST", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
			http.Error(w, "the body is too long", http.StatusRequestEntityTooLarge)
		}
		return
	}
	d := h.record(r.Header, body)
	if h.options.Delay > 0 {
		if backoff.Wait(r.Context(), h.options.Delay) != nil {
			return
		}
	}
	w.WriteHeader(d.Status)
}

// record counts a call, decides on its answer and hands it on.
func (h *Handler) record(header http.Header, body []byte) Delivery {
	var event struct {
		Name string `json:"name"`
	}
	_ = json.Unmarshal(body, &event) // what is not an event has no name
	attempt, _ := strconv.Atoi(header.Get("Sluice-Attempt"))
	now := h.options.Now()
	d := Delivery{
		ReceivedAt: now, ID: header.Get("Webhook-Id"), Name: event.Name, Attempt: attempt,
		Signature: h.check(header, body, now), Body: body,
	}

	h.mu.Lock()
	defer h.mu.Unlock()
	d.Status = h.status(event.Name)
	h.counts[d.Status]++
	if d.Attempt > 1 {
		h.again++
	}
	if d.Signature != Unchecked && d.Signature != OK {
		h.wrong++
	}
	if h.options.Received != nil {
		h.options.Received(d)
	}
	return d
}

// status is the answer to the next call. A refused name takes no turn.
func (h *Handler) status(name string) int {
	if slices.Contains(h.options.Reject, name) {
		return http.StatusBadRequest
	}
	turn := h.calls
	h.calls++
	if len(h.options.Statuses) == 0 {
		return http.StatusOK
	}
	return h.options.Statuses[min(turn, len(h.options.Statuses)-1)]
}

// Summary says in a sentence what arrived so far.
func (h *Handler) Summary() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	total := 0
	var byStatus []string
	for _, status := range slices.Sorted(maps.Keys(h.counts)) {
		total += h.counts[status]
		byStatus = append(byStatus, fmt.Sprintf("%d with %d", h.counts[status], status))
	}
	if total == 0 {
		return "No call arrived."
	}
	calls, again := "calls", "were repeated attempts"
	if total == 1 {
		calls = "call"
	}
	if h.again == 1 {
		again = "was a repeated attempt"
	}
	s := fmt.Sprintf("%d %s arrived; answered %s; %d %s.", total, calls, strings.Join(byStatus, ", "), h.again, again)
	if h.key != nil {
		s += fmt.Sprintf(" %d had no right signature.", h.wrong)
	}
	return s
}
