// Package kinesis publishes events to an Amazon Kinesis data stream, from which
// the function fanout appends them to the log, and has the format of the
// stream's records.
//
// The events of a call that are of one partition share records, in the order of
// the call. Their order in the stream is not promised: PutRecords keeps none
// between its entries, and an entry that fails is put again after others of its
// lane got through. An answer that is lost puts a record twice. Each event keeps
// the published_at it was first given, so that in the log the times are out of
// order by as long as a call may last at most; readers allow for a margin of 15
// minutes.
package kinesis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/publish"
)

// Client is the call that a Stream makes; *kinesis.Client has it.
type Client interface {
	PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, options ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error)
}

// Stream puts records on one stream. It is safe for concurrent use.
type Stream struct {
	client Client
	name   string
	now    func() time.Time
}

var _ publish.Log = (*Stream)(nil)

// New returns the Stream of that name. Events get their published_at from now.
func New(client Client, stream string, now func() time.Time) *Stream {
	return &Stream{client: client, name: stream, now: now}
}

// Publish implements publish.Log. The stream takes events of up to about 1 MiB;
// a larger one is a problem.PayloadTooLarge, and nothing is put. Entries that
// fail are tried again, without those that did not, until a second before the
// context's deadline, for about 10 seconds at most. Then the error, of code
// Unavailable or Internal, says which events may not be in the stream.
func (s *Stream) Publish(ctx context.Context, tenant string, lanes int, drafts []event.Draft) error {
	records, err := pack(tenant, lanes, drafts, s.now())
	if err != nil {
		return err
	}
	left, err := s.put(ctx, records)
	if len(left) == 0 {
		return nil
	}
	code := problem.Unavailable
	if !awserror.Temporary(err) {
		code = problem.Internal
	}
	var indices []int
	for i := range left {
		indices = append(indices, left[i].indices...)
	}
	if len(indices) == len(drafts) {
		return problem.Wrap(err, code, "The stream accepted none of the call's events. Send them again in a moment.")
	}
	return problem.Wrap(err, code, "The stream did not accept these of the call's %d events, counted from 0: %s. Send just these again in a moment; all the others are accepted.",
		len(drafts), ranges(indices))
}

// Barrier puts a barrier record of the present time on the stream: what was put
// for the partition before the call comes before it.
func (s *Stream) PutMarker(ctx context.Context, p event.Partition) error {
	_, err := s.put(ctx, []record{newRecord(p, EncodeMarker(s.now()), nil)})
	return awserror.Problem(err, "put a barrier on the stream")
}

// ranges lists numbers for people: "0, 3 to 5".
func ranges(numbers []int) string {
	slices.Sort(numbers)
	var b strings.Builder
	for i := 0; i < len(numbers); {
		last := i
		for last+1 < len(numbers) && numbers[last+1] == numbers[last]+1 {
			last++
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Itoa(numbers[i]))
		if last > i {
			fmt.Fprintf(&b, " to %d", numbers[last])
		}
		i = last + 1
	}
	return b.String()
}
