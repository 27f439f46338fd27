package dynamo

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// Every later release must find what is stored under these keys.
func TestKeysAreStable(t *testing.T) {
	t.Parallel()
	const id = "6f1c4f0e-0000-4000-8000-000000000001"
	h := store.History{Tenant: "acme", Integration: "hook", Incarnation: 18446744073709551615}
	odd := store.History{Tenant: "a#b", Integration: "1#2%", Incarnation: 7}
	at := time.Date(2025, 6, 1, 12, 0, 0, 123_456_789, time.UTC)
	for _, c := range []struct {
		got    key
		pk, sk string
	}{
		{tenantKey("acme"), "T#acme", "TENANT"},
		{lanesKey, "T#", "LANES"},
		{integrationKey("acme", "hook"), "T#acme", "I#hook"},
		{recordKey(event.Partition{Tenant: "acme", Lane: 12}), "P#12#acme", "RECORD"},
		{cursorKey(handoff.Key{Tenant: "acme", Integration: "hook", Lane: 3}), "P#3#acme", "CURSOR#hook"},
		{countKey(h), "H#18446744073709551615#hook#acme", "INDEX"},
		{deletedKey(h), "H#18446744073709551615#hook#acme", "E~DELETED"},
		{rejectedKey(h, id), "H#18446744073709551615#hook#acme", "R#" + id},
		{listKey(h, integration.RejectedRef{EventID: id, CreatedAt: at}), "H#18446744073709551615#hook#acme", "L#01748779200123.456789#" + id},
		{countKey(odd), "H#7#1%232%25#a#b", "INDEX"},
		{entryKey(h, at, entryOrder(1748779200123456789, 5)[:22]), "H#18446744073709551615#hook#acme", "E#01748779200123.456789#1748779200123456789#05"},
		{entryKey(h, time.Date(1969, 1, 1, 0, 0, 0, 1, time.UTC), "x"), "H#18446744073709551615#hook#acme", "E#00000000000000.000000#x"},
		{entryKey(h, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), "x"), "H#18446744073709551615#hook#acme", "E#99999999999999.000000#x"},
	} {
		if c.got != newKey(c.pk, c.sk) {
			t.Errorf("got %q, want %q %q", c.got, c.pk, c.sk)
		}
	}
	for _, c := range []struct{ got, want string }{
		{dueShardOf(kindDue, cursorKey(handoff.Key{Tenant: "acme", Integration: "hook"})), "due#3"},
		{dueShardOf(kindExpired, integrationKey("acme", "hook")), "grace#1"},
		{dueShardOf(kindDeleted, deletedKey(h)), "deleted#8"},
	} {
		if c.got != c.want {
			t.Errorf("shard of the due index: got %s, want %s", c.got, c.want)
		}
	}
}

// names are strings that a careless key format would confuse.
func names() *rapid.Generator[string] {
	return rapid.OneOf(rapid.StringMatching(`[ab#%~0-9/]{0,6}`),
		rapid.SampledFrom([]string{"", "#", "0#a", "a#", "#a", "%23", "%", "I#hook", "TENANT", "RECORD", "INDEX", "E#1", "E~DELETED", "R#x", "L#x", "CURSOR#x"}))
}

func recordsOf(tenant, id, eventID string, lane int, incarnation uint64) map[string]key {
	h := store.History{Tenant: tenant, Integration: id, Incarnation: incarnation}
	return map[string]key{
		fmt.Sprintf("tenant %q", tenant):                                         tenantKey(tenant),
		fmt.Sprintf("integration %q %q", tenant, id):                             integrationKey(tenant, id),
		fmt.Sprintf("record %q %d", tenant, lane):                                recordKey(event.Partition{Tenant: tenant, Lane: lane}),
		fmt.Sprintf("cursor %q %q %d", tenant, id, lane):                         cursorKey(handoff.Key{Tenant: tenant, Integration: id, Lane: lane}),
		fmt.Sprintf("count %q", fmt.Sprint(h.Incarnation, []string{tenant, id})): countKey(h),
		fmt.Sprintf("tombstone %q %q %d", tenant, id, incarnation):               deletedKey(h),
		fmt.Sprintf("rejected %q %q %d %q", tenant, id, incarnation, eventID):    rejectedKey(h, eventID),
		fmt.Sprintf("listed %q %q %d %q", tenant, id, incarnation, eventID):      listKey(h, integration.RejectedRef{EventID: eventID}),
		fmt.Sprintf("entry %q %q %d", tenant, id, incarnation):                   entryKey(h, time.UnixMilli(5), "x"),
	}
}

