package awsenv

import (
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// callTimeout bounds one attempt of an AWS call, so that a stuck connection costs one
// attempt and not the whole invocation.
const callTimeout = 10 * time.Second

// keptConnections is how many connections to one service stay open between calls. fanout
// delivers so many partitions at a time; the SDK keeps 10, and every further call would
// pay for a connection of its own, with TLS.
const keptConnections = 64

// awsConfig returns the configuration of every AWS client. Lambda sets the region and
// credentials in environment variables that are valid for the life of the process, so
// the SDK's credential chain, a megabyte of code, is not needed. AWS_ENDPOINT_URL
// points all services to an emulator.
func awsConfig() aws.Config {
	c := aws.Config{
		Region: os.Getenv("AWS_REGION"),
		Credentials: credentials.NewStaticCredentialsProvider(
			os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")),
		HTTPClient: awshttp.NewBuildableClient().WithTimeout(callTimeout).WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConnsPerHost = keptConnections
		}),
	}
	if url := os.Getenv("AWS_ENDPOINT_URL"); url != "" {
		c.BaseEndpoint = &url
	}
	return c
}
