package kms

import (
	"errors"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
)

// damaged says what to do about a ciphertext that is not what was sealed for its owner.
const damaged = "The stored secret is damaged or was sealed for another integration or origin. Set it again."

// remedies say what to do about permanent errors of the service, by error code.
// They do not name the key: its ARN is in the cause, for the log only.
var remedies = map[string]string{
	"AccessDeniedException":      "The service is not allowed to use the secrets key. Allow it in the key policy and in the function's role.",
	"DisabledException":          "The secrets key is disabled. Enable it.",
	"KMSInvalidStateException":   "The state of the secrets key does not allow its use. If it is pending deletion, cancel the deletion, then enable it.",
	"NotFoundException":          "The secrets key does not exist. Deploy with the key that was used before.",
	"InvalidCiphertextException": damaged,
	"IncorrectKeyException":      "It was sealed with another key. Deploy with that key, or set the secret again.",
	"InvalidKeyUsageException":   "The secrets key does not support symmetric encryption. Deploy with one that does.",
}

// failure returns the problem for a failed call; verb is "seal" or "open".
func failure(err error, verb string, o secret.Owner) error {
	if p := (*problem.Error)(nil); errors.As(err, &p) {
		return err // of the Shelf
	}
	if remedy, permanent := remedies[awserror.Code(err)]; permanent {
		return problem.Wrap(err, problem.Internal, "Could not %s the %s of integration %s. %s", verb, o.Field, o.Integration, remedy)
	}
	return awserror.Problem(err, verb+" the "+o.Field+" of integration "+o.Integration)
}
