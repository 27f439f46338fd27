package scenario

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

var exporting = []scenario{
	{"files in a bucket", files},
	{"files are stopped, moved and started", filesMoved},
	{"a bucket that is missing, and keys that are wrong", filesFailing},
	{"a replay into a bucket", filesReplayed},
}

// bucket is a bucket of the scenario's own.
type bucket struct {
	t      *testing.T
	env    *Env
	name   string
	client *s3.Client
}

func newBucket(t *testing.T, env *Env) *bucket {
	b := &bucket{t: t, env: env, name: "b-" + strings.ToLower(rand.Text()[:16])}
	b.client = s3.New(s3.Options{
		BaseEndpoint: &env.S3.Endpoint, Region: env.S3.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(env.S3.AccessKeyID, env.S3.SecretAccessKey, ""),
		HTTPClient:  httpClient,
	})
	return b
}

func (b *bucket) create() *bucket {
	b.t.Helper()
	if _, err := b.client.CreateBucket(b.t.Context(), &s3.CreateBucketInput{Bucket: &b.name}); err != nil {
		b.t.Fatal(err)
	}
	return b
}

// bucketFields are the s3_parameters of a bucket.
func (e *Env) bucketFields(name, prefix string) object {
	fields := object{
		"aws_access_key_id": e.S3.AccessKeyID, "aws_secret_access_key": e.S3.SecretAccessKey,
		"aws_region": e.S3.Region, "bucket": name, "endpoint": e.S3.Endpoint,
	}
	if prefix != "" {
		fields["key_prefix"] = prefix
	}
	return fields
}

func (b *bucket) fields(prefix string) object {
	return object{"s3_parameters": b.env.bucketFields(b.name, prefix)}
}

// file is a file in a bucket.
type file struct {
	key     string
	content []byte
}

// files are those under a prefix, by key. None are empty.
func (b *bucket) files(prefix string) []file {
	b.t.Helper()
	var list []file
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(b.t.Context())
		if err != nil {
			b.t.Fatal(err)
		}
		for _, o := range page.Contents {
			list = append(list, file{*o.Key, b.read(b.t.Context(), *o.Key)})
		}
	}
	return list
}

func (b *bucket) read(ctx context.Context, key string) []byte {
	b.t.Helper()
	o, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = o.Body.Close() }()
	content, err := io.ReadAll(o.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return content
}

// lines are those of files, by the id of the event on them. Every line ends
// with a newline, and no file is empty.
func (b *bucket) lines(prefix string) map[string]string {
	b.t.Helper()
	lines := map[string]string{}
	for _, f := range b.files(prefix) {
		if len(f.content) == 0 || f.content[len(f.content)-1] != '\n' {
			b.t.Errorf("%s is empty or has no newline at its end: %.100q", f.key, f.content)
		}
		for line := range bytes.Lines(f.content) {
			text := strings.TrimSuffix(string(line), "\n")
			id := idOf.FindStringSubmatch(text)
			if id == nil {
				b.t.Fatalf("%s has the line %q", f.key, text)
			}
			lines[id[1]] = text
		}
	}
	return lines
}

var idOf = regexp.MustCompile(`"id":"([0-9a-f-]{36})"`)

// has waits until the files under a prefix have the events.
func (b *bucket) has(prefix string, ids []string) {
	b.t.Helper()
	b.env.eventually(b.t, func() string {
		return fmt.Sprintf("%d events are in files; missing are %d", len(ids), len(missing(ids, b.ids(prefix))))
	}, func() bool { return len(missing(ids, b.ids(prefix))) == 0 })
}

// ids are those of the events in the files under a prefix.
func (b *bucket) ids(prefix string) []string {
	b.t.Helper()
	return slices.Collect(maps.Keys(b.lines(prefix)))
}

// hasOnly is has, and fails if there are others.
func (b *bucket) hasOnly(prefix string, ids []string) {
	b.t.Helper()
	b.has(prefix, ids)
	wantSame(b.t, ids, b.ids(prefix))
}

var keyName = regexp.MustCompile(`^(\d{13})-data-[A-Za-z0-9]{8,}\.export$`)

