package integration_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
)

var now = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// hidden is part of every secret here: no message may contain it.
const hidden = "H1dden"

func signing(n int) secret.String {
	return secret.NewString("whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)))
}

func webhookSpec() *integration.Spec {
	return &integration.Spec{
		ID: "orders", Type: integration.Permanent,
		Webhook: &integration.WebhookSpec{
			URL:           "https://example.com/hook?x=1",
			APIKey:        secret.NewString("key-" + hidden),
			SigningSecret: signing(32),
		},
	}
}

func s3Spec() *integration.Spec {
	return &integration.Spec{
		ID: "export", Type: integration.Permanent,
		S3: &integration.S3Spec{
			AccessKeyID:     "AKIAEXAMPLE",
			SecretAccessKey: secret.NewString("secret/" + hidden),
			Region:          "eu-central-1",
			Bucket:          "my.bucket-1",
		},
	}
}

func replaySpec() *integration.Spec {
	s := webhookSpec()
	s.Type = integration.Temporary
	s.StartsAt, s.EndsAt = now.Add(-time.Hour), now.Add(time.Hour)
	return s
}

func many(n int) []string { return slices.Repeat([]string{"order.created"}, n) }

func TestValidateAccepts(t *testing.T) {
	for name, s := range map[string]*integration.Spec{
		"webhook": webhookSpec(), "s3": s3Spec(), "replay": replaySpec(),
		"bare webhook":            with(webhookSpec(), func(s *integration.Spec) { s.Webhook = &integration.WebhookSpec{URL: "http://h"} }),
		"longest id":              with(webhookSpec(), func(s *integration.Spec) { s.ID = strings.Repeat("a", 50) }),
		"id of one":               with(webhookSpec(), func(s *integration.Spec) { s.ID = "-" }),
		"starts now":              with(webhookSpec(), func(s *integration.Spec) { s.StartsAt = now }),
		"starts long ago":         with(webhookSpec(), func(s *integration.Spec) { s.StartsAt = now.AddDate(-20, 0, 0) }),
		"replay of the past":      with(replaySpec(), func(s *integration.Spec) { s.EndsAt = s.StartsAt.Add(time.Millisecond) }),
		"longest url":             with(webhookSpec(), func(s *integration.Spec) { s.Webhook.URL = "https://h/" + strings.Repeat("ü", 2038) }),
		"upper case scheme":       with(webhookSpec(), func(s *integration.Spec) { s.Webhook.URL = "HTTPS://EXAMPLE.com" }),
		"blank in the query":      with(webhookSpec(), func(s *integration.Spec) { s.Webhook.URL = "https://example.com/hook?team=sales emea" }),
		"letters in the path":     with(webhookSpec(), func(s *integration.Spec) { s.Webhook.URL = "https://example.com/café/日本" }),
		"bare percent signs":      with(webhookSpec(), func(s *integration.Spec) { s.Webhook.URL = "https://example.com/100%/%zz?p=5%" }),
		"braces and bars":         with(webhookSpec(), func(s *integration.Spec) { s.Webhook.URL = "https://example.com/{a}?q={b|c}[]^" }),
		"backslash in the query":  with(webhookSpec(), func(s *integration.Spec) { s.Webhook.URL = `https://example.com/?q=a\b` }),
		"host in upper case":      with(webhookSpec(), func(s *integration.Spec) { s.Webhook.URL = "https://Example.COM/" }),
		"host with a dot at end":  with(webhookSpec(), func(s *integration.Spec) { s.Webhook.URL = "https://example.com.:8443/" }),
		"host in its xn-- form":   with(webhookSpec(), func(s *integration.Spec) { s.Webhook.URL = "https://xn--mnchen-3ya.example/" }),
		"api key of punctuation":  with(webhookSpec(), func(s *integration.Spec) { s.Webhook.APIKey = secret.NewString(`7|aB~!{}"\=`) }),
		"ipv6 and port":           with(webhookSpec(), func(s *integration.Spec) { s.Webhook.URL = "https://[2001:db8::1]:8443/x" }),
		"shortest signing secret": with(webhookSpec(), func(s *integration.Spec) { s.Webhook.SigningSecret = signing(24) }),
		"longest signing secret":  with(webhookSpec(), func(s *integration.Spec) { s.Webhook.SigningSecret = signing(64) }),
		"api key with spaces":     with(webhookSpec(), func(s *integration.Spec) { s.Webhook.APIKey = secret.NewString("a b") }),
		"100 names":               with(webhookSpec(), func(s *integration.Spec) { s.Filter.Names = many(100) }),
		"both filters":            with(webhookSpec(), func(s *integration.Spec) { s.Filter.Names, s.Filter.Entities = many(1), []string{"refund_request"} }),
		"endpoint":                with(s3Spec(), func(s *integration.Spec) { s.S3.Endpoint = "http://minio.example.com:9000/base" }),
		"region auto":             with(s3Spec(), func(s *integration.Spec) { s.S3.Region = "auto" }),
		"region of another store": with(s3Spec(), func(s *integration.Spec) { s.S3.Region, s.S3.Endpoint = "RegionOne", "https://swift.example.com" }),
		"secret outside ASCII":    with(s3Spec(), func(s *integration.Spec) { s.S3.SecretAccessKey = secret.NewString("clé") }),
		"docs' example bucket":    with(s3Spec(), func(s *integration.Spec) { s.S3.Bucket = "amzn-s3-demo-bucket" }),
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.Validate(now); err != nil {
				t.Error(err)
			}
		})
	}
}

