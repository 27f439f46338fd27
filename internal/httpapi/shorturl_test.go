package httpapi_test

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/problem"
)

// Neither a response nor the log shows the path or the query of a URL that is refused:
// they may be the receiver's secret.
func TestRefusedURLsAreShownShort(t *testing.T) {
	for _, url := range []string{
		"ftp://hooks.example.com/services/T0/B0/hush?hush=hush", "hooks.example.com/services/T0/B0/hush", "https:///services/T0/B0/hush",
		"https:hooks.example.com/services/hush", "https://hooks.example.com:0/services/T0/B0/hush", "https://hooks.example.com:99999/hush",
		"https://me:hush@hooks.example.com/hush", "https://hooks.example.com/services/hush#hush", "//hooks.example.com/services/hush",
		"https://localhost/services/T0/B0/hush", "http://[::1/hush",
	} {
		for _, parameters := range []string{
			`"callback_parameters":{"callback_url":"` + url + `"}`,
			`"s3_parameters":{"aws_access_key_id":"K","aws_secret_access_key":"s","aws_region":"eu","bucket":"bucket","endpoint":"` + url + `"}`,
		} {
			w := setup()
			answer := w.want(t, 400, post(base, `{"id":"x","integration_type":"permanent",`+parameters+`}`))
			if strings.Contains(answer, "hush") || strings.Contains(w.lines.String(), "hush") {
				t.Errorf("%s: %s, logged as %s", url, answer, w.lines)
			}
		}
	}
	w := setup()
	w.wantError(t, 400, problem.InvalidRequest, `"ftp://hooks.example.com/services/…"`,
		post(base, `{"id":"x","integration_type":"permanent","callback_parameters":{"callback_url":"ftp://hooks.example.com/services/T0/hush"}}`))
}
