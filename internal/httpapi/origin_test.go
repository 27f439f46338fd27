package httpapi_test

import (
	"testing"

	"github.com/sluicehq/sluice/internal/problem"
)

// A PATCH that moves a target must give its secret again, or remove it.
func TestUpdateToAnotherOriginNeedsTheSecretAgain(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	w.want(t, 200, post(base, bucket))
	w.want(t, 200, post(base+"/hook/_stop", ""))
	w.want(t, 200, post(base+"/bucket/_stop", ""))
	before := w.state(t, "acme")
	for _, url := range []string{"https://evil.example.com/hooks", "http://erp.example.com/hooks", "https://erp.example.com:444/hooks"} {
		for _, key := range []string{"", `,"api_key":"********c0de"`} {
			w.wantError(t, 400, problem.InvalidRequest, "send callback_parameters.api_key again, or null to remove it",
				patch(base+"/hook", `{"callback_parameters":{"callback_url":"`+url+`"`+key+`}}`))
		}
	}
	w.wantError(t, 400, problem.InvalidRequest, "send s3_parameters.aws_secret_access_key again",
		patch(base+"/bucket", `{"s3_parameters":{"endpoint":"https://evil.example.com"}}`))
	if after := w.state(t, "acme"); after != before {
		t.Errorf("changed to %s", after)
	}
	w.want(t, 200, patch(base+"/hook", `{"callback_parameters":{"callback_url":"https://ERP.example.com:443/other"}}`))
	w.secret(t, "hook", apiKey)
	w.want(t, 200, patch(base+"/hook", `{"callback_parameters":{"callback_url":"https://new.example.com/","api_key":"`+apiKey+`"}}`))
	w.secret(t, "hook", apiKey)
	w.want(t, 200, patch(base+"/hook", `{"callback_parameters":{"callback_url":"https://newer.example.com/","api_key":null}}`))
	w.secret(t, "hook", "")
	w.want(t, 200, patch(base+"/hook", `{"callback_parameters":{"callback_url":"https://newest.example.com/"}}`))
	w.want(t, 200, patch(base+"/bucket", `{"s3_parameters":{"endpoint":"https://r2.example.com","aws_secret_access_key":"clear-secret-access-key"}}`))
}
