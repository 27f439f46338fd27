package httpapi

import (
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/problem"
)

// logEvery is how often a line is logged for requests of one kind that need no token, or
// have none that counts: anyone can send as many as the network takes.
const logEvery = time.Second

// kind is what such requests are told apart by. There are a few of each route.
type kind struct {
	route  string
	status int
	code   problem.Code
}

// logLimit limits the log lines of each kind. It is safe for concurrent use.
type logLimit struct {
	mu    sync.Mutex
	kinds map[kind]*logged
}

type logged struct {
	at     time.Time // of the newest line
	hidden int       // requests since then
}

// line reports whether a request of a kind gets a line, and how many since the last one
// got none.
func (l *logLimit) line(k kind, now time.Time) (hidden int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kinds == nil {
		l.kinds = make(map[kind]*logged)
	}
	last := l.kinds[k]
	if last == nil {
		l.kinds[k] = &logged{at: now}
		return 0, true
	}
	if since := now.Sub(last.at); since >= 0 && since < logEvery {
		last.hidden++
		return 0, false
	}
	hidden = last.hidden
	*last = logged{at: now}
	return hidden, true
}
