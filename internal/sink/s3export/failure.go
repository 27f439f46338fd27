package s3export

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/sluicehq/sluice/internal/netguard"
	"github.com/sluicehq/sluice/internal/retryafter"
	"github.com/sluicehq/sluice/internal/sink"
)

// maxRetryAfter is the maximum of RetryAfter; longer values are reduced to it.
const maxRetryAfter = time.Hour

// noProofError is a success that lacks what S3 returns with one: the response of
// something else, such as a web console or a login page.
type noProofError struct{ status int }

func (e noProofError) Error() string {
	return fmt.Sprintf("not a valid S3 response (HTTP status code %d); check s3_parameters.endpoint and any proxy in front of the store", e.status)
}

const (
	checkBucket      = "check s3_parameters.bucket"
	checkEndpoint    = "check s3_parameters.endpoint and any proxy in front of the store"
	checkKeyID       = "check s3_parameters.aws_access_key_id"
	checkRegion      = "check s3_parameters.aws_region"
	checkSettings    = "check s3_parameters.bucket, s3_parameters.aws_region and s3_parameters.endpoint"
	checkKMS         = "check that the bucket's KMS key is enabled and in the bucket's region"
	needsPermissions = "s3_parameters.aws_access_key_id needs the permissions s3:PutObject and s3:AbortMultipartUpload on the bucket, and kms:GenerateDataKey and kms:Decrypt on its key if the bucket uses SSE-KMS"
	unmetTerms       = "the bucket or a policy requires something that these uploads do not have, such as a header or a type of encryption"
)

// hints say what to do about error codes that mean a wrong setting. They name
// fields as the API does.
var hints = map[string]string{
	"AccessDenied":                       needsPermissions,
	"AccountProblem":                     "the account that owns the bucket needs attention",
	"AllAccessDisabled":                  "the account that owns the bucket needs attention",
	"AuthorizationHeaderMalformed":       checkRegion,
	"EntityTooLarge":                     "the store accepts no file of this size; lower SLUICE_S3_FILE_BYTES",
	"IllegalLocationConstraintException": checkRegion,
	"IncorrectEndpoint":                  checkSettings,
	"InvalidAccessKeyId":                 checkKeyID,
	"InvalidBucketName":                  checkBucket,
	"InvalidRegionName":                  checkRegion,
	"InvalidRequest":                     unmetTerms,
	"KMS":                                checkKMS, // KMS.DisabledException, KMS.NotFoundException and others
	"KeyTooLongError":                    "shorten s3_parameters.key_prefix",
	"MethodNotAllowed":                   checkEndpoint,
	"NoSuchBucket":                       checkBucket,
	"NotImplemented":                     "the store does not support this request: " + checkEndpoint,
	"NotSignedUp":                        "the account of s3_parameters.aws_access_key_id is not signed up for S3",
	"PermanentRedirect":                  "the bucket is in another region: " + checkRegion,
	"QuotaExceeded":                      "the bucket is full",
	"RequestTimeTooSkewed":               "the clocks of Sluice and of the store differ by more than 15 minutes",
	"SignatureDoesNotMatch":              "check s3_parameters.aws_secret_access_key and s3_parameters.aws_region, the clock of Sluice, and whether a proxy changes the Host or x-amz-* headers",
	"TemporaryRedirect":                  "the bucket is new or in another region: if this lasts, " + checkRegion,
}

// hintFor returns what to do about an error code; "" if that is not known. A code with a
// dot is of another service, which the part before the dot names.
func hintFor(code string) string {
	service, _, _ := strings.Cut(code, ".")
	return hints[service]
}

// failed returns the verdict of a failed export. Of the store's response it shows
// only the error code: the other parts can quote the request.
func (x *Exporter) failed(err error) sink.Verdict {
	if lacks := netguard.Shortage(err); lacks != "" {
		return sink.Verdict{Outcome: sink.Unsent, Reason: lacks}
	}
	v := sink.Verdict{Outcome: sink.Retry}
	cause := ""
	if noProof, ok := errors.AsType[noProofError](err); ok {
		v.Status, cause = noProof.status, noProof.Error()
	} else if truncated(err) {
		cause = netguard.Cause(err)
	} else if res, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && statusOf(err) != 0 {
		v.Status = statusOf(err)
		v.RetryAfter = retryafter.Parse(res.Response.Header.Get("Retry-After"), time.Now(), maxRetryAfter)
		cause = x.responseCause(err, v.Status)
	} else {
		cause, v.Detail = x.noResponseCause(err), netguard.Detail(err)
	}
	v.Cause = cause
	v.Reason = "Writing a file to " + x.where + " failed. Reason: " + cause + "."
	return v
}

// truncated reports whether a response that began as a success was cut off.
func truncated(err error) bool {
	status := statusOf(err)
	return status >= http.StatusOK && status < http.StatusMultipleChoices && errors.Is(err, io.ErrUnexpectedEOF)
}

// statusOf returns the HTTP status of a response that is an error; 0 if there was
// no response.
func statusOf(err error) int {
	if res, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && res.Response != nil {
		return res.HTTPStatusCode()
	}
	return 0
}

func (x *Exporter) responseCause(err error, status int) string {
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
	if region := x.otherRegion(err, status); region != "" {
		return fmt.Sprintf("%s; the bucket is in the region %s, so set s3_parameters.aws_region to that (it is %s)", cause, region, x.region)
	}
	if hint := hintFor(code); hint != "" {
		cause += "; " + hint
	}
	return cause
}

// safeCode returns the code if it is a word such as AccessDenied or
// KMS.DisabledException and contains no secret; otherwise "".
func (x *Exporter) safeCode(code string) string {
	if len(code) > 64 || code == "UnknownError" {
		return ""
	}
	for i := range len(code) {
		if c := code[i] | 0x20; (c < 'a' || c > 'z') && (code[i] < '0' || code[i] > '9') && code[i] != '.' {
			return ""
		}
	}
	if x.hides(code) {
		return ""
	}
	return code
}

// hides reports whether a text has one of the exporter's secrets in it.
func (x *Exporter) hides(text string) bool {
	return slices.ContainsFunc(x.hidden, func(hidden string) bool {
		return hidden != "" && strings.Contains(strings.ToLower(text), strings.ToLower(hidden))
	})
}

func (x *Exporter) noResponseCause(err error) string {
	if late, ok := errors.AsType[lateError](err); ok {
		return late.Error()
	}
	if _, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		return netguard.Cause(err)
	}
	// Nothing was sent: the SDK could not build a request from the settings.
	return "its settings are not valid for a request; " + checkSettings
}
