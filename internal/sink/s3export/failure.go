package s3export

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/sluicehq/sluice/internal/netguard"
	"github.com/sluicehq/sluice/internal/retryafter"
	"github.com/sluicehq/sluice/internal/sink"
)

// maxRetryAfter is the longest that a store can ask to be left alone.
const maxRetryAfter = time.Hour

// noProofError is an answer that says yes without what S3 says with it: the
// answer of something else, such as a web console or a login page.
type noProofError struct{ status int }

func (e noProofError) Error() string {
	return fmt.Sprintf("an answer that S3 does not give (HTTP status code %d); check s3_parameters.endpoint, and what stands in front of the store", e.status)
}

const (
	checkBucket   = "check s3_parameters.bucket"
	checkEndpoint = "check s3_parameters.endpoint, and what stands in front of the store"
	checkKeyID    = "check s3_parameters.aws_access_key_id"
	checkRegion   = "check s3_parameters.aws_region"
	checkSettings = "check s3_parameters.bucket, s3_parameters.aws_region and s3_parameters.endpoint"
	askKMS        = "check that the KMS key of the bucket is enabled and in the region of the bucket"
	askRights     = "s3_parameters.aws_access_key_id needs the rights s3:PutObject and s3:AbortMultipartUpload on the bucket, and kms:GenerateDataKey and kms:Decrypt on its key if it is encrypted with SSE-KMS"
	askTerms      = "the bucket or a policy asks for what these uploads do not have, such as a header or a kind of encryption"
)

// hints say what to do about the error codes that mean a wrong setting, by the
// names that the fields have in the API.
var hints = map[string]string{
	"AccessDenied":                       askRights,
	"AccountProblem":                     "the account that owns the bucket needs attention",
	"AllAccessDisabled":                  "the account that owns the bucket needs attention",
	"AuthorizationHeaderMalformed":       checkRegion,
	"EntityTooLarge":                     "lower SLUICE_S3_FILE_BYTES: the store takes no file of this size",
	"IllegalLocationConstraintException": checkRegion,
	"IncorrectEndpoint":                  checkSettings,
	"InvalidAccessKeyId":                 checkKeyID,
	"InvalidBucketName":                  checkBucket,
	"InvalidRegionName":                  checkRegion,
	"InvalidRequest":                     askTerms,
	"KMS.DisabledException":              askKMS,
	"KMS.NotFoundException":              askKMS,
	"KeyTooLongError":                    "shorten s3_parameters.key_prefix",
	"MethodNotAllowed":                   checkEndpoint,
	"NoSuchBucket":                       checkBucket,
	"NotImplemented":                     "the store does not know this request: " + checkEndpoint,
	"NotSignedUp":                        "the account of s3_parameters.aws_access_key_id is not signed up for S3",
	"PermanentRedirect":                  "the bucket is in another region: " + checkRegion,
	"QuotaExceeded":                      "the bucket is full",
	"RequestTimeTooSkewed":               "the clock of Sluice and that of the store differ by more than 15 minutes",
	"SignatureDoesNotMatch":              "check s3_parameters.aws_secret_access_key and s3_parameters.aws_region, the clock of Sluice, and whether a proxy changes the Host or x-amz-* headers",
	"TemporaryRedirect":                  "the bucket is new or in another region: if this lasts, " + checkRegion,
}

// failed is the verdict of an export that did not get through. Of what the
// store said only the error code is shown: the rest can quote the request.
func (x *Exporter) failed(err error) sink.Verdict {
	v := sink.Verdict{Outcome: sink.Retry}
	cause := ""
	if unproved, ok := errors.AsType[noProofError](err); ok {
		v.Status, cause = unproved.status, unproved.Error()
	} else if brokeOff(err) {
		cause = netguard.Cause(err)
	} else if res, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && statusOf(err) != 0 {
		v.Status = statusOf(err)
		v.RetryAfter = retryafter.Parse(res.Response.Header.Get("Retry-After"), time.Now(), maxRetryAfter)
		cause = x.answerCause(err, v.Status)
	} else {
		cause = x.noAnswerCause(err)
	}
	v.Reason = "Writing a file to " + x.where + " failed. Reason: " + cause + "."
	return v
}

// brokeOff reports whether an answer that began with a success did not come
// whole.
func brokeOff(err error) bool {
	status := statusOf(err)
	return status >= http.StatusOK && status < http.StatusMultipleChoices && errors.Is(err, io.ErrUnexpectedEOF)
}

// statusOf is the HTTP status of a refusal, 0 where there was none.
func statusOf(err error) int {
	if res, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && res.Response != nil {
		return res.HTTPStatusCode()
	}
	return 0
}

func (x *Exporter) answerCause(err error, status int) string {
	code := ""
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		code = x.safeCode(api.ErrorCode())
	}
	if code == "" {
		if code = strings.ToLower(http.StatusText(status)); code == "" || status < 300 {
			return noProofError{status}.Error()
		}
	}
	cause := fmt.Sprintf("%s (HTTP status code %d)", code, status)
	if hint := hints[code]; hint != "" {
		cause += "; " + hint
	}
	return cause
}

// safeCode returns the code if it is a word like AccessDenied or
// KMS.DisabledException, "" otherwise.
func (x *Exporter) safeCode(code string) string {
	if len(code) > 64 || code == "UnknownError" {
		return ""
	}
	for i := range len(code) {
		if c := code[i] | 0x20; (c < 'a' || c > 'z') && (code[i] < '0' || code[i] > '9') && code[i] != '.' {
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
	if _, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		return netguard.Cause(err)
	}
	// Not sent at all: the SDK could make no request of these settings.
	return "no request can be made of its settings; " + checkSettings
}
