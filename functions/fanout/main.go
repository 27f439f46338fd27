// Command fanout appends batches of the Kinesis stream to the log and delivers them
// live.
package main

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/sluicehq/sluice/internal/awsenv"
)

func main() {
	handler, err := awsenv.Fanout()
	if err != nil {
		slog.Error("the function cannot start", "error", err)
		os.Exit(1)
	}
	lambda.Start(handler)
}
