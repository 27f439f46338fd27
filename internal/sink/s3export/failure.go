package s3export

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/netguard"
	"github.com/sluicehq/sluice/internal/retryafter"
)

// maxRetryAfter is the longest that a store can ask to be left alone.
const maxRetryAfter = time.Hour

var errNoUploadID = errors.New("no upload id")

// hints say what to do about the error codes that mean a wrong setting.
var hints = map[string]string{
	"AccessDenied":                       "the keys need the right to s3:PutObject and s3:AbortMultipartUpload",
	"AuthorizationHeaderMalformed":       "check aws_region",
	"IllegalLocationConstraintException": "check aws_region",
	"InvalidAccessKeyId":                 "check aws_access_key_id",
	"KeyTooLongError":                    "the key_prefix is too long",
	"NoSuchBucket":                       "check bucket",
	"PermanentRedirect":                  "the bucket is in another region: check aws_region",
	"SignatureDoesNotMatch":              "check aws_secret_access_key",
}

// failed is the verdict of an export that did not get through. Of what the
// store said only the error code is shown: the rest can quote the request.
func (x *Exporter) failed(err error) delivery.Verdict {
	v := delivery.Verdict{Outcome: delivery.Retry}
	cause := ""
	if res, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && res.Response != nil && res.HTTPStatusCode() != 0 {
		v.Status = res.HTTPStatusCode()
		v.RetryAfter = retryafter.Parse(res.Response.Header.Get("Retry-After"), time.Now(), maxRetryAfter)
		cause = x.answerCause(err, v.Status)
	} else {
		cause = x.noAnswerCause(err)
	}
	v.Reason = "Writing a file to " + x.where + " failed. Reason: " + cause + "."
	return v
}

func (x *Exporter) answerCause(err error, status int) string {
	code := ""
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		code = x.safeCode(api.ErrorCode())
	}
	if code == "" {
		if code = strings.ToLower(http.StatusText(status)); code == "" || status < 300 {
			code = "an answer that S3 does not give"
		}
	}
	cause := fmt.Sprintf("%s (HTTP status code %d)", code, status)
	if hint := hints[code]; hint != "" {
		cause += "; " + hint
	}
	return cause
}

// safeCode returns the code if it is a word like AccessDenied, "" otherwise.
func (x *Exporter) safeCode(code string) string {
	if len(code) > 64 || code == "UnknownError" {
		return ""
	}
	for i := range len(code) {
		if c := code[i] | 0x20; (c < 'a' || c > 'z') && (code[i] < '0' || code[i] > '9') {
			return ""
		}
	}
	for _, hidden := range x.hidden {
		if hidden != "" && strings.Contains(strings.ToLower(code), strings.ToLower(hidden)) {
			return ""
		}
	}
	return code
}

func (x *Exporter) noAnswerCause(err error) string {
	if late, ok := errors.AsType[lateError](err); ok {
		return late.Error()
	}
	if errors.Is(err, errNoUploadID) {
		return "an answer that S3 does not give"
	}
	if _, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		return netguard.Cause(err)
	}
	// Not sent at all: the SDK could make no request of these settings.
	return "no request can be made of its settings; check bucket, aws_region and endpoint"
}