func TestRecordsShareNoKey(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var parts [3]string
		for i := range parts {
			parts[i] = names().Draw(t, "part")
		}
		n, lane := rapid.Uint64Range(0, 11).Draw(t, "incarnation"), rapid.IntRange(0, 11).Draw(t, "lane")
		// The same text split in different ways, escaped, and at random.
		escaped := escape.Replace(parts[0])
		differ(t,
			recordsOf(parts[1]+"#"+parts[2], parts[0], parts[1], lane, n), recordsOf(parts[2], parts[0]+"#"+parts[1], parts[1], lane, n),
			recordsOf(parts[2], escaped, parts[1], lane, n), recordsOf(parts[2], parts[0], parts[1], lane, n),
			recordsOf(names().Draw(t, "tenant"), names().Draw(t, "id"), names().Draw(t, "event"), lane, n))
	})
}

// differ checks that two keys are equal only if they are of the same record.
func differ(t interface{ Fatalf(string, ...any) }, all ...map[string]key) {
	owners := map[key]string{}
	for _, some := range all {
		for owner, k := range some {
			if other, taken := owners[k]; taken && other != owner {
				t.Fatalf("%s and %s share the key %q", owner, other, k)
			}
			owners[k] = owner
		}
	}
}

func FuzzRecordsShareNoKey(f *testing.F) {
	f.Add("a#b", "c", "e", 0, uint64(1), "b", "c#a", "e", 0, uint64(1))
	f.Add("a", "%23", "e", 1, uint64(1), "a", "#", "e", 1, uint64(1))
	f.Fuzz(func(t *testing.T, tenant1, id1, event1 string, lane1 int, n1 uint64, tenant2, id2, event2 string, lane2 int, n2 uint64) {
		if !utf8.ValidString(tenant1+id1+event1) || !utf8.ValidString(tenant2+id2+event2) {
			return // names are always valid UTF-8
		}
		differ(t, recordsOf(tenant1, id1, event1, lane1, n1), recordsOf(tenant2, id2, event2, lane2, n2))
	})
}

// The keys that the index returns must identify what was put.
func TestKeysAreReadAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := handoff.Key{Tenant: "t" + names().Draw(t, "tenant"), Integration: names().Draw(t, "id"), Lane: rapid.IntRange(0, 99).Draw(t, "lane")}
		if got, ok := cursorOf(cursorKey(c)); !ok || got != c {
			t.Fatalf("the key of cursor %+v is read as %+v, %v", c, got, ok)
		}
		tenant, id, ok := integrationOf(integrationKey(c.Tenant, c.Integration))
		if !ok || tenant != c.Tenant || id != c.Integration {
			t.Fatalf("the key of integration %q %q is read as %q %q, %v", c.Tenant, c.Integration, tenant, id, ok)
		}
	})
	for _, k := range []key{tenantKey("a"), recordKey(event.Partition{Tenant: "a"}), newKey("P#a", "CURSOR#x"), {}} {
		if c, ok := cursorOf(k); ok {
			t.Errorf("%q is read as cursor %+v", k, c)
		}
	}
	if tenant, id, ok := integrationOf(tenantKey("a")); ok {
		t.Errorf("a tenant is read as integration %q %q", tenant, id)
	}
}

// Keys of entries sort by time, and the tombstone after all of them and before
// everything else of a history.
func TestEntriesSortByTime(t *testing.T) {
	t.Parallel()
	h := store.History{Tenant: "a", Integration: "hook", Incarnation: 1}
	rapid.Check(t, func(t *rapid.T) {
		draw := func() time.Time {
			return time.Unix(rapid.Int64Range(0, 9e10).Draw(t, "s"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns"))
		}
		a, b := draw(), draw()
		ka, kb := entryKey(h, a, "x").SK, entryKey(h, b, "x").SK
		if got, want := strings.Compare(ka, kb), a.Compare(b); got != want {
			t.Fatalf("%s and %s compare as %d, their times as %d", ka, kb, got, want)
		}
		if from := entriesFrom(a); from > ka || b.Before(a) && kb >= from {
			t.Fatalf("%s is no lower bound of %s, or of %s", from, ka, kb)
		}
		if tombstone := deletedKey(h).SK; ka >= tombstone || tombstone >= countKey(h).SK || tombstone >= rejectedKey(h, "").SK || tombstone >= listPrefix {
			t.Fatalf("the tombstone %s does not sort between the entries and the rest", tombstone)
		}
	})
}

func TestDueIsNeverEarly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(0, rapid.Int64().Draw(t, "at"))
		if ms := dueMillis(at); time.UnixMilli(ms).Before(at) || !time.UnixMilli(ms-1).Before(at) {
			t.Fatalf("%v is due at %v", at, time.UnixMilli(ms))
		}
	})
}
