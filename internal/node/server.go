package node

import (
	"log/slog"
	"net/http"
	"time"
)

// serveMetrics returns the handler of the separate metrics address.
func serveMetrics(metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	return mux
}

// newServer returns a server with timeouts, so that slow clients cannot hold
// connections.
func (n *Node) newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      time.Minute + 2*n.config.LongestCall(), // a manual retry waits for its place, then for the receiver
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(n.logger.Handler(), slog.LevelDebug),
	}
}
