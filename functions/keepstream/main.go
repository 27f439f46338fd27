// Command keepstream raises the stream's retention, when an alarm says that the stream is not
// read or is read hours late.
package main

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/sluicehq/sluice/internal/awsenv"
)

func main() {
	handler, err := awsenv.KeepStream()
	if err != nil {
		slog.Error("the function cannot start", "error", err)
		os.Exit(1)
	}
	lambda.Start(handler)
}
