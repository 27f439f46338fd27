package settings

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The table of the contract, in its order.
func TestTableIsTheContract(t *testing.T) {
	want := []string{
		"SLUICE_MAX_INTEGRATIONS=10",
		"SLUICE_RETENTION=720h",
		"SLUICE_TEMPORARY_GRACE=24h",
		"SLUICE_WEBHOOK_TIMEOUT=10s",
		"SLUICE_IN_FLIGHT=16",
		"SLUICE_MAX_CALLS=0",
		"SLUICE_FOLLOW_BUDGET=5s",
		"SLUICE_RETRY_MIN=1s",
		"SLUICE_RETRY_MAX=5m",
		"SLUICE_FAILURE_STOP_AFTER=72h",
		"SLUICE_MAX_REJECTED=30",
		"SLUICE_S3_FILE_INTERVAL=5m",
		"SLUICE_S3_FILE_BYTES=50MiB",
		"SLUICE_MAX_EVENT_BYTES=256KiB",
		"SLUICE_MAX_PUBLISH_BYTES=5MiB",
		"SLUICE_MAX_PUBLISH_EVENTS=1000",
		"SLUICE_MAX_BODY_MEMORY=64MiB",
		"SLUICE_LANES=1",
		"SLUICE_SWEEP_INTERVAL=5m",
		"SLUICE_DELIVERY_RETENTION=168h",
		"SLUICE_TENANT_CLAIM=tenant",
		"SLUICE_REVEAL_SECRETS=false",
		"SLUICE_ALLOW_PRIVATE_TARGETS=false",
		"SLUICE_EGRESS_PROXY=",
		"SLUICE_CA_FILE=",
		"SLUICE_OPERATOR_TENANT=",
		"SLUICE_ALERT_URL=",
		"SLUICE_ALERT_FAILING_AFTER=15m",
		"SLUICE_ALERT_LAG=1h",
		"SLUICE_CONSOLE=true",
		"SLUICE_CONSOLE_ORIGINS=",
		"SLUICE_CONSOLE_NAME=Sluice",
		"SLUICE_CONSOLE_LOGO=",
		"SLUICE_CONSOLE_ACCENT=",
	}
	s := Default()
	var got []string
	for _, row := range s.Table() {
		got = append(got, row.Env()+"="+row.String())
		if row.Key() != strings.ToLower(strings.TrimPrefix(row.Env(), "SLUICE_")) || row.Doc == "" {
			t.Errorf("row %s: key %q, doc %q", row.Env(), row.Key(), row.Doc)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if errs := s.Validate(); len(errs) != 0 {
		t.Errorf("the defaults are not valid: %v", errs)
	}
}

// Each row sets its own field and no other.
func TestEveryRowSetsItsOwnField(t *testing.T) {
	texts := map[string]string{"count": "3", "duration": "3ns", "size": "3", "text": "other"}
	seen := map[string]string{}
	plain := fmt.Sprintf("%+v", Default())
	defaults := Default()
	for i, row := range defaults.Table() {
		s := Default()
		texts["bool"] = map[string]string{"true": "false", "false": "true"}[row.String()]
		if err := s.Table()[i].Set(texts[row.Type()]); err != nil {
			t.Fatal(err)
		}
		changed := fmt.Sprintf("%+v", s)
		if other, taken := seen[changed]; taken || changed == plain {
			t.Errorf("%s does not set its own field (same as %q)", row.Name, other)
		}
		seen[changed] = row.Name
	}
}

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Settings)
		want   string
	}{
		"zero count":        {func(s *Settings) { s.InFlight = 0 }, "SLUICE_IN_FLIGHT is 0; it must be greater than 0"},
		"negative count":    {func(s *Settings) { s.MaxRejected = -1 }, "SLUICE_MAX_REJECTED is -1"},
		"zero duration":     {func(s *Settings) { s.Retention = 0 }, "SLUICE_RETENTION is 0s"},
		"zero size":         {func(s *Settings) { s.S3FileBytes = 0 }, "SLUICE_S3_FILE_BYTES is 0"},
		"too large files":   {func(s *Settings) { s.S3FileBytes = 52_428_800_001 }, "SLUICE_S3_FILE_BYTES is 52428800001; it must be at most 52428800000,"},
		"retry order":       {func(s *Settings) { s.RetryMin = time.Hour }, "SLUICE_RETRY_MAX is 5m0s; it must be at least SLUICE_RETRY_MIN, which is 1h0m0s"},
		"publish order":     {func(s *Settings) { s.MaxEventBytes = 6 << 20 }, "SLUICE_MAX_PUBLISH_BYTES is 5242880; it must be at least"},
		"body memory":       {func(s *Settings) { s.MaxBodyMemory = 23_019_519 }, "SLUICE_MAX_BODY_MEMORY is 23019519; it must be at least 23019520: a tenant gets half"},
		"too many lanes":    {func(s *Settings) { s.Lanes = MaxLanes + 1 }, "SLUICE_LANES is 33; it must be at most 32"},
		"too many rejected": {func(s *Settings) { s.MaxRejected = 10_001 }, "SLUICE_MAX_REJECTED is 10001; it must be at most 10000,"},
		"a single call":     {func(s *Settings) { s.MaxCalls = 1 }, "SLUICE_MAX_CALLS is 1; it must be at least 2,"},
		"no tenant claim":   {func(s *Settings) { s.TenantClaim = "" }, "SLUICE_TENANT_CLAIM is empty"},
	} {
		s := Default()
		c.change(&s)
		errs := s.Validate()
		if len(errs) != 1 || !strings.Contains(errs[0].Error(), c.want) {
			t.Errorf("%s: %v; want one with %q", name, errs, c.want)
		}
	}
	most := Default()
	most.MaxRejected, most.Lanes, most.S3FileBytes, most.MaxBodyMemory = 10_000, 32, 52_428_800_000, 23_019_520
	if errs := most.Validate(); len(errs) > 0 {
		t.Errorf("with the most that can be: %v", errs)
	}
	even := Default()
	even.RetryMin, even.MaxEventBytes = even.RetryMax, even.MaxPublishBytes
	if errs := even.Validate(); len(errs) > 0 {
		t.Errorf("with pairs that are equal: %v", errs)
	}
	var none Settings
	if got := len(none.Validate()); got < 17 {
		t.Errorf("the zero settings have %d problems, want all of them at once", got)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "1023": 1023, "1KiB": 1 << 10, "1 KiB": 1 << 10, "256KiB": 256 << 10, "50MiB": 50 << 20,
		"3GiB": 3 << 30, "4294967296GiB": 1 << 62, "4611686018427387904": 1 << 62,
	} {
		var n int64
		if err := Size("s", "", &n).Set(text); err != nil || n != want {
			t.Errorf("%q = %d, %v; want %d", text, n, err, want)
		}
	}
	for _, text := range []string{
		"", "KiB", "-1", "-1KiB", "-9223372036854775808GiB", "1.5MiB", "50MB", "50mib", "50M", "1KiBKiB", "0x10",
		"4294967297GiB", "4611686018427387905", "9223372036854775808", "1e3",
	} {
		n := int64(77)
		if err := Size("s", "", &n).Set(text); err == nil || n != 77 || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v, value %d; want an error that quotes it, and no change", text, err, n)
		}
	}
}