// The longest, shortest and last value that each field accepts; the tests below
// check that one more is rejected.
func TestValidateAcceptsTheBounds(t *testing.T) {
	for name, s := range map[string]*integration.Spec{
		"id of the last letters and digits": with(webhookSpec(), func(s *integration.Spec) { s.ID = "az-09" }),
		"lowest port":                       with(webhookSpec(), func(s *integration.Spec) { s.Webhook.URL = "https://h:1/" }),
		"highest port":                      with(webhookSpec(), func(s *integration.Spec) { s.Webhook.URL = "https://h:65535/" }),
		"longest api key":                   with(webhookSpec(), func(s *integration.Spec) { s.Webhook.APIKey = secret.NewString(strings.Repeat("a", 4096)) }),
		"longest access key id":             with(s3Spec(), func(s *integration.Spec) { s.S3.AccessKeyID = strings.Repeat("a", 128) }),
		"first and last visible ASCII":      with(s3Spec(), func(s *integration.Spec) { s.S3.AccessKeyID = "!~" }),
		"longest secret access key":         with(s3Spec(), func(s *integration.Spec) { s.S3.SecretAccessKey = secret.NewString(strings.Repeat("a", 1024)) }),
		"longest region":                    with(s3Spec(), func(s *integration.Spec) { s.S3.Region = strings.Repeat("a", 64) }),
		"shortest bucket":                   with(s3Spec(), func(s *integration.Spec) { s.S3.Bucket = "a09" }),
		"longest bucket":                    with(s3Spec(), func(s *integration.Spec) { s.S3.Bucket = strings.Repeat("a", 63) }),
		"longest key prefix":                with(s3Spec(), func(s *integration.Spec) { s.S3.KeyPrefix = strings.Repeat("a", 512) }),
	} {
		if err := s.Validate(now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A message quotes at most 100 characters of an invalid value.
func TestMessagesAreTruncated(t *testing.T) {
	for _, c := range []struct{ name, shown string }{
		{strings.Repeat("Ü", 100), strings.Repeat("Ü", 100)},
		{strings.Repeat("Ü", 101), strings.Repeat("Ü", 100) + "…"},
	} {
		s := webhookSpec()
		s.Filter.Names = []string{c.name}
		if got := problem.MessageOf(s.Validate(now)); !strings.HasPrefix(got, `filter_conditions.event_filter[0] is "`+c.shown+`"; `) {
			t.Errorf("of %d characters: %s", len([]rune(c.name)), got)
		}
	}
}

func with(s *integration.Spec, change func(*integration.Spec)) *integration.Spec {
	change(s)
	return s
}

func TestValidateNormalises(t *testing.T) {
	s := s3Spec()
	s.S3.KeyPrefix = "//a/b//"
	s.StartsAt = now.Add(-time.Hour + 1500*time.Microsecond).In(time.FixedZone("", 3600))
	if err := s.Validate(now); err != nil {
		t.Fatal(err)
	}
	if s.S3.KeyPrefix != "a/b" {
		t.Errorf("key prefix is %q", s.S3.KeyPrefix)
	}
	if want := now.Add(-time.Hour + time.Millisecond); s.StartsAt != want {
		t.Errorf("starts_at is %v, want %v", s.StartsAt, want)
	}
	s.S3.KeyPrefix = "///"
	if err := s.Validate(now); err != nil || s.S3.KeyPrefix != "" {
		t.Errorf("key prefix of slashes alone became %q, %v", s.S3.KeyPrefix, err)
	}
}

type refusal struct {
	name, field string // the message must begin with this field
	change      func(*integration.Spec)
}

func TestValidateRefuses(t *testing.T) {
	check(t, webhookSpec, []refusal{
		{"no id", "id is missing", func(s *integration.Spec) { s.ID = "" }},
		{"long id", "id ", func(s *integration.Spec) { s.ID = strings.Repeat("a", 51) }},
		{"upper case id", `id is "Orders"`, func(s *integration.Spec) { s.ID = "Orders" }},
		{"id with newline", "id has a control character (U+000A) at position 2; remove it.", func(s *integration.Spec) { s.ID = "a\n" }},
		{"no type", "integration_type is missing", func(s *integration.Spec) { s.Type = "" }},
		{"other type", `integration_type is "forever"`, func(s *integration.Spec) { s.Type = "forever" }},
		{"starts later", "starts_at is \"2025-06-01T12:00:00.001Z\"", func(s *integration.Spec) { s.StartsAt = now.Add(time.Millisecond) }},
		{"starts before 1970", "starts_at ", func(s *integration.Spec) { s.StartsAt = time.Unix(-1, 0) }},
		{"permanent with end", "ends_at ", func(s *integration.Spec) { s.EndsAt = now.Add(time.Hour) }},
		{"two targets", "callback_parameters and s3_parameters are both given", func(s *integration.Spec) { s.S3 = s3Spec().S3 }},
		{"no target", "callback_parameters and s3_parameters are both missing", func(s *integration.Spec) { s.Webhook = nil }},
		{"no names", "filter_conditions.event_filter is empty", func(s *integration.Spec) { s.Filter.Names = []string{} }},
		{"no entities", "filter_conditions.entity_filter is empty", func(s *integration.Spec) { s.Filter.Entities = []string{} }},
		{"101 names", "filter_conditions.event_filter has 101", func(s *integration.Spec) { s.Filter.Names = many(101) }},
		{"bad name", `filter_conditions.event_filter[1] is "order"`, func(s *integration.Spec) { s.Filter.Names = []string{"order.created", "order"} }},
		{"bad entity", `filter_conditions.entity_filter[0] is "order.created"`, func(s *integration.Spec) { s.Filter.Entities = []string{"order.created"} }},
	})
	check(t, replaySpec, []refusal{
		{"replay without start", "starts_at is missing", func(s *integration.Spec) { s.StartsAt = time.Time{} }},
		{"replay without end", "ends_at is missing", func(s *integration.Spec) { s.EndsAt = time.Time{} }},
		{"ends as it starts", "ends_at ", func(s *integration.Spec) { s.EndsAt = s.StartsAt }},
		{"ends within the same millisecond", "ends_at ", func(s *integration.Spec) { s.EndsAt = s.StartsAt.Add(time.Microsecond) }},
		{"never ends", "ends_at ", func(s *integration.Spec) { s.EndsAt = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC) }},
	})
}

func TestValidateRefusesWebhook(t *testing.T) {
	var cases []refusal
	for _, url := range []string{
		"", "example.com/x", "/x", "ftp://example.com", "https://", "https:///x", "http:opaque", "https://:443/",
		"https://ex ample.com", "https://h/\n", "https://h/\x7f", "https://h/\u0085", "https://h/\xff", " https://h", "https://h:0/", "https://h:99999/", "https://[::1",
		"https://h/#a", "https://h/?token=" + hidden + "#a", `https://h\x`, `https://h/a\b`, `https:\\h\x`,
		"https://h.example|x/", "https://@h/",
		"https://user:" + hidden + "@h/", "https://user:%zz" + hidden + "@h/", "ftp://h/?token=" + hidden,
		"https://h/" + strings.Repeat("a", 2039),
	} {
		cases = append(cases, refusal{fmt.Sprintf("url %.40q", url), "callback_parameters.callback_url ", func(s *integration.Spec) { s.Webhook.URL = url }})
	}
	for _, key := range []string{hidden + "\r\nX-Evil: 1", hidden + "\n", hidden + "\x00", " " + hidden, hidden + " ", hidden + "é", hidden + "\u200b", "\ufeff" + hidden, hidden + "\u00a0x", hidden + "\t" + hidden, "“" + hidden + "”", hidden + "\x7f", hidden + "\xff", strings.Repeat("a", 4097), "********" + hidden, "********"} {
		cases = append(cases, refusal{fmt.Sprintf("api key %.40q", key), "callback_parameters.api_key ", func(s *integration.Spec) { s.Webhook.APIKey = secret.NewString(key) }})
	}
	for _, text := range []string{
		hidden, "whsec_", "whsec_" + hidden, signing(23).Reveal(), signing(65).Reveal(), "********" + hidden,
		strings.TrimPrefix(signing(32).Reveal(), "whsec_"), "WHSEC_" + signing(32).Reveal()[6:],
		signing(24).Reveal() + "\n", strings.TrimRight(signing(32).Reveal(), "="), strings.Replace(signing(32).Reveal(), "A=", "B=", 1),
		"whsec_" + strings.Repeat("-_", 16),
	} {
		cases = append(cases, refusal{fmt.Sprintf("signing secret %.40q", text), "callback_parameters.signing_secret ", func(s *integration.Spec) { s.Webhook.SigningSecret = secret.NewString(text) }})
	}
	check(t, webhookSpec, cases)
}

func TestValidateRefusesS3(t *testing.T) {
	var cases []refusal
	add := func(field string, set func(*integration.S3Spec, string), values ...string) {
		for _, v := range values {
			cases = append(cases, refusal{fmt.Sprintf("%s %.40q", field, v), "s3_parameters." + field + " ", func(s *integration.Spec) { set(s.S3, v) }})
		}
	}
	add("aws_access_key_id", func(p *integration.S3Spec, v string) { p.AccessKeyID = v }, "", "a b", "a/b", "a,b", "a=b", "a\n", "ü", strings.Repeat("a", 129))
	add("aws_secret_access_key", func(p *integration.S3Spec, v string) { p.SecretAccessKey = secret.NewString(v) }, "", hidden+"\n", hidden+"\u200b", " "+hidden, "********", strings.Repeat("a", 1025))
	add("aws_region", func(p *integration.S3Spec, v string) { p.Region = v }, "", "EU", "eu_central", "eu.central", strings.Repeat("a", 65))
	add("bucket", func(p *integration.S3Spec, v string) { p.Bucket = v },
		"", "ab", strings.Repeat("a", 64), "Upper", "under_score", "-ab", "ab-", ".ab", "ab.", "a..b", "a.-b", "a-.b", "192.168.0.1", "a/b", "bücket")
	add("key_prefix", func(p *integration.S3Spec, v string) { p.KeyPrefix = v }, "a\nb", "a\x00", "\xff", " a", "a ", "/ a/", "a/\u00a0b", "../a", "a/./b", strings.Repeat("a", 513))
	add("endpoint", func(p *integration.S3Spec, v string) { p.Endpoint = v }, "minio:9000", "s3://x", "https://u:"+hidden+"@h", "https://h?x="+hidden, "https://h/#x", "https://h:70000", "https://h/100%", "https://h ", `https://h/a\b`)
	add("aws_region", func(p *integration.S3Spec, v string) { p.Region, p.Endpoint = v, "https://swift.example.com" }, "Region One", "Region_One", "Régïon", strings.Repeat("A", 65))
	check(t, s3Spec, cases)
}

// A key that was copied with its header, or that no header can have, is refused with the
// reason: receivers would get another one, or none.
func TestAPIKeyThatReceiversWouldNotGetIsRefused(t *testing.T) {
	for key, want := range map[string]string{
		"Bearer " + hidden:                "begins with \"Bearer\", which would be there twice",
		"bearer  " + hidden:               "begins with \"Bearer\"",
		"BEARER":                          "begins with \"Bearer\"",
		"Authorization: Bearer " + hidden: "begins with \"Authorization:\"",
		hidden + "é":                      "has a character outside ASCII at position",
		"“" + hidden + "”":                "has a character outside ASCII at position 1",
	} {
		s := webhookSpec()
		s.Webhook.APIKey = secret.NewString(key)
		err := s.Validate(now)
		if problem.CodeOf(err) != problem.InvalidRequest || !strings.Contains(problem.MessageOf(err), "callback_parameters.api_key "+want) || strings.Contains(err.Error(), hidden) {
			t.Errorf("%.40q: %v, want %q", key, err, want)
		}
	}
	for _, key := range []string{"Bearer-" + hidden, "bearerx " + hidden, "my Bearer " + hidden} {
		s := webhookSpec()
		s.Webhook.APIKey = secret.NewString(key)
		if err := s.Validate(now); err != nil {
			t.Errorf("%q: %v", key, err)
		}
	}
}

// Every text field rejects every kind of invisible character, names it and its
// position, and never quotes a secret.
func TestValidateRefusesInvisibleText(t *testing.T) {
	fields := map[string]struct {
		base func() *integration.Spec
		set  func(*integration.Spec, string)
		good string
	}{
		"id":                                  {webhookSpec, func(s *integration.Spec, v string) { s.ID = v }, "orders"},
		"integration_type":                    {webhookSpec, func(s *integration.Spec, v string) { s.Type = integration.Type(v) }, "permanent"},
		"callback_parameters.callback_url":    {webhookSpec, func(s *integration.Spec, v string) { s.Webhook.URL = v }, "https://example.com/hook"},
		"callback_parameters.api_key":         {webhookSpec, func(s *integration.Spec, v string) { s.Webhook.APIKey = secret.NewString(v) }, hidden + "-key"},
		"callback_parameters.signing_secret":  {webhookSpec, func(s *integration.Spec, v string) { s.Webhook.SigningSecret = secret.NewString(v) }, signing(32).Reveal()},
		"s3_parameters.aws_access_key_id":     {s3Spec, func(s *integration.Spec, v string) { s.S3.AccessKeyID = v }, "AKIAEXAMPLE"},
		"s3_parameters.aws_secret_access_key": {s3Spec, func(s *integration.Spec, v string) { s.S3.SecretAccessKey = secret.NewString(v) }, hidden + "-secret"},
		"s3_parameters.aws_region":            {s3Spec, func(s *integration.Spec, v string) { s.S3.Region = v }, "eu-central-1"},
		"s3_parameters.bucket":                {s3Spec, func(s *integration.Spec, v string) { s.S3.Bucket = v }, "my-bucket"},
		"s3_parameters.key_prefix":            {s3Spec, func(s *integration.Spec, v string) { s.S3.KeyPrefix = v }, "prefix"},
		"s3_parameters.endpoint":              {s3Spec, func(s *integration.Spec, v string) { s.S3.Endpoint = v }, "https://s3.example.com"},
		"filter_conditions.event_filter[0]":   {webhookSpec, func(s *integration.Spec, v string) { s.Filter.Names = []string{v} }, "order.created"},
		"filter_conditions.entity_filter[0]":  {webhookSpec, func(s *integration.Spec, v string) { s.Filter.Entities = []string{v} }, "order"},
	}
	for field, f := range fields {
		for bad, want := range map[string]string{
			"\u200b" + f.good:                  "has an invisible character (U+200B) at position 1; remove it.",
			f.good[:3] + "\u202e" + f.good[3:]: "has an invisible character (U+202E) at position 4; remove it.",
			f.good[:3] + "\u00ad" + f.good[3:]: "has an invisible character (U+00AD) at position 4; remove it.",
			f.good[:3] + "\u00a0" + f.good[3:]: "has a special space (U+00A0) at position 4; remove it, or write a plain space.",
			f.good[:3] + "\u0000" + f.good[3:]: "has a control character (U+0000) at position 4; remove it.",
			f.good[:3] + "\u0085" + f.good[3:]: "has a control character (U+0085) at position 4; remove it.",
			f.good[:3] + "\x7f" + f.good[3:]:   "has a control character (U+007F) at position 4; remove it.",
			f.good[:3] + "\xff" + f.good[3:]:   "has a byte (0xFF) at position 4 that is not UTF-8; send it in UTF-8.",
			f.good[:3] + "\ufffd" + f.good[3:]: "has a replacement character (U+FFFD) at position 4; it replaces a character that was lost; enter that again.",
			" " + f.good:                       "begins with a space; remove it.",
			f.good + " ":                       "ends with a space; remove it.",
		} {
			s := f.base()
			f.set(s, bad)
			err := s.Validate(now)
			if problem.CodeOf(err) != problem.InvalidRequest || problem.MessageOf(err) != field+" "+want {
				t.Errorf("%s of %q: %v, want %q", field, bad, err, field+" "+want)
			}
		}
		s := f.base()
		f.set(s, f.good)
		if err := s.Validate(now); err != nil {
			t.Errorf("%s of %q: %v", field, f.good, err)
		}
	}
}

func check(t *testing.T, base func() *integration.Spec, cases []refusal) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := base()
			c.change(s)
			err := s.Validate(now)
			if problem.CodeOf(err) != problem.InvalidRequest {
				t.Fatalf("got %v, want an InvalidRequest", err)
			}
			message := problem.MessageOf(err)
			if !strings.HasPrefix(message, c.field) {
				t.Errorf("message %q does not begin with %q", message, c.field)
			}
			if strings.Contains(message, hidden) || strings.ContainsAny(message, "\r\n\x00") || len(message) > 500 {
				t.Errorf("message shows too much: %q", message)
			}
		})
	}
}

func FuzzValidate(f *testing.F) {
	f.Add("id", "https://example.com", "key", "whsec_AAAA", "bucket", "prefix", "order.created")
	f.Fuzz(func(t *testing.T, id, url, key, sign, bucket, prefix, name string) {
		w := &integration.Spec{
			ID: id, Type: integration.Permanent, Filter: integration.FilterSpec{Names: []string{name}},
			Webhook: &integration.WebhookSpec{URL: url, APIKey: secret.NewString(key), SigningSecret: secret.NewString(sign)},
		}
		p := &integration.Spec{
			ID: id, Type: integration.Permanent,
			S3: &integration.S3Spec{AccessKeyID: key, SecretAccessKey: secret.NewString(sign), Region: id, Bucket: bucket, KeyPrefix: prefix, Endpoint: url},
		}
		for _, s := range []*integration.Spec{w, p} {
			err := s.Validate(now)
			if err == nil {
				if again := s.Validate(now); again != nil {
					t.Errorf("valid, and then not: %v", again)
				}
				continue
			}
			if problem.CodeOf(err) != problem.InvalidRequest || len(problem.MessageOf(err)) > 1500 {
				t.Errorf("%q", err)
			}
		}
	})
}
