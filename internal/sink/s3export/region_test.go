package s3export

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/sink"
)

// Who has the wrong region is told the right one, if the store says which it is: in a
// header, or in the message alone.
func TestRegionOfTheBucketIsNamed(t *testing.T) {
	const named = "; the bucket is in the region eu-west-1, so set s3_parameters.aws_region to that (it is eu-central-1)."
	const expecting = "The authorization header is malformed; the region 'eu-central-1' is wrong; expecting '%s'"
	for _, tt := range []struct {
		name, header, message string
		status                int
		code, want            string
	}{
		{"redirect", "eu-west-1", "", 301, "PermanentRedirect", "PermanentRedirect (HTTP status code 301)" + named},
		{"redirect without a code", "eu-west-1", "", 301, "", "MovedPermanently (HTTP status code 301)" + named},
		{"redirect of a new bucket", "eu-west-1", "", 307, "TemporaryRedirect", "(HTTP status code 307)" + named},
		{"malformed", "eu-west-1", expecting, 400, "AuthorizationHeaderMalformed", "(HTTP status code 400)" + named},
		{"malformed, without the header", "", fmt.Sprintf(expecting, "eu-west-1"), 400, "AuthorizationHeaderMalformed", "(HTTP status code 400)" + named},
		{"not allowed", "eu-west-1", "", 403, "AccessDenied", "AccessDenied (HTTP status code 403)" + named},
		{"not known", "", "", 301, "PermanentRedirect", "the bucket is in another region: check s3_parameters.aws_region."},
		{"the right one", "eu-central-1", "", 403, "AccessDenied", "; s3_parameters.aws_access_key_id needs"},
		{"another cause", "eu-west-1", "", 404, "NoSuchBucket", "(HTTP status code 404); check s3_parameters.bucket."},
		{"slow down", "eu-west-1", "", 503, "SlowDown", "SlowDown (HTTP status code 503)."},
		{"no region", "eu west <1>", "", 301, "PermanentRedirect", "in another region: check"},
		{"a secret", strings.ToLower(secretKey), "", 301, "PermanentRedirect", "in another region: check"},
		{"a secret in the message", "", fmt.Sprintf(expecting, strings.ToLower(accessKey)), 400, "AuthorizationHeaderMalformed", "; check s3_parameters.aws_region."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := open(t, exportTo(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if tt.header != "" {
					w.Header().Set("X-Amz-Bucket-Region", tt.header)
				}
				w.WriteHeader(tt.status)
				if tt.code != "" {
					fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", tt.code, tt.message)
				}
			}))))
			for call, v := range map[string]sink.Verdict{
				"probe": x.Probe(t.Context()), "test": x.Test(t.Context(), testEvent()), "file": x.Export(t.Context(), toFile(lines(1, 100)), yes),
			} {
				if v.Outcome != sink.Retry || v.Status != tt.status || !strings.Contains(v.Reason, tt.want) {
					t.Errorf("%s: %+v, want %q", call, v, tt.want)
				}
			}
		})
	}
}
