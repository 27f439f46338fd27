package storetest

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// StoredAs fails unless a record is stored as the text, and read back from it, as an
// earlier release stored it.
func StoredAs[T any](t *testing.T, record T, text string) {
	t.Helper()
	if got, err := json.Marshal(record); err != nil || string(got) != text {
		t.Errorf("%T is stored as\n%s, %v, want\n%s", record, got, err, text)
	}
	var read T
	if err := json.Unmarshal([]byte(text), &read); err != nil {
		t.Errorf("%T: %v", record, err)
	}
	if diff := cmp.Diff(record, read); diff != "" {
		t.Errorf("%T is read from what is stored as (-want +got):\n%s", record, diff)
	}
}