// Set takes what String returns: Load relies on it.
func TestValuesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bytes := rapid.Int64Range(0, 1<<62).Draw(t, "bytes") >> rapid.IntRange(0, 62).Draw(t, "shift") << rapid.SampledFrom([]int{0, 10, 20, 30}).Draw(t, "unit")
		if bytes < 0 || bytes > maxSize {
			t.Skip("past the largest size")
		}
		span := time.Duration(rapid.Int64().Draw(t, "nanoseconds"))
		unit := rapid.SampledFrom([]time.Duration{1, time.Second, time.Minute, time.Hour}).Draw(t, "per")
		span = span / unit * unit
		var gotBytes int64
		var gotSpan time.Duration
		if err := Size("s", "", &gotBytes).Set(Size("s", "", &bytes).String()); err != nil || gotBytes != bytes {
			t.Errorf("size %d came back as %d, %v", bytes, gotBytes, err)
		}
		if err := Duration("d", "", &gotSpan).Set(Duration("d", "", &span).String()); err != nil || gotSpan != span {
			t.Errorf("duration %v came back as %v, %v", span, gotSpan, err)
		}
	})
}

func TestDurationText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", 10 * time.Second: "10s", time.Minute: "1m", 90 * time.Second: "1m30s",
		10 * time.Minute: "10m", time.Hour: "1h", 720 * time.Hour: "720h", time.Hour + 10*time.Minute: "1h10m",
		time.Hour + time.Second: "1h0m1s", 1500 * time.Millisecond: "1.5s", -time.Hour: "-1h",
	} {
		if got := Duration("d", "", &d).String(); got != want {
			t.Errorf("%v = %q, want %q", d, got, want)
		}
	}
}

