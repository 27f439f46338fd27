// Package awserror classifies errors of AWS calls: it maps them to the codes of package
// problem and reports whether the same call may succeed later.
package awserror

import (
	"context"
	"errors"
	"net/http"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/sluicehq/sluice/internal/problem"
)

// lasting has the codes of errors that a retry cannot fix: the deployment's permissions
// or resources are wrong. It excludes a missing table or stream
// (ResourceNotFoundException): one that is being restored comes back, and until then
// the events wait, as in any outage.
var lasting = map[string]bool{
	"AccessDeniedException":       true,
	"AccessDenied":                true,
	"UnrecognizedClientException": true,
	"InvalidSignatureException":   true,
	"NoSuchBucket":                true,
	"DisabledException":           true,
	"KMSInvalidStateException":    true,
	"IncorrectKeyException":       true,
	"NotFoundException":           true,
}

// keyService begins the codes that S3 passes on from KMS: KMS.DisabledException.
const keyService = "KMS."

// Problem returns the error of an AWS call as a problem for a caller. Its code is
// Unavailable if a retry may help (throttling, a service fault, a timeout) and Internal
// otherwise. what completes "The service could not", as in "read the log"; a caller of
// the API sees nothing else of the error. Problem returns nil for nil, and err itself
// if it is a problem already.
func Problem(err error, what string) error {
	if err == nil {
		return nil
	}
	if p := (*problem.Error)(nil); errors.As(err, &p) {
		return err
	}
	if !Temporary(err) {
		return problem.Wrap(err, problem.Internal, "The service could not %s.", what)
	}
	return problem.Wrap(err, problem.Unavailable, "The service could not %s. Try again in a moment.", what)
}

// Temporary reports whether the same call may succeed later. Unknown errors count as
// temporary.
func Temporary(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	if code := strings.TrimPrefix(Code(err), keyService); code != "" {
		if lasting[code] || strings.Contains(code, "Validation") || strings.HasPrefix(code, "Invalid") {
			return false
		}
	}
	var res *awshttp.ResponseError
	if errors.As(err, &res) && res.HTTPStatusCode() == http.StatusForbidden {
		return false
	}
	return true
}

// Code returns the error code of an AWS response, "" for any other error.
func Code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}
