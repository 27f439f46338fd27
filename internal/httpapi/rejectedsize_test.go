package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/settings"
)

// A call without a limit gets the whole list, and a function's response, in which a large
// body is in Base64, has at most 6 MB.
func TestTheLongestListFitsIntoOneResponse(t *testing.T) {
	body, err := json.Marshal(rejectedDocumentOf(integration.RejectedRef{
		EventID: strings.Repeat("0", 36), CreatedAt: time.Date(2026, 1, 1, 1, 1, 1, 999_999_999, time.UTC),
		Name: strings.Repeat("a", 126) + ".b", Reason: integration.ReasonRejected, Status: 400,
	}))
	if err != nil {
		t.Fatal(err)
	}
	if n := base64.StdEncoding.EncodedLen(settings.MaxRejectedEvents * (len(body) + len(","))); n > 6_000_000 {
		t.Errorf("%d events are %d bytes", settings.MaxRejectedEvents, n)
	}
}
