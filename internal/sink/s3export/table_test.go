package s3export

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Only a response that says so proves that a request had no effect. After any other one
// the file may be there, now or later, and must be looked up.
func TestWhatProvesThatARequestHadNoEffect(t *testing.T) {
	for status, want := range map[int]bool{
		200: false, 299: false, 300: true, 400: true, 403: true, 404: true, 408: false, 409: false, 499: true, 500: false, 503: false,
	} {
		err := &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}}, Err: errors.New("failed")}
		if got := refused(fmt.Errorf("upload: %w", err)); got != want {
			t.Errorf("status %d: refused is %v, want %v", status, got, want)
		}
	}
	if refused(errors.New("connection reset")) {
		t.Error("a lost response proves nothing")
	}
}

// The code of an error is a bucket's text in a customer's log: only a word passes, and
// none with a secret in it.
func TestCodesOfErrorsAreWordsWithoutSecrets(t *testing.T) {
	x := &Exporter{hidden: []string{"AKIAZ", "", "Hunter2"}}
	for _, code := range []string{"AccessDenied", "KMS.DisabledException", "az.AZ.09"} {
		if got := x.safeCode(code); got != code {
			t.Errorf("safeCode(%q) = %q, want it as it is", code, got)
		}
	}
	for _, code := range []string{"UnknownError", "no word", "a<b", "a`b", "a{b", "a/b", "a:b", "a\nb", "ä", strings.Repeat("x", 65), "xakiazx", "hunter2"} {
		if got := x.safeCode(code); got != "" {
			t.Errorf("safeCode(%q) = %q, want nothing", code, got)
		}
	}
}

// The names of files that exist must not change with a release.
func TestPlainTenantsAreInKeysAsTheyAre(t *testing.T) {
	for _, tenant := range []string{"azAZ09", "a-b_c.d@e", "a..b"} {
		if got := escapeTenant(tenant); got != tenant {
			t.Errorf("escapeTenant(%q) = %q", tenant, got)
		}
	}
	for tenant, want := range map[string]string{".": "%2E", "..": "%2E.", "a/b": "a%2Fb", "`{[": "%60%7B%5B", "ä": "%C3%A4", ":": "%3A"} {
		if got := escapeTenant(tenant); got != want {
			t.Errorf("escapeTenant(%q) = %q, want %q", tenant, got, want)
		}
	}
}
