package node

import (
	"log/slog"
	"net/http"
	"time"
)

// serveMetrics is the handler of an address that has nothing but /metrics.
func serveMetrics(metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	return mux
}

// newServer bounds how long a client may take, so that none holds a connection
// for nothing.
func (n *Node) newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      time.Minute + n.config.WebhookTimeout, // a retry by hand waits for the receiver
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(n.logger.Handler(), slog.LevelDebug),
	}
}
