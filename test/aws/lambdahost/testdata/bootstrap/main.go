// Command bootstrap is a Lambda function that runs the command in its input, for tests.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type request struct {
	Do   string `json:"do"`
	Text string `json:"text"`
	Size int    `json:"size"`
	MS   int    `json:"ms"`
}

type response struct {
	Text     string `json:"text"`
	PID      int    `json:"pid"`
	Calls    int    `json:"calls"`    // of this process
	Ticks    int64  `json:"ticks"`    // of a goroutine in the background
	Deadline int64  `json:"deadline"` // ms since 1970
	ARN      string `json:"arn"`
	ID       string `json:"id"`
	Trace    string `json:"trace"`
	Memory   string `json:"memory"`
}

var (
	calls int
	ticks atomic.Int64
	held  []byte
)

func handle(ctx context.Context, r request) (response, error) {
	calls++
	switch r.Do {
	case "error":
		return response{}, errors.New(r.Text)
	case "panic":
		panic(r.Text)
	case "exit":
		os.Exit(3)
	case "sleep":
		fmt.Println("sleeping", r.Text)
		time.Sleep(time.Duration(r.MS) * time.Millisecond)
	case "print":
		fmt.Println(r.Text)
		fmt.Fprintln(os.Stderr, r.Text+" too")
	case "tick":
		go func() {
			for {
				ticks.Add(1)
				time.Sleep(time.Millisecond)
			}
		}()
	case "hold":
		held = make([]byte, r.Size)
		for i := range held {
			held[i] = byte(i)
		}
	case "large":
		r.Text = strings.Repeat("x", r.Size)
	}
	deadline, _ := ctx.Deadline()
	lc, _ := lambdacontext.FromContext(ctx)
	return response{
		r.Text, os.Getpid(), calls, ticks.Load(), deadline.UnixMilli(), lc.InvokedFunctionArn, lc.AwsRequestID,
		os.Getenv("_X_AMZN_TRACE_ID"), os.Getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"),
	}, nil
}

func main() {
	switch os.Getenv("START") {
	case "exit":
		os.Exit(4)
	case "report":
		url := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/init/error"
		body := strings.NewReader(`{"errorMessage":"no table","errorType":"Function.Setup"}`)
		if answer, err := http.Post(url, "application/json", body); err == nil {
			answer.Body.Close()
		}
		os.Exit(5)
	}
	lambda.Start(handle)
}
