package kms

import (
	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
)

// remedies say what to do about the errors of the service that last. They name
// no key: its ARN is in the cause, for the log alone.
var remedies = map[string]string{
	"AccessDeniedException":      "The service may not use the key for secrets. Allow it in the key's policy and in the role of the function.",
	"DisabledException":          "The key for secrets is disabled. Enable it again.",
	"KMSInvalidStateException":   "The key for secrets cannot be used in the state it is in. If it is to be deleted, cancel that, and enable it.",
	"NotFoundException":          "There is no such key for secrets. Deploy with the key that was used before.",
	"InvalidCiphertextException": "It is damaged, or was sealed for another integration. Set the secret again.",
	"IncorrectKeyException":      "It was sealed under another key. Deploy with that key, or set the secret again.",
	"InvalidKeyUsageException":   "The key for secrets is not one for symmetric encryption. Deploy with one that is.",
}

// failure is the problem of a call that failed, as in "could not open".
func failure(err error, verb string, o secret.Owner) error {
	if remedy, lasts := remedies[awserror.Code(err)]; lasts {
		return problem.Wrap(err, problem.Internal, "Could not %s the %s of integration %s. %s", verb, o.Field, o.Integration, remedy)
	}
	return awserror.Problem(err, verb+" the "+o.Field+" of integration "+o.Integration)
}
