package httpapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/sluicehq/sluice/internal/fairshare"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/usertext"
)

// exchange is the http.ResponseWriter of one request, with what handlers and the
// request's log line need. It drops the body of a response to HEAD.
type exchange struct {
	http.ResponseWriter
	id     string
	start  time.Time
	route  string         // the path's pattern
	tenant string         // "" if the route needs no token, or the events of a call name their own
	memory fairshare.Hold // of the body; none without a token
	quiet  bool           // an operational route, logged at debug level
	err    error          // why the request failed, nil if it did not
	head   bool           // the method is HEAD
	unread bool           // the request may have a body that is not read to its end
	status int            // 0: nothing is written yet
	bytes  int            // written, of the body

	verified  bool // the token is valid, and has the scope and a tenant to act for
	anyTenant bool // it is a platform token: events may name their tenants
}

type requestIDKey struct{}

// begin starts an exchange. It always generates the request id: a caller could
// otherwise send the id of another request.
func (a *api) begin(w http.ResponseWriter, r *http.Request) (*exchange, *http.Request) {
	x := &exchange{ResponseWriter: w, id: rand.Text(), start: a.Now(), head: r.Method == http.MethodHead, unread: r.ContentLength != 0}
	h := w.Header()
	h.Set("X-Request-Id", x.id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	return x, r.WithContext(context.WithValue(r.Context(), requestIDKey{}, x.id))
}

// end recovers a panic and logs the request. It must be deferred directly.
func (a *api) end(x *exchange, r *http.Request) {
	v := recover()
	x.memory.Release()
	started := x.status != 0
	err, _ := v.(error)
	aborted := errors.Is(err, http.ErrAbortHandler)
	if v != nil && !aborted {
		a.Log.ErrorContext(r.Context(), "request panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		if !started {
			a.fail(x, problem.New(problem.Internal, "panic: %v", v))
		}
	}
	a.logRequest(x, r)
	if aborted || v != nil && started {
		panic(http.ErrAbortHandler) // the client must not mistake a truncated body for a complete one
	}
}

// logRequest logs a line for each request with a valid token, and one a second for others alike.
func (a *api) logRequest(x *exchange, r *http.Request) {
	hidden := 0
	if !x.verified {
		var ok bool
		if hidden, ok = a.lines.line(kind{x.route, x.status, problem.CodeOf(x.err)}, a.Now()); !ok {
			return
		}
	}
	attrs := []slog.Attr{
		slog.String("method", clip(r.Method)),
		slog.String("route", x.route),
		slog.String("path", clip(r.URL.Path)),
		slog.Int("status", x.status),
		slog.Int64("took_ms", a.Now().Sub(x.start).Milliseconds()),
		slog.Int("bytes", x.bytes),
		slog.String("tenant", x.tenant),
	}
	level := slog.LevelInfo
	switch {
	case x.status == http.StatusInternalServerError:
		level = slog.LevelError
	case x.status > http.StatusInternalServerError:
		level = slog.LevelWarn
	case x.quiet:
		level = slog.LevelDebug
	}
	if x.err != nil {
		attrs = append(attrs, slog.String("error_code", string(problem.CodeOf(x.err))), slog.String("error", x.err.Error()))
	}
	if hidden > 0 {
		attrs = append(attrs, slog.Int("not_logged", hidden))
	}
	a.Log.LogAttrs(r.Context(), level, "request served", attrs...)
}

// WriteHeader implements http.ResponseWriter.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
		x.endBody()
	}
	x.ResponseWriter.WriteHeader(status)
}

// unreadWait is how long an answer waits for the rest of a body that nobody reads.
const unreadWait = time.Second

// endBody bounds how long the server waits for the rest of the body: it reads up to 256 KiB
// before it sends the answer, and a caller that announces them and sends none would hold
// the connection until the server's ReadTimeout, even without a token.
func (x *exchange) endBody() {
	if x.unread {
		// Behind API Gateway there is no deadline to set; the body is there.
		_ = http.NewResponseController(x.ResponseWriter).SetReadDeadline(time.Now().Add(unreadWait))
	}
}

// Write implements http.ResponseWriter.
func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	if x.head {
		return len(b), nil
	}
	n, err := x.ResponseWriter.Write(b)
	x.bytes += n
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WithRequestID returns a slog.Handler that adds request_id to every record
// logged with the context of a request of this API, in any package. It returns h
// unchanged if h already does so.
func WithRequestID(h slog.Handler) slog.Handler {
	if _, ok := h.(requestIDHandler); ok {
		return h
	}
	return requestIDHandler{h}
}

type requestIDHandler struct{ slog.Handler }

func (h requestIDHandler) Handle(ctx context.Context, record slog.Record) error {
	if id, ok := ctx.Value(requestIDKey{}).(string); ok {
		record = record.Clone()
		record.AddAttrs(slog.String("request_id", id))
	}
	return h.Handler.Handle(ctx, record)
}

func (h requestIDHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestIDHandler{h.Handler.WithAttrs(attrs)}
}

func (h requestIDHandler) WithGroup(name string) slog.Handler {
	return requestIDHandler{h.Handler.WithGroup(name)}
}

// clip keeps a caller's text short in messages and log lines.
func clip(s string) string { return usertext.Clip(s, 200) }
