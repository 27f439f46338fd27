package httpapi_test

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/httpapi"
	"github.com/sluicehq/sluice/internal/store"
)

// With reveal-secrets one ciphertext that does not open spoils only its own field. Its
// mask, sent back, keeps it.
func TestOneSecretThatDoesNotOpenSpoilsItsFieldOnly(t *testing.T) {
	w := setup()
	w.deps.Settings.RevealSecrets = true
	w.api = httpapi.New(w.deps)
	w.want(t, 200, post(base, webhook))
	w.want(t, 200, post(base, bucket))
	w.want(t, 200, post(base+"/hook/_stop", ""))
	in, err := w.store.Integration(t.Context(), "acme", "hook")
	if err != nil {
		t.Fatal(err)
	}
	in.Webhook.APIKey.Ciphertext = []byte("damaged")
	if err := w.store.Commit(t.Context(), store.PutIntegration{Integration: in}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{base + "/hook", base} {
		answer := w.want(t, 200, get(path))
		if !strings.Contains(answer, `"api_key":"********c0de"`) || !strings.Contains(answer, whsec) {
			t.Errorf("GET %s: %s, want the signing secret, and the mask of the damaged key", path, answer)
		}
		if !strings.HasSuffix(path, "hook") && !strings.Contains(answer, "clear-secret-access-key") {
			t.Errorf("GET %s: %s, want the other integration's secret", path, answer)
		}
	}
	if lines := w.lines.String(); !strings.Contains(lines, "stored secrets cannot be opened") || !strings.Contains(lines, `"integration":"hook"`) {
		t.Errorf("the log says nothing of it: %s", lines)
	}
	w.want(t, 200, patch(base+"/hook", w.want(t, 200, get(base+"/hook"))))
	if after, err := w.store.Integration(t.Context(), "acme", "hook"); err != nil || string(after.Webhook.APIKey.Ciphertext) != "damaged" {
		t.Errorf("%+v, %v, want the stored key kept", after, err)
	}
}
