// Command sweep runs on a schedule: it restarts overdue cursors and removes what has
// expired.
package main

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/sluicehq/sluice/internal/awsenv"
)

func main() {
	handler, err := awsenv.Sweep()
	if err != nil {
		slog.Error("the function cannot start", "error", err)
		os.Exit(1)
	}
	lambda.Start(handler)
}
