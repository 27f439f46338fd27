package pull

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/usertext"
)

// The positions that have a name.
const (
	Earliest = "earliest"
	Latest   = "latest"
)

// locate returns the place that a client's position means.
func (s *Service) locate(ctx context.Context, in *integration.Integration, position string) (*place, error) {
	switch {
	case position == "" || position == Earliest:
		from := in.BornAt()
		if edge := s.edge(); from.Before(edge) {
			from = edge
		}
		return s.seek(ctx, in, from)
	case position == Latest:
		return s.eachLane(in, func(p event.Partition) (uint64, error) { return s.Log.End(ctx, p) })
	case strings.HasPrefix(position, tokenPrefix):
		return s.decode(in, position)
	}
	return s.at(ctx, in, position)
}

// at returns the place of a time.
func (s *Service) at(ctx context.Context, in *integration.Integration, position string) (*place, error) {
	from, err := event.ParseTime(position)
	switch {
	case err != nil:
		return nil, problem.New(problem.InvalidPosition,
			"position is %q; it must be earliest, latest, an RFC 3339 time such as 2019-01-17T12:00:00.000Z, or the next of an earlier response.", usertext.Clip(position, 200))
	case from.After(s.Now()):
		return nil, problem.New(problem.InvalidPosition, "position is %s, which is in the future; use latest for what comes from now on.", event.FormatTime(from))
	case from.Before(s.edge()):
		return nil, s.expired()
	}
	return s.seek(ctx, in, from)
}

func (s *Service) seek(ctx context.Context, in *integration.Integration, from time.Time) (*place, error) {
	at, err := s.eachLane(in, func(p event.Partition) (uint64, error) { return s.Log.Seek(ctx, p, from) })
	if err == nil {
		at.from = from
	}
	return at, err
}

// eachLane returns the place with the segments that find returns.
func (s *Service) eachLane(in *integration.Integration, find func(event.Partition) (uint64, error)) (*place, error) {
	at := &place{lanes: make([]handoff.Offset, s.lanesOf(in))}
	for i := range at.lanes {
		var err error
		if at.lanes[i].Segment, err = find(event.Partition{Tenant: in.Tenant, Lane: i}); err != nil {
			return nil, err
		}
	}
	return at, nil
}

// lanesOf returns how many lanes may have events of the integration. A stopped one has no
// cursor yet in lanes that were added since.
func (s *Service) lanesOf(in *integration.Integration) int { return max(in.Lanes, s.Settings.Lanes) }

// A token is tokenPrefix and, in URL-safe base64, boundBytes that bind the rest to the
// integration, and the rest: the time from which on events count, in ms since 1970, how
// many lanes there are, and for each its segment and index, all of them uvarints.
//
// What binds it is no secret and keeps nobody out: a token is only read in the log of the
// tenant whose access token came with it, by the filter of the integration in the path.
// It tells a client that mixed up two tokens, and one that is damaged.
const (
	tokenPrefix = "p1."
	boundBytes  = 12
)

// token returns the position of the place, for the client.
func (at *place) token(in *integration.Integration) string {
	rest := binary.AppendUvarint(nil, uint64(max(0, at.from.UnixMilli())))
	rest = binary.AppendUvarint(rest, uint64(len(at.lanes)))
	for _, o := range at.lanes {
		rest = binary.AppendUvarint(rest, o.Segment)
		rest = binary.AppendUvarint(rest, uint64(o.Index))
	}
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(append(bound(in, rest), rest...))
}

// bound returns what binds a token to one incarnation of an integration.
func bound(in *integration.Integration, rest []byte) []byte {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(in.Tenant), []byte(in.ID), binary.AppendUvarint(nil, in.Incarnation), rest} {
		_, _ = h.Write(binary.AppendUvarint(nil, uint64(len(part)))) // a hash never fails
		_, _ = h.Write(part)
	}
	return h.Sum(nil)[:boundBytes]
}

// decode returns the place of a token.
func (s *Service) decode(in *integration.Integration, token string) (*place, error) {
	bad := problem.New(problem.InvalidPosition,
		"position is not one that integration %q has given. Send the next of an earlier response unchanged, or begin again with position=earliest.", in.ID)
	data, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, tokenPrefix))
	if err != nil || len(data) <= boundBytes || !slices.Equal(data[:boundBytes], bound(in, data[boundBytes:])) {
		return nil, bad
	}
	rest, whole := data[boundBytes:], true
	read := func() uint64 {
		n, size := binary.Uvarint(rest)
		if whole = whole && size > 0; !whole {
			return 0
		}
		rest = rest[size:]
		return n
	}
	from, lanes := int64(read()), read()
	if lanes < 1 || lanes > settings.MaxLanes {
		return nil, bad
	}
	at := &place{known: int(lanes), lanes: make([]handoff.Offset, max(int(lanes), s.lanesOf(in)))}
	if from > 0 {
		at.from = time.UnixMilli(from).UTC()
	}
	for i := range at.known {
		at.lanes[i].Segment, at.lanes[i].Index = read(), int(read()) // an index beyond the segment is refused by its reader
		if at.lanes[i].Index < 0 {
			return nil, bad
		}
	}
	if !whole || len(rest) > 0 {
		return nil, bad
	}
	return at, nil
}
