package awserror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	kinesistypes "github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/sluicehq/sluice/internal/problem"
)

// inner is text in AWS errors that no caller of the API may see.
const inner = "arn:aws:kms:eu-central-1:123456789012:key/1 s3cr3t"

func api(code string) error { return &smithy.GenericAPIError{Code: code, Message: inner} }

// answered is an error as the SDK returns it for a response with a status.
func answered(status int, err error) error {
	return &smithy.OperationError{ServiceID: "KMS", OperationName: "Decrypt", Err: &awshttp.ResponseError{
		RequestID: "id",
		ResponseError: &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}}, Err: err,
		},
	}}
}

// unanswered is the error of a request without a response.
func unanswered(err error) error {
	return &smithy.OperationError{ServiceID: "DynamoDB", OperationName: "PutItem", Err: &smithyhttp.RequestSendError{
		Err: &url.Error{Op: "Post", URL: "https://s3cr3t@dynamodb.example/", Err: err},
	}}
}

func TestWhatAnErrorMeans(t *testing.T) {
	message := inner
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	for name, c := range map[string]struct {
		err       error
		code      string
		temporary bool
	}{
		"throttled":                          {answered(400, &dynamotypes.ProvisionedThroughputExceededException{Message: &message}), "ProvisionedThroughputExceededException", true},
		"a throttled stream":                 {answered(400, &kinesistypes.ProvisionedThroughputExceededException{Message: &message}), "ProvisionedThroughputExceededException", true},
		"throttled by code":                  {answered(400, api("ThrottlingException")), "ThrottlingException", true},
		"a fault":                            {answered(500, api("InternalServerError")), "InternalServerError", true},
		"S3 slows down":                      {answered(503, api("SlowDown")), "SlowDown", true},
		"a table that is being restored":     {answered(400, &dynamotypes.ResourceNotFoundException{Message: &message}), "ResourceNotFoundException", true},
		"a condition":                        {answered(400, &dynamotypes.ConditionalCheckFailedException{Message: &message}), "ConditionalCheckFailedException", true},
		"an unknown code":                    {answered(400, api("NewException")), "NewException", true},
		"no code":                            {answered(502, errors.New(inner)), "", true},
		"not allowed":                        {answered(400, api("AccessDeniedException")), "AccessDeniedException", false},
		"S3 does not allow":                  {answered(403, api("AccessDenied")), "AccessDenied", false},
		"403 with any code":                  {answered(403, api("NewException")), "NewException", false},
		"403 without a code":                 {answered(403, errors.New(inner)), "", false},
		"other credentials":                  {answered(400, api("UnrecognizedClientException")), "UnrecognizedClientException", false},
		"a wrong signature":                  {answered(400, api("InvalidSignatureException")), "InvalidSignatureException", false},
		"no bucket":                          {answered(404, api("NoSuchBucket")), "NoSuchBucket", false},
		"no object":                          {answered(404, &s3types.NoSuchKey{Message: &message}), "NoSuchKey", true},
		"no key":                             {answered(400, &kmstypes.NotFoundException{Message: &message}), "NotFoundException", false},
		"a disabled key":                     {answered(400, &kmstypes.DisabledException{Message: &message}), "DisabledException", false},
		"a disabled key of S3":               {answered(400, api("KMS.DisabledException")), "KMS.DisabledException", false},
		"a key of S3 that is throttled":      {answered(400, api("KMS.ThrottlingException")), "KMS.ThrottlingException", true},
		"a key to be deleted":                {answered(400, &kmstypes.KMSInvalidStateException{Message: &message}), "KMSInvalidStateException", false},
		"sealed under another key":           {answered(400, &kmstypes.IncorrectKeyException{Message: &message}), "IncorrectKeyException", false},
		"a damaged secret":                   {answered(400, &kmstypes.InvalidCiphertextException{Message: &message}), "InvalidCiphertextException", false},
		"an invalid request":                 {answered(400, api("ValidationException")), "ValidationException", false},
		"an invalid argument":                {answered(400, &kinesistypes.InvalidArgumentException{Message: &message}), "InvalidArgumentException", false},
		"within a transaction":               {answered(400, api("TransactionValidationException")), "TransactionValidationException", false},
		"cancelled":                          {unanswered(context.Canceled), "", true},
		"cancelled by the SDK":               {&smithy.CanceledError{Err: context.Canceled}, "", true},
		"out of time":                        {unanswered(context.DeadlineExceeded), "", true},
		"out of time, whatever the response": {errors.Join(context.DeadlineExceeded, answered(403, api("AccessDenied"))), "AccessDenied", true},
		"refused":                            {unanswered(refused), "", true},
		"no such host":                       {unanswered(&net.DNSError{Err: inner, Name: "dynamodb.example", IsNotFound: true}), "", true},
		"a response cut off":                 {unanswered(io.ErrUnexpectedEOF), "", true},
		"not of AWS at all":                  {errors.New(inner), "", true},
		"wrapped once more":                  {fmt.Errorf("write: %w", answered(400, api("AccessDeniedException"))), "AccessDeniedException", false},
		"of a malformed URL":                 {&url.Error{Op: "parse", URL: inner, Err: errors.New(inner)}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Code(c.err); got != c.code {
				t.Errorf("code %q, want %q", got, c.code)
			}
			if got := Temporary(c.err); got != c.temporary {
				t.Errorf("temporary is %v, want %v", got, c.temporary)
			}
			want := problem.Internal
			if c.temporary {
				want = problem.Unavailable
			}
			checkProblem(t, c.err, want)
		})
	}
}

// checkProblem checks that the problem wraps the cause, for the log, and that its
// message is fixed text.
func checkProblem(t *testing.T, cause error, want problem.Code) {
	t.Helper()
	err := Problem(cause, "read the log")
	if got := problem.CodeOf(err); got != want {
		t.Errorf("the problem's code is %q, want %q", got, want)
	}
	if !errors.Is(err, cause) || !strings.Contains(err.Error(), cause.Error()) {
		t.Errorf("the cause is not in %q", err)
	}
	message := "The service could not read the log."
	if want == problem.Unavailable {
		message += " Try again in a moment."
	}
	p, ok := errors.AsType[*problem.Error](err)
	if !ok || p.Message != message {
		t.Errorf("the message is %q", p.Message)
	}
	if message := problem.MessageOf(err); want == problem.Unavailable && message != p.Message || strings.Contains(message, inner) {
		t.Errorf("the caller sees %q", message)
	}
}

// An error that is already a problem keeps its code and message.
func TestProblemsStay(t *testing.T) {
	known := problem.New(problem.PayloadTooLarge, "The event is too large.")
	for _, err := range []error{known, fmt.Errorf("put: %w", known), unanswered(known)} {
		if got := Problem(err, "read the log"); got != err { //nolint:errorlint // must be the same error
			t.Errorf("%v became %v", err, got)
		}
	}
	if err := Problem(nil, "read the log"); err != nil {
		t.Errorf("no error became %v", err)
	}
	if Code(nil) != "" {
		t.Error("no error has a code")
	}
}