func FuzzSize(f *testing.F) {
	for _, seed := range []string{"0", "1KiB", "50 MiB", "-1GiB", "4294967296GiB", "9223372036854775807"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var n, again int64
		row := Size("s", "", &n)
		if row.Set(text) != nil {
			return
		}
		if n < 0 || n > maxSize {
			t.Errorf("%q = %d", text, n)
		}
		if err := Size("s", "", &again).Set(row.String()); err != nil || again != n {
			t.Errorf("%q = %d, came back as %d, %v", text, n, again, err)
		}
	})
}

// Command lines and config files have these names.
func TestNamesOfFlagsAndKeys(t *testing.T) {
	want := []string{
		"--max-integrations max_integrations count",
		"--retention retention duration",
		"--temporary-grace temporary_grace duration",
		"--webhook-timeout webhook_timeout duration",
		"--in-flight in_flight count",
		"--max-calls max_calls count",
		"--follow-budget follow_budget duration",
		"--retry-min retry_min duration",
		"--retry-max retry_max duration",
		"--failure-stop-after failure_stop_after duration",
		"--max-rejected max_rejected count",
		"--s3-file-interval s3_file_interval duration",
		"--s3-file-bytes s3_file_bytes size",
		"--max-event-bytes max_event_bytes size",
		"--max-publish-bytes max_publish_bytes size",
		"--max-publish-events max_publish_events count",
		"--max-body-memory max_body_memory size",
		"--lanes lanes count",
		"--sweep-interval sweep_interval duration",
		"--delivery-retention delivery_retention duration",
		"--tenant-claim tenant_claim text",
		"--reveal-secrets reveal_secrets bool",
		"--allow-private-targets allow_private_targets bool",
		"--egress-proxy egress_proxy text",
		"--ca-file ca_file text",
		"--operator-tenant operator_tenant text",
		"--alert-url alert_url text",
		"--alert-failing-after alert_failing_after duration",
		"--alert-lag alert_lag duration",
		"--console console bool",
		"--console-origins console_origins text",
		"--console-name console_name text",
		"--console-logo console_logo text",
		"--console-accent console_accent text",
	}
	s := Default()
	var got []string
	for _, row := range s.Table() {
		got = append(got, "--"+row.Name+" "+row.Key()+" "+row.Type())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// 0 is a period, for none; less is not.
func TestPeriods(t *testing.T) {
	d := time.Hour
	row := Period("delivery-retention", "", &d)
	for text, want := range map[string]time.Duration{"0": 0, "0s": 0, "1h": time.Hour, "168h": 168 * time.Hour} {
		if err := row.Set(text); err != nil || d != want {
			t.Errorf("%s is %v, %v", text, d, err)
		}
	}
	for _, text := range []string{"-1s", "", "7d"} {
		if err := row.Set(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
	none := Default()
	if none.DeliveryRetention = 0; len(none.Validate()) != 0 {
		t.Errorf("with no deliveries: %v", none.Validate())
	}
}
