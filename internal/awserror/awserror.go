// Package awserror tells what an error of an AWS call means: package problem's
// code for it, and whether the same call may succeed later.
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

// lasting are the codes of errors that trying again does not help with: the
// permissions or the resources of the deployment are wrong. A table or stream that
// is not there (ResourceNotFoundException) is none of them: one that is being
// restored comes back, and until then the events wait, as for any outage.
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

// Problem returns the error of an AWS call as a problem for a caller. It is
// Unavailable where trying again may help (throttling, a fault of the service,
// no answer in time) and Internal where it does not. What names what could not
// be done, as "read the log"; the caller of the API sees no more than that. Nil
// stays nil, and an error that is a problem already stays as it is.
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

// Temporary reports whether the same call may succeed later. An error that
// nothing is known of is taken for temporary: it is no reason to give up.
func Temporary(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	if code := Code(err); code != "" {
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

// Code is the code of an error that AWS answered with, "" for another error.
func Code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}
