package worker

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/egress"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/netguard"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/secret/local"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink/catalog"
)

// heap returns the bytes in use after a collection.
func heap() int {
	runtime.GC()
	runtime.GC() // what the first one has finalized
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// The bound of idle sinks is one of memory: a sink that has called its receiver takes
// about as much as it is counted for.
func TestASinkTakesAboutWhatItIsCountedFor(t *testing.T) {
	const sinks = 1000
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer receiver.Close()
	s := settings.Default()
	s.AllowPrivateTargets = true
	route, err := egress.Open(netguard.New(netguard.Private, nil), &s)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := local.OpenOrCreate(filepath.Join(t.TempDir(), local.Name))
	if err != nil {
		t.Fatal(err)
	}
	r := NewRegistry(Options{
		Sinks:    catalog.New(catalog.Options{Route: route, Sealer: sealer, Settings: s, Kept: 1}),
		InFlight: 8, Calls: NewCalls(8), Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	counted, before := 0, heap()
	for i := range sinks {
		in := &integration.Integration{Tenant: "acme", ID: fmt.Sprintf("hook-%d", i), Generation: 1, Webhook: &integration.Webhook{URL: receiver.URL + "/hook"}}
		seal := func(field, clear string) secret.Sealed {
			sealed, err := sealer.Seal(t.Context(), in.SecretOwner(field), secret.NewString(clear))
			if err != nil {
				t.Fatal(err)
			}
			return sealed
		}
		in.Webhook.APIKey = seal(integration.FieldAPIKey, "a key of the customer's")
		in.Webhook.SigningSecret = seal(integration.FieldSigningSecret, "whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32)))
		target, err := r.Target(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		target.Send(t.Context(), 0, &event.Event{ID: "1", Body: []byte("{}")}, 1)
		target.close()
		counted += target.memory()
		target.Release()
	}
	took := heap() - before
	t.Logf("%d bytes a sink, counted as %d", took/sinks, counted/sinks)
	if took > counted*3/2 || took < counted/3 {
		t.Errorf("%d sinks take %d bytes, and are counted for %d", sinks, took, counted)
	}
	runtime.KeepAlive(r)
}
