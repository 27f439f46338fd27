package rejected

import (
	"cmp"
	"context"
	"log/slog"
	"math"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// MaxBulk is how many events RetryAll and DeleteAll take by their ids.
const MaxBulk = 100

// bulkTime is how long RetryAll works: a gateway waits for 30 s.
const bulkTime = 20 * time.Second

// bulkCalls is how many events RetryAll sends at a time. Each of them changes the list, so
// more would only wait for each other.
const bulkCalls = 4

// Bulk is what became of the events of a RetryAll or a DeleteAll.
type Bulk struct {
	Done   []string // delivered, or deleted; in the order in which they were asked for
	Failed []BulkFailure
	// Remaining is how many events were not reached in the time.
	Remaining int
}

// BulkFailure is an event that stays as it is. Cause says what the receiver returned, or is
// a problem.Code, as problem.NotFound for an event that is not in the list.
type BulkFailure struct {
	EventID, Cause string
}

// RetryAll is Retry of the given events, or of all in the list, oldest first, if there are
// none. It starts no call that may take it beyond 20 s, but makes some. What the caller
// does not wait for is not sent. Errors: problem.NotFound if there is no such integration,
// and those of the store.
func (s *Service) RetryAll(ctx context.Context, tenant, id string, eventIDs []string) (Bulk, error) {
	wanted, err := s.wanted(ctx, tenant, id, eventIDs)
	if err != nil {
		return Bulk{}, err
	}
	last := s.Now().Add(bulkTime - s.Settings.LongestCall())
	causes, reached := make([]string, len(wanted)), len(wanted)
	var calls errgroup.Group
	calls.SetLimit(bulkCalls)
	for i, eventID := range wanted {
		if i >= bulkCalls && !s.Now().Before(last) || ctx.Err() != nil {
			reached = i
			break
		}
		calls.Go(func() error {
			receiver, err := s.retry(ctx, tenant, id, eventID)
			if level, hidden := hiddenAt(err); hidden {
				s.Logger.Log(ctx, level, "rejected event not retried", "tenant", tenant, "integration", id, "event_id", eventID, "error", err)
			}
			causes[i] = causeOf(receiver, err)
			return nil
		})
	}
	_ = calls.Wait()
	return bulkOf(wanted[:reached], causes, len(wanted)-reached), nil
}

// wanted returns the ids that are given, each once, or all in the list.
func (s *Service) wanted(ctx context.Context, tenant, id string, eventIDs []string) ([]string, error) {
	in, err := s.Integrations.Get(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	var wanted []string
	for _, eventID := range eventIDs {
		if !slices.Contains(wanted, eventID) {
			wanted = append(wanted, eventID)
		}
	}
	if len(wanted) > 0 {
		return wanted, nil
	}
	refs, err := s.Store.OldestRejected(ctx, store.HistoryOf(in), math.MaxInt32)
	if err != nil {
		return nil, err
	}
	for _, ref := range refs {
		wanted = append(wanted, ref.EventID)
	}
	return wanted, nil
}

// hiddenAt returns the level at which the log has what the caller is not told of an error.
func hiddenAt(err error) (slog.Level, bool) {
	switch problem.CodeOf(err) {
	case problem.Internal:
		return slog.LevelError, true
	case problem.Unavailable:
		return slog.LevelWarn, true
	}
	return 0, false
}

// causeOf returns the cause of a failed retry, "" if it was delivered.
func causeOf(receiver string, err error) string {
	if err == nil {
		return ""
	}
	return cmp.Or(receiver, string(problem.CodeOf(err)))
}

func bulkOf(ids, causes []string, remaining int) Bulk {
	b := Bulk{Remaining: remaining}
	for i, id := range ids {
		if causes[i] == "" {
			b.Done = append(b.Done, id)
		} else {
			b.Failed = append(b.Failed, BulkFailure{id, causes[i]})
		}
	}
	return b
}

// deletesAtOnce is how many events leave the list in one commit, in which each counts twice.
const deletesAtOnce = 45

// DeleteAll is Delete of the given events, or of all in the list, oldest first, if there are
// none. It works for 20 s. It does not cancel retries that are in flight. Errors are those of
// RetryAll, and problem.Conflict; some events may be deleted then.
func (s *Service) DeleteAll(ctx context.Context, tenant, id string, eventIDs []string) (Bulk, error) {
	if len(eventIDs) == 0 {
		b, err := s.deleteList(ctx, tenant, id)
		return b, store.Contended(err, id)
	}
	wanted, err := s.wanted(ctx, tenant, id, eventIDs)
	if err != nil {
		return Bulk{}, err
	}
	causes := make([]string, len(wanted))
	for first := 0; first < len(wanted); first += deletesAtOnce {
		end := min(first+deletesAtOnce, len(wanted))
		err := store.Transact(func() error { return s.deleteSome(ctx, tenant, id, wanted[first:end], causes[first:end]) })
		if err != nil {
			return Bulk{}, store.Contended(err, id)
		}
	}
	return bulkOf(wanted, causes, 0), nil
}

// deleteSome deletes events in one commit, and sets the cause of those that are not there.
func (s *Service) deleteSome(ctx context.Context, tenant, id string, eventIDs, causes []string) error {
	in, err := s.Integrations.Get(ctx, tenant, id)
	if err != nil {
		return err
	}
	h := store.HistoryOf(in)
	count, err := s.Store.RejectedCount(ctx, h)
	if err != nil {
		return err
	}
	var refs []integration.RejectedRef
	for i, eventID := range eventIDs {
		r, err := s.get(ctx, in, eventID)
		if problem.CodeOf(err) == problem.NotFound {
			causes[i] = string(problem.NotFound)
			continue
		}
		if err != nil {
			return err
		}
		causes[i] = ""
		refs = append(refs, r.Ref())
	}
	return s.remove(ctx, h, count, refs, s.deletion(h, idsOf(refs)...))
}

func idsOf(refs []integration.RejectedRef) []string {
	ids := make([]string, len(refs))
	for i := range refs {
		ids[i] = refs[i].EventID
	}
	return ids
}

// remove deletes events that are in the list in one commit, with its log entry, if any.
func (s *Service) remove(ctx context.Context, h store.History, count *integration.RejectedCount, refs []integration.RejectedRef, writes ...store.Write) error {
	if len(refs) == 0 {
		return nil
	}
	for _, ref := range refs {
		count.Remove(ref.EventID)
		writes = append(writes, store.DeleteRejected{History: h, Ref: ref})
	}
	return store.CommitDetached(ctx, s.Store, append(writes, store.PutRejectedCount{History: h, Count: count})...)
}

// deletionOfAll is the log entry of the first commit that deletes a list; the others have none,
// as those of a long list would leave no room in the log for others.
func (s *Service) deletionOfAll(h store.History, before, left int, deleted []integration.RejectedRef) []store.Write {
	switch {
	case before > 0:
		return nil
	case left > 0 && len(deleted) == deletesAtOnce: // else what is left joined the list meanwhile
		return []store.Write{entry(h, s.Now(), integration.ActionRejectedDeleted, "The deletion of all %d rejected events was started via API.", left+len(deleted))}
	}
	return []store.Write{s.deletion(h, idsOf(deleted)...)}
}

// deleteList deletes all events that are in the list when it begins, some in each commit.
func (s *Service) deleteList(ctx context.Context, tenant, id string) (b Bulk, err error) {
	in, err := s.Integrations.Get(ctx, tenant, id)
	if err != nil {
		return Bulk{}, err
	}
	h := store.HistoryOf(in)
	last, err := s.Store.NewestRejected(ctx, h, integration.RejectedRef{}, 1)
	if err != nil || len(last) == 0 {
		return Bulk{}, err
	}
	for until := s.Now().Add(bulkTime); ; {
		var deleted []integration.RejectedRef
		var left int
		err := store.Transact(func() error {
			if _, err := s.Integrations.Get(ctx, tenant, id); err != nil {
				return err
			}
			count, err := s.Store.RejectedCount(ctx, h)
			if err != nil {
				return err
			}
			if deleted, err = s.Store.OldestRejected(ctx, h, deletesAtOnce); err != nil {
				return err
			}
			deleted = slices.DeleteFunc(deleted, func(r integration.RejectedRef) bool { return r.Compare(last[0]) > 0 })
			left = count.Kept - len(deleted)
			return s.remove(ctx, h, count, deleted, s.deletionOfAll(h, len(b.Done), left, deleted)...)
		})
		if err != nil {
			return Bulk{}, err
		}
		b.Done = append(b.Done, idsOf(deleted)...)
		if len(deleted) < deletesAtOnce {
			return b, nil
		}
		if !s.Now().Before(until) {
			b.Remaining = left
			return b, nil
		}
	}
}
