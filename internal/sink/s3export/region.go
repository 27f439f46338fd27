package s3export

import (
	"errors"
	"net/http"
	"regexp"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

var (
	regionPattern = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)
	// expectedPattern finds the region in the message of AuthorizationHeaderMalformed, which
	// may come without the header.
	expectedPattern = regexp.MustCompile(`the region '[^']*' is wrong; expecting '([^']*)'`)
)

// otherRegion returns the region that the store says the bucket is in: "" if it does not
// say, if it is the one of the settings, or if the status is of a failure that a wrong
// region does not cause.
func (x *Exporter) otherRegion(err error, status int) string {
	if status < http.StatusMultipleChoices || status > http.StatusForbidden {
		return ""
	}
	region := ""
	if res, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && res.Response != nil {
		region = res.Response.Header.Get("X-Amz-Bucket-Region")
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok && region == "" {
		if m := expectedPattern.FindStringSubmatch(api.ErrorMessage()); m != nil {
			region = m[1]
		}
	}
	if region == x.region || !regionPattern.MatchString(region) || x.hides(region) {
		return ""
	}
	return region
}
