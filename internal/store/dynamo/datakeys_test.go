package dynamo_test

import (
	"slices"
	"sync"
	"testing"
)

// Many processes keep a data key at the same time: all have the same one from then on.
func TestProcessesHaveOneDataKey(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	if got, err := tb.store().DataKey(t.Context(), "2026-11-0"); got != nil || err != nil {
		t.Errorf("before anyone kept one: %q, %v", got, err)
	}
	kept := make([]string, 8)
	var all sync.WaitGroup
	for i := range kept {
		all.Go(func() {
			got, err := tb.store().KeepDataKey(t.Context(), "2026-11-0", []byte{byte('a' + i)})
			if err != nil {
				t.Error(err)
			}
			kept[i] = string(got)
		})
	}
	all.Wait()
	stored, err := tb.store().DataKey(t.Context(), "2026-11-0")
	if err != nil || len(stored) != 1 || slices.ContainsFunc(kept, func(k string) bool { return k != string(stored) }) {
		t.Errorf("stored %q, %v; the processes have %q", stored, err, kept)
	}
	if got, err := tb.store().DataKey(t.Context(), "2026-11-1"); got != nil || err != nil {
		t.Errorf("another name has %q, %v", got, err)
	}
}
