package streampoller_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever the function answers, no record is forgotten: each is settled in the
// end, and a batch is sent once or twice.
func FuzzResponse(f *testing.F) {
	for _, seed := range []string{
		"", "null", "{}", `{"batchItemFailures":[]}`, `{"batchItemFailures":[{"itemIdentifier":"49"}]}`,
		`{"batchItemFailures":[null]}`, `{"batchItemFailures":{}}`, `[{}]`, "fail b", "{\"batchItemFailures\":[{}", "\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, response string) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, reply{result: response})
			r.options.ReportBatchItemFailures = true
			p := r.run(time.Minute, "a", "b")
			if s := p.Stats(); s.Settled != 2 || s.Invocations > 2 || !strings.HasSuffix(r.got[len(r.got)-1], "b") {
				t.Errorf("%q: %+v, %q", response, s, r.got)
			}
		})
	})
}
