// The command receives events from Sluice, with the standard library and
// standardwebhooks.
//
// It verifies the signature, stores the event, and responds; whatever takes longer is
// for a worker that reads the inbox. Settings, from the environment:
//
//	WEBHOOK_SECRET  the integration's signing_secret (whsec_...); required
//	PORT            on 127.0.0.1; 9000 by default
//	INBOX           the folder of the events; inbox by default
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// maxBody is in bytes. The service's own limit is 256 KiB an event, unless configured
// otherwise.
const maxBody = 1 << 20

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	secret := os.Getenv("WEBHOOK_SECRET")
	webhook, err := standardwebhooks.NewWebhook(secret)
	if err != nil || secret == "" {
		return errors.New("set WEBHOOK_SECRET to the signing_secret of the integration, whsec_ followed by base64")
	}
	box, err := openInbox(cmp.Or(os.Getenv("INBOX"), "inbox"))
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:"+cmp.Or(os.Getenv("PORT"), "9000"))
	if err != nil {
		return err
	}
	say("listening on http://%s/", listener.Addr())
	mux := http.NewServeMux()
	mux.Handle("POST /", &receiver{webhook, box})
	server := http.Server{
		Handler:     mux,
		ReadTimeout: 10 * time.Second,
		IdleTimeout: time.Minute, // the service closes its idle connections earlier
	}
	return server.Serve(listener)
}

type receiver struct {
	webhook *standardwebhooks.Webhook
	inbox   *inbox
}

// event has the fields that this receiver looks at.
type event struct {
	ID      string          `json:"id"`
	Name    string          `json:"name"`
	Payload json.RawMessage `json:"payload"`
}

type orderCreated struct {
	OrderID string `json:"order_id"`
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// parse returns an error for an event that can never be used; put your own rules here.
func parse(body []byte) (event, error) {
	var e event
	if err := json.Unmarshal(body, &e); err != nil {
		return e, err
	}
	if !uuid.MatchString(e.ID) {
		return e, errors.New("the id is no UUID")
	}
	if e.Name != "order.created" {
		return e, nil
	}
	var o orderCreated
	if err := json.Unmarshal(e.Payload, &o); err != nil || o.OrderID == "" {
		return e, errors.New("order.created needs payload.order_id, a string")
	}
	return e, nil
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		http.Error(w, "the body is too long, or broke off", http.StatusRequestEntityTooLarge)
		return
	}
	// Over the bytes as they arrived: JSON written anew has another signature.
	if err := r.webhook.Verify(body, req.Header); err != nil {
		http.Error(w, "the signature is wrong or too old", http.StatusUnauthorized)
		return
	}
	if req.Header.Get("Sluice-Test") == "1" {
		say("test")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	e, err := parse(body)
	if err != nil {
		// It goes into the list of rejected events, and the stream goes on.
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	added, err := r.inbox.put(e.ID, body)
	if err != nil {
		say("the inbox failed: %v", err)
		http.Error(w, "try again", http.StatusServiceUnavailable) // the stream waits, and nothing is lost
		return
	}
	say("%s %s %s", map[bool]string{true: "stored", false: "again"}[added], e.ID, e.Name)
	w.WriteHeader(http.StatusNoContent)
}

func say(format string, values ...any) { _, _ = fmt.Fprintf(os.Stdout, format+"\n", values...) }
