package eventlog

import (
	"math/big"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/internal/event"
)

// However a stream is cut, and wherever a batch starts over, what is appended
// is the stream.
func TestAnyCutsOfAStream(t *testing.T) {
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
		var mark Mark
		var got []string
		for done := 0; done < len(all); {
			from := rapid.IntRange(0, done).Draw(t, "from")
			to := rapid.IntRange(from+1, len(all)).Draw(t, "to")
			rest, err := mark.After("stream", all[from:to])
			if err != nil {
				t.Fatal(err)
			}
			mark = mark.Moved("stream", rest)
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

// FuzzAfter: what is after a mark is the end of what was given, and once it is
// appended nothing of it is left.
func FuzzAfter(f *testing.F) {
	f.Add("stream", "10", "stream", "9", "11")
	f.Add("stream", "10", "", "", "")
	f.Add("", "", "stream", "1", "x")
	f.Fuzz(func(t *testing.T, marked, sequence, source, first, second string) {
		mark, records := Mark{marked, sequence}, []Record{{Sequence: first}, {Sequence: second}}
		rest, err := mark.After(source, records)
		if err != nil {
			return
		}
		if diff := cmp.Diff(records[2-len(rest):], rest, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("not the end of what was given (-want +got):\n%s", diff)
		}
		if again, err := mark.Moved(source, rest).After(source, records); source != "" && (err != nil || len(again) > 0) {
			t.Errorf("%d records are left, %v", len(again), err)
		}
	})
}
