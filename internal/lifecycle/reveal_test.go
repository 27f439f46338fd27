package lifecycle_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/problem"
)

// One ciphertext that does not open spoils only its own field.
func TestRevealShowsWhatOpens(t *testing.T) {
	b := setup(t)
	in := b.register(webhook("x"))
	whole := *in.Webhook
	in.Webhook.APIKey.Ciphertext = []byte("damaged")
	clear, err := b.Reveal(t.Context(), in)
	b.ok(err)
	if !clear.APIKey.IsZero() || clear.SigningSecret.Reveal() != clears[1] || clear.Unopened == nil || !strings.Contains(clear.Unopened.Error(), "does not open") {
		t.Errorf("signing secret %q, %v", clear.SigningSecret.Reveal(), clear.Unopened)
	}
	in.Webhook.APIKey, in.Webhook.SigningSecret.Ciphertext = whole.APIKey, []byte("damaged")
	if clear, err = b.Reveal(t.Context(), in); err != nil || clear.APIKey.Reveal() != clears[0] || !clear.SigningSecret.IsZero() || clear.Unopened == nil {
		t.Errorf("API key %q, %v, %v", clear.APIKey.Reveal(), clear.Unopened, err)
	}
	b.opening = problem.New(problem.Unavailable, "no response")
	_, err = b.Reveal(t.Context(), in)
	b.is(err, problem.Unavailable)
	b.opening = context.Canceled
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = b.Reveal(ctx, in); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}
