// Command advance advances one cursor: for the queue of steps, and as the task of
// the state machine "delivery".
package main

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/sluicehq/sluice/internal/awsenv"
)

func main() {
	handler, err := awsenv.Advance()
	if err != nil {
		slog.Error("the function cannot start", "error", err)
		os.Exit(1)
	}
	lambda.Start(handler)
}
