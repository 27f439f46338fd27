package eventlog

import (
	"math/big"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
)

// However a stream is cut into batches, and wherever a batch starts over, each record
// is appended once.
func TestAnyBatchesOfAStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []Record
		var want []string
		at := rapid.Uint64().Draw(t, "start")
		for i := range rapid.IntRange(0, 30).Draw(t, "records") {
			at += rapid.Uint64Range(1, 1<<40).Draw(t, "step") // it may overflow
			sequence := new(big.Int).Add(new(big.Int).Lsh(big.NewInt(int64(i+1)), 70), new(big.Int).SetUint64(at>>1))
			r := Record{Sequence: sequence.String()}
			for j := range rapid.IntRange(0, 3).Draw(t, "events") {
				id := strconv.Itoa(i) + "/" + strconv.Itoa(j)
				r.Events = append(r.Events, event.Event{ID: id})
				want = append(want, id)
			}
			all = append(all, r)
		}
		var checkpoint Checkpoint
		var got []string
		for done := 0; done < len(all); {
			from := rapid.IntRange(0, done).Draw(t, "from")
			to := rapid.IntRange(from+1, len(all)).Draw(t, "to")
			rest, err := checkpoint.After("stream", all[from:to])
			if err != nil {
				t.Fatal(err)
			}
			checkpoint = checkpoint.Advanced("stream", rest)
			for _, e := range Events(rest) {
				got = append(got, e.ID)
			}
			done = max(done, to)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// After returns the new records of a batch, and rejects batches that no stream can
// produce.
func TestAfter(t *testing.T) {
	for _, c := range []struct {
		name, checkpoint, source, records string // "source sequence"; sequences
		want                              string
	}{
		{"nothing was appended", "", "s", "1 2 3", "1 2 3"},
		{"the first was", "s 1", "s", "1 2 3", "2 3"},
		{"all were", "s 3", "s", "1 2 3", ""},
		{"all and more were", "s 4", "s", "1 2 3", ""},
		{"one between them was", "s 5", "s", "4 6 7", "6 7"},
		{"none was", "s 9", "s", "10 11", "10 11"},
		{"leading zeros", "s 009", "s", "9 010", "010"},
		{"another source", "other 9", "s", "1 2", "1 2"},
		{"no source", "s 9", "", "1 x", "1 x"},
		{"no records", "s 9", "s", "", ""},
		{"the same twice", "", "s", "1 1", "error: has the sequence 1 after 1; sequences must grow"},
		{"the same in other digits", "", "s", "1 01", "error: has the sequence 01 after 1; sequences must grow"},
		{"backwards", "", "s", "10 9", "error: has the sequence 9 after 10; sequences must grow"},
		{"backwards below the checkpoint", "s 20", "s", "10 9", "error: has the sequence 9 after 10; sequences must grow"},
		{"no sequence", "", "s", "''", `error: has the sequence ""; it must be a decimal number`},
		{"letters", "", "s", "1 2a", `error: has the sequence "2a"; it must be a decimal number`},
		{"a sign", "", "s", "-1", `error: has the sequence "-1"; it must be a decimal number`},
		{"digits around", "", "s", "1.0", `error: has the sequence "1.0"; it must be a decimal number`},
	} {
		var checkpoint Checkpoint
		if source, sequence, found := strings.Cut(c.checkpoint, " "); found {
			checkpoint = Checkpoint{Source: source, Sequence: sequence}
		}
		var records []Record
		for s := range strings.FieldsSeq(c.records) {
			records = append(records, Record{Sequence: strings.Trim(s, "'")})
		}
		rest, err := checkpoint.After(c.source, records)
		if want, failed := strings.CutPrefix(c.want, "error: "); failed {
			if rest != nil || problem.CodeOf(err) != problem.Internal || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, %v, want an error with %q", c.name, rest, err, want)
			}
			continue
		}
		var got []string
		for _, r := range rest {
			got = append(got, r.Sequence)
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, %v, want %s", c.name, got, err, c.want)
		}
	}
}

// Only records of a source advance the checkpoint.
func TestAdvanced(t *testing.T) {
	at := Checkpoint{Source: "s", Sequence: "5"}
	records := []Record{{Sequence: "6"}, {Sequence: "8"}}
	for _, c := range []struct {
		source  string
		records []Record
		want    Checkpoint
	}{
		{"s", records, Checkpoint{Source: "s", Sequence: "8"}},
		{"other", records, Checkpoint{Source: "other", Sequence: "8"}},
		{"", records, at},
		{"s", nil, at},
	} {
		if got := at.Advanced(c.source, c.records); got != c.want {
			t.Errorf("by %d records of %q to %+v, want %+v", len(c.records), c.source, got, c.want)
		}
	}
}

func TestSequencesCompareAsNumbers(t *testing.T) {
	digits := rapid.StringMatching(`0{0,3}[0-9]{1,60}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := digits.Draw(t, "a"), digits.Draw(t, "b")
		x, _ := new(big.Int).SetString(a, 10)
		y, _ := new(big.Int).SetString(b, 10)
		got := CompareSequences(a, b)
		if want := x.Cmp(y); max(-1, min(got, 1)) != want {
			t.Errorf("%s and %s: got %d, want %d", a, b, got, want)
		}
	})
}

// FuzzAfter: After returns a suffix of the records, and nothing once these are
// appended.
func FuzzAfter(f *testing.F) {
	f.Add("stream", "10", "stream", "9", "11")
	f.Add("stream", "10", "", "", "")
	f.Add("", "", "stream", "1", "x")
	f.Fuzz(func(t *testing.T, marked, sequence, source, first, second string) {
		checkpoint, records := Checkpoint{marked, sequence}, []Record{{Sequence: first}, {Sequence: second}}
		rest, err := checkpoint.After(source, records)
		if err != nil {
			return
		}
		if diff := cmp.Diff(records[2-len(rest):], rest, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("not a suffix of the records (-want +got):\n%s", diff)
		}
		if again, err := checkpoint.Advanced(source, rest).After(source, records); source != "" && (err != nil || len(again) > 0) {
			t.Errorf("%d records are left, %v", len(again), err)
		}
	})
}