func files(t *testing.T, env *Env) {
	c := newTenant(t, env)
	all := c.witness()
	b := newBucket(t, env).create()
	began := time.Now()
	d := c.register("prefixed", b.fields("//in/events//"))
	if d.S3["key_prefix"] != "in/events" || d.S3["aws_secret_access_key"] != masked(env.S3.SecretAccessKey) || d.S3["bucket"] != b.name {
		t.Errorf("the response to the registration has %v", d.S3)
	}
	c.register("bare", merged(b.fields(""), object{"filter_conditions": object{"entity_filter": []string{"return"}}}))
	orders, returns := c.publish("order.created", 40), c.publish("return.created", 10)
	prefixed, bare := "in/events/"+c.name+"/", c.name+"/"
	b.hasOnly(prefixed, slices.Concat(orders, returns))
	b.hasOnly(bare, returns)
	more := c.publish("order.created", 3)
	b.hasOnly(prefixed, slices.Concat(orders, returns, more))
	b.hasOnly(bare, returns)

	for id, line := range b.lines(prefixed) {
		if body := string(all.find(id).body); line != body {
			t.Errorf("a line of a file is %s, and the body of the call %s", line, body)
		}
	}
	for _, f := range b.files("") {
		name, under := strings.CutPrefix(f.key, prefixed)
		if !under {
			name = strings.TrimPrefix(f.key, bare)
		}
		parts := keyName.FindStringSubmatch(name)
		if parts == nil {
			t.Errorf("a file is named %s", f.key)
			continue
		}
		ms, _ := strconv.ParseInt(parts[1], 10, 64)
		if at := time.UnixMilli(ms); at.Before(began.Add(-time.Minute)) || at.After(time.Now().Add(time.Minute)) {
			t.Errorf("%s says it is of %v", f.key, at)
		}
	}
	c.wantActions("prefixed", "integration_created", "integration_started")
	if rejected := c.rejected("prefixed"); len(rejected) > 0 {
		t.Errorf("rejected: %v", rejected)
	}

	// Files have a largest size.
	if most := env.Settings.S3FileBytes; most <= 1<<20 {
		events := make([]object, 12)
		for i := range events {
			events[i] = object{"name": "order.created", "payload": object{"text": strings.Repeat("x", int(most/4))}}
		}
		b.has(prefixed, c.send(object{"events": events}))
		for _, f := range b.files("") {
			if int64(len(f.content)) > most {
				t.Errorf("%s has %d bytes, more than %d", f.key, len(f.content), most)
			}
		}
	}
}

// filesMoved stops an export, changes its prefix and starts it again. Another
// export shows that nothing was written meanwhile.
func filesMoved(t *testing.T, env *Env) {
	c := newTenant(t, env)
	b := newBucket(t, env).create()
	c.register("other", b.fields("other"))
	c.register("moved", b.fields("first"))
	early := c.publish("order.created", 5)
	b.has("first/", early)
	c.stop("moved")
	before := len(b.files("first/"))
	held := c.publish("order.created", 5)
	b.has("other/", held)
	if now := len(b.files("first/")); now != before {
		t.Errorf("there were %d files when it was stopped, and now %d", before, now)
	}
	c.call("PATCH", path("moved"), object{"s3_parameters": object{"key_prefix": "second"}}).ok(200)
	c.call("PATCH", path("moved"), callback("http://127.0.0.1:9/")).fails(400, "invalid_request", "callback_parameters")
	c.start("moved")
	b.has("second/", held)
	// What a stop finds half done can come again, and nothing else.
	wantSame(t, slices.Concat(early, held), slices.Concat(early, b.ids("second/")))
	b.hasOnly("first/", early)
	b.hasOnly("other/", slices.Concat(early, held))
}

func filesFailing(t *testing.T, env *Env) {
	c := newTenant(t, env)
	b := newBucket(t, env)
	c.register("early", b.fields("early"))
	wrong := b.fields("wrong")
	wrong["s3_parameters"].(object)["aws_access_key_id"] = "AKIAWRONG"
	wrong["s3_parameters"].(object)["aws_secret_access_key"] = env.secret("wrong-", 40)
	all := c.witness()
	ids := c.publish("order.created", 20)
	all.has(ids) // they are in the log, so an integration registered now does not get them
	c.register("wrong", wrong)
	ids2 := c.publish("order.created", 5)
	failed := func(id string, words ...string) {
		t.Helper()
		env.eventually(t, label(id+" has retries in its log"), func() bool { return len(c.reasons(id, "retry_triggered")) >= 2 })
		reason := c.reasons(id, "retry_triggered")[0]
		for _, word := range words {
			if !strings.Contains(reason, word) {
				t.Errorf("the reason %q does not say %q", reason, word)
			}
		}
	}
	failed("early", b.name, "NoSuchBucket", "HTTP status code 404")
	failed("wrong", b.name, "HTTP status code 403", "aws_access_key_id")
	b.create()
	b.hasOnly("early/", slices.Concat(ids, ids2))

	c.stop("wrong")
	c.call("PATCH", path("wrong"), object{"s3_parameters": object{
		"aws_access_key_id": env.S3.AccessKeyID, "aws_secret_access_key": env.S3.SecretAccessKey,
	}}).ok(200)
	c.start("wrong")
	b.hasOnly("wrong/", ids2)
}

func filesReplayed(t *testing.T, env *Env) {
	c := newTenant(t, env)
	all := c.witness()
	b := newBucket(t, env).create()
	from := time.Now()
	ids := c.publish("order.created", 100)
	all.has(ids)
	until := time.Now()
	env.past(t, until)
	all.has(c.publish("order.created", 1))
	c.register("replay", merged(b.fields("replay"), object{"integration_type": "temporary", "starts_at": utc(from), "ends_at": utc(until)}))
	c.untilStopped("replay")
	b.hasOnly("replay/", ids)
	if n := len(b.files("replay/")); n > env.Settings.Lanes {
		t.Errorf("%d files, want one a lane", n)
	}
	c.call("POST", path("replay", "/_start"), nil).fails(400, "replay_finished")
}
