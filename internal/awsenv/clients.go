package awsenv

import (
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// callTimeout bounds one try of a call to AWS, so that a connection that is
// stuck costs a try and not the whole invocation.
const callTimeout = 10 * time.Second

// awsConfig is what every AWS client is made from. Lambda gives region and
// credentials by environment variables that hold for the life of the process,
// so the SDK's search for them, a megabyte of code, is left out. AWS_ENDPOINT_URL
// leads all services to an emulator.
func awsConfig() aws.Config {
	c := aws.Config{
		Region: os.Getenv("AWS_REGION"),
		Credentials: credentials.NewStaticCredentialsProvider(
			os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")),
		HTTPClient: awshttp.NewBuildableClient().WithTimeout(callTimeout),
	}
	if url := os.Getenv("AWS_ENDPOINT_URL"); url != "" {
		c.BaseEndpoint = &url
	}
	return c
}
