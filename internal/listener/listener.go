// Package listener is a webhook receiver for development. It reports the calls it
// receives and responds as configured, for example slowly or with failures.
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

// MaxBody is the limit of a body in bytes. A larger one gets a 413.
const MaxBody = 16 << 20

// Options configure how the receiver responds. The zero value responds to
// everything with an immediate 200.
type Options struct {
	Delay    time.Duration // before each response
	Statuses []int         // of the responses, in turn; the last one from then on
	Reject   []string      // event names that always get a 400
	// SigningSecret verifies signatures: "whsec_" and base64, as registered.
	// If empty, signatures are not verified.
	SigningSecret string
	// Received, unless nil, is called for each delivery before the response is
	// sent. Calls are sequential.
	Received func(Delivery)
	Now      func() time.Time // nil means time.Now
}

// Delivery is one received call.
type Delivery struct {
	ReceivedAt time.Time
	Path       string // of the request
	ID         string // header webhook-id
	Name       string // of the event; empty if the body is not an event
	Attempt    int    // header sluice-attempt; 0 without one
	Signature  Signature
	Status     int    // of the response
	Body       []byte // Received may retain it
}

// Handler is the receiver. It is safe for concurrent use.
type Handler struct {
	options Options
	key     []byte

	mu     sync.Mutex
	calls  int
	counts map[int]int // calls by status
	again  int         // calls with an attempt greater than 1
	wrong  int         // signatures that are not OK
}

// New returns a receiver, or an error that begins with the invalid option as the flag is called.
func New(o Options) (*Handler, error) {
	for _, status := range o.Statuses {
		if status < 200 || status > 599 {
			return nil, fmt.Errorf("status is %d; it must be from 200 to 599", status)
		}
	}
	for _, name := range o.Reject {
		if !event.ValidName(name) {
			return nil, fmt.Errorf("reject is %q; it must be the name of an event, such as order.created", name)
		}
	}
	if o.Delay < 0 {
		return nil, fmt.Errorf("delay is %v; it must not be negative", o.Delay)
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

// ServeHTTP receives one call.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "this webhook receiver accepts POST only", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
			http.Error(w, fmt.Sprintf("the body exceeds the limit of %d bytes", MaxBody), http.StatusRequestEntityTooLarge)
		}
		return
	}
	d := h.record(r.URL.Path, r.Header, body)
	if h.options.Delay > 0 {
		if backoff.Wait(r.Context(), h.options.Delay) != nil {
			return
		}
	}
	w.WriteHeader(d.Status)
}

// record counts a call, chooses its status and passes it to Received.
func (h *Handler) record(path string, header http.Header, body []byte) Delivery {
	var event struct {
		Name string `json:"name"`
	}
	_ = json.Unmarshal(body, &event) // a body that is not an event has no name
	attempt, _ := strconv.Atoi(header.Get("Sluice-Attempt"))
	now := h.options.Now()
	d := Delivery{
		ReceivedAt: now, Path: path, ID: header.Get("Webhook-Id"), Name: event.Name, Attempt: attempt,
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

// status returns the status of the next response. A rejected name uses up none of
// Statuses.
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

// Summary returns a sentence about the calls received so far.
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
		return "No calls received."
	}
	calls, again := "calls", "were repeated attempts"
	if total == 1 {
		calls = "call"
	}
	if h.again == 1 {
		again = "was a repeated attempt"
	}
	s := fmt.Sprintf("%d %s received; responses: %s; %d %s.", total, calls, strings.Join(byStatus, ", "), h.again, again)
	if h.key != nil {
		s += fmt.Sprintf(" %d had no valid signature.", h.wrong)
	}
	return s
}
