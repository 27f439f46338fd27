package httpapi_test

import (
	"strings"
	"testing"
)

// What a caller wrote is data in a message: control characters and what reorders text
// are escaped.
func TestMessagesEscapeWhatTheCallerWrote(t *testing.T) {
	w := setup()
	for _, path := range []string{"/api/%1b%5b31m/x", "/api/a%E2%80%AEb", "/api/a%0Ab", "/api/%C2%9Bx", base + "/%1bx", base + "/hook/rejected_events/%1b%E2%80%AE"} {
		answer := w.want(t, 404, get(path))
		for _, raw := range []string{`\u001b`, "\u202e", `\n`, "\u009b", `\u009b`, `\u202e`} {
			// A message that has them escaped has \\u001b in the JSON.
			if strings.Contains(strings.ReplaceAll(answer, `\\`, ""), raw) {
				t.Errorf("GET %s: %s has a raw %q", path, answer, raw)
			}
		}
	}
}
