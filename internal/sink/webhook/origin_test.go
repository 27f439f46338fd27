package webhook

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/secret/local"
	"github.com/sluicehq/sluice/internal/sink"
)

// The API key of a record whose URL was tampered with does not open: it never reaches
// a host that it was not given for.
func TestAnAPIKeyOpensForItsOriginAlone(t *testing.T) {
	var got string
	url := receiver(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") })
	sealer, err := local.OpenOrCreate(filepath.Join(t.TempDir(), local.Name))
	if err != nil {
		t.Fatal(err)
	}
	in := &integration.Integration{Tenant: "acme", ID: "hook", Webhook: &integration.Webhook{URL: url + "/hook"}}
	in.Webhook.APIKey, err = sealer.Seal(t.Context(), in.SecretOwner(integration.FieldAPIKey), secret.NewString(apiKey))
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(t, nil)
	in.Webhook.URL = url + "/other?path"
	s, err := client.Open(t.Context(), in, sealer)
	if err != nil {
		t.Fatal(err)
	}
	if v := s.Send(t.Context(), sample(), 1); v.Outcome != sink.Delivered || got != "Bearer "+apiKey {
		t.Errorf("Send = %+v, with %q", v, got)
	}
	for _, moved := range []string{"https" + strings.TrimPrefix(url, "http"), strings.Replace(url, "127.0.0.1", "127.0.0.2", 1), url + "0"} {
		in.Webhook.URL = moved
		if _, err := client.Open(t.Context(), in, sealer); err == nil {
			t.Errorf("the key opened for %s", moved)
		}
	}
}
