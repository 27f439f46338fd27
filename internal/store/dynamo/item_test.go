package dynamo

import (
	"bytes"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// Whatever an item contains, it is decoded or rejected, and a decoded record has a
// version.
func FuzzDecode(f *testing.F) {
	d := event.Draft{ID: "6f1c4f0e-0000-4000-8000-000000000001", Name: "a.b", Payload: []byte(`{"a":1}`)}
	at := time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	h := store.History{Tenant: "a", Integration: "hook", Incarnation: 1}
	it, err := newRejected(rejectedKey(h, d.ID), &integration.Rejected{Event: d.Stamp("a", at), CreatedAt: at, Attempts: 2})
	if err != nil {
		f.Fatal(err)
	}
	good := it.Event
	f.Add("T#a", "I#hook", `{"id":"hook"}`, "18446744073709551615", good)
	f.Add("H#1#hook#a", "R#x", it.Doc, "1", good)
	f.Add("T#a", "TENANT", "null", "-1", []byte{})
	f.Add("", "", "{", "0", good[:len(good)-1])
	f.Fuzz(func(t *testing.T, pk, sk, doc, version string, segment []byte) {
		attrs := newKey(pk, sk).Attributes()
		attrs["doc"] = &types.AttributeValueMemberS{Value: doc}
		attrs["version"] = &types.AttributeValueMemberN{Value: version}
		attrs["event"] = &types.AttributeValueMemberB{Value: bytes.Clone(segment)}
		it, err := itemOf(attrs)
		if err != nil {
			if problem.CodeOf(err) != problem.Internal {
				t.Errorf("a damaged item is %v", err)
			}
			return
		}
		in, err := it.integration()
		switch {
		case err != nil && problem.CodeOf(err) != problem.Internal:
			t.Errorf("a damaged integration is %v", err)
		case err == nil && (in.Version == 0 || integrationKey(in.Tenant, in.ID) != newKey(pk, sk)):
			t.Errorf("%q %q version %q is read as %q %q version %d", pk, sk, version, in.Tenant, in.ID, in.Version)
		}
		r, err := it.rejected("a")
		switch {
		case err != nil && problem.CodeOf(err) != problem.Internal:
			t.Errorf("a damaged rejected event is %v", err)
		case err == nil && (r.Version == 0 || r.Event.Tenant != "a"):
			t.Errorf("version %q is read as %d, tenant %q", version, r.Version, r.Event.Tenant)
		}
	})
}

// A key from the due index is parsed as the key it is, or rejected.
func FuzzKeysAreReadAgain(f *testing.F) {
	f.Add("P#0#a", "CURSOR#hook")
	f.Add("P#00#a", "CURSOR#hook")
	f.Add("T#a", "I#hook")
	f.Add("T#a", "TENANT")
	f.Fuzz(func(t *testing.T, pk, sk string) {
		k := newKey(pk, sk)
		if c, ok := cursorOf(k); ok && cursorKey(c) != k {
			t.Errorf("%q is read as cursor %+v", k, c)
		}
		if tenant, id, ok := integrationOf(k); ok && integrationKey(tenant, id) != k {
			t.Errorf("%q is read as integration %q %q", k, tenant, id)
		}
	})
}
