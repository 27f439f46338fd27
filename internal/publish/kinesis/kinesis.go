// Package kinesis publishes events to an Amazon Kinesis data stream, from which the
// function fanout appends them to the log. It also defines the format of the stream's
// records, and reads the plain ones that others put there.
//
// The events of a call that belong to one partition share records, in the order of
// the call. The order of records in the stream is not guaranteed: PutRecords keeps
// none between its entries, and an entry that fails is retried after later ones of its
// lane have succeeded. A lost response leads to a record being put twice. Retries keep
// an event's published_at, so times in the log are out of order by at most the
// duration of a call; readers allow for a margin of 15 minutes.
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

// Client is the part of the Kinesis API that a Stream uses; *kinesis.Client implements
// it.
type Client interface {
	PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, options ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error)
}

// Stream puts records on one stream. It is safe for concurrent use.
type Stream struct {
	client Client
	keys   Keys
	name   string
	now    func() time.Time
}

var _ publish.Log = (*Stream)(nil)

// New returns a Stream that puts records on the named stream. Events get their
// published_at from now.
func New(client Client, keys Keys, stream string, now func() time.Time) *Stream {
	return &Stream{client: client, keys: keys, name: stream, now: now}
}

// Publish implements publish.Log. An event may have up to about 1 MiB; if one is
// larger, the error is a problem.PayloadTooLarge and nothing is put. Failed entries
// are retried, without the others, for about 10 seconds and until a second before the
// context's deadline. After that the error, with the code Unavailable or Internal,
// lists the events that may not be in the stream.
func (s *Stream) Publish(ctx context.Context, tenant string, lanes event.Lanes, drafts []event.Draft) error {
	records, err := pack(tenant, lanes, drafts, nil, s.now())
	if err != nil {
		return err
	}
	left, err := s.put(ctx, records)
	if len(left) == 0 {
		return nil
	}
	indices := indicesOf(left)
	if len(indices) == len(drafts) {
		return problem.Wrap(err, codeOf(err), "The stream accepted none of the call's events. Send them again in a moment.")
	}
	return problem.Wrap(err, codeOf(err), "The stream did not accept these of the call's %d events, counted from 0: %s. Send only these again in a moment; all the others were accepted.",
		len(drafts), ranges(indices))
}

// PutEvents puts events that are stamped already, each in its lane: those of plain records,
// which are no more than a call may have. It retries as Publish does. The indices are of the
// events that may not be in the stream, in order; if there are any, the error says why.
func (s *Stream) PutEvents(ctx context.Context, lanes event.Lanes, events []event.Event) ([]int, error) {
	p := packer{lanes: lanes}
	for i := range events {
		if err := p.add(events[i], i); err != nil {
			return every(len(events)), err
		}
	}
	left, err := s.put(ctx, p.all())
	if len(left) == 0 {
		return nil, nil
	}
	return indicesOf(left), awserror.Problem(err, "put events on the stream")
}

// every returns the indices of n events.
func every(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// codeOf returns the code of a publish that the stream did not accept.
func codeOf(err error) problem.Code {
	if awserror.Temporary(err) {
		return problem.Unavailable
	}
	return problem.Internal
}

// indicesOf returns the indices of the records' events, in order.
func indicesOf(records []record) (indices []int) {
	for i := range records {
		indices = append(indices, records[i].indices...)
	}
	slices.Sort(indices)
	return indices
}

// PutMarker puts a watermark marker with the current time on the stream. Everything
// put for the partition before the call precedes it.
func (s *Stream) PutMarker(ctx context.Context, p event.Partition) error {
	_, err := s.put(ctx, []record{newRecord(p, EncodeMarker(s.now()), nil)})
	return awserror.Problem(err, "put a watermark marker on the stream")
}

// ranges formats numbers for a message: "0, 3 to 5".
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
