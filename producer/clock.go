package producer

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// clock is the host's clock, corrected by the time in the stream's responses where they are
// far apart: events are found and replayed by published_at. It passes requests on to client.
//
// A first request of a host whose clock is off by more than five minutes is refused, as its
// signature is by the clock, so a stamp is never off by more.
type clock struct {
	client Client
	offset atomic.Int64 // of the stream's time from the host's, in ns; 0 if they are close
}

// tolerated is how far apart the two may be. The time in a response has whole seconds, and is
// late by as long as the response took.
const tolerated = 30 * time.Second

func (c *clock) now() time.Time { return time.Now().Add(c.shift()) }

func (c *clock) shift() time.Duration { return time.Duration(c.offset.Load()) }

// PutRecords implements Client.
func (c *clock) PutRecords(ctx context.Context, in *sdk.PutRecordsInput, options ...func(*sdk.Options)) (*sdk.PutRecordsOutput, error) {
	out, err := c.client.PutRecords(ctx, in, options...)
	var at time.Time
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok && response.Response != nil {
		at, _ = http.ParseTime(response.Response.Header.Get("Date"))
	} else if out != nil {
		at, _ = middleware.GetServerTime(out.ResultMetadata)
	}
	if !at.IsZero() {
		c.observe(time.Until(at))
	}
	return out, err
}

// observe notes by how much the stream's time is after the host's.
func (c *clock) observe(ahead time.Duration) {
	if ahead.Abs() <= tolerated {
		ahead = 0
	}
	if known := c.shift(); (ahead-known).Abs() > tolerated || ahead == 0 {
		c.offset.Store(int64(ahead))
	}
}
