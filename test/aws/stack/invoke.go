package stack

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/sluicehq/sluice/test/aws/lambdahost"
)

// invoker is how AWS services invoke functions.
func (s *Stack) invoker(o Options) lambdahost.Invoker {
	if o.InvokeThroughFront {
		return throughFront(s.Front.URL())
	}
	return s.Host.Invoker()
}

// throughFront invokes functions through the Lambda API at an endpoint. It makes
// each call once: the caller retries, as on AWS.
type throughFront string

var once = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}

func (endpoint throughFront) Invoke(ctx context.Context, function string, payload []byte) ([]byte, string, error) {
	to := string(endpoint) + "/2015-03-31/functions/" + url.PathEscape(function) + "/invocations"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, io.NopCloser(bytes.NewReader(payload)))
	if err != nil {
		return nil, "", err
	}
	res, err := once.Do(req) // without GetBody, net/http does not resend it after a cut connection
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = res.Body.Close() }()
	result, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, "", err
	}
	if res.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("invoke %s: %s: %s", function, res.Status, result)
	}
	return result, res.Header.Get("X-Amz-Function-Error"), nil
}
