// Package deploy deploys template.yaml, the whole of it, by the SAM CLI and by the CDK to
// ministack, an emulator that runs the functions and enforces their roles, and plays the
// scenarios against both deployments. docs/adr/0025-the-template-is-deployed.md says why.
package deploy

import (
	"cmp"
	"flag"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/client"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/test/aws/emulators"
	"github.com/sluicehq/sluice/test/aws/httpfront"
	"github.com/sluicehq/sluice/test/scenario"
)

// account is the emulator's.
const account = "000000000000"

// waitTimeout limits every wait. Only a failure takes that long.
const waitTimeout = 5 * time.Minute

// atOnce is the number of parallel scenarios. They wait more than they compute, but not the
// emulator: with many more on a busy machine its responses exceed the limits of the
// functions, which then respond 503.
const atOnce = "4"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// fast are parameters that make waits short, and the settings that they become.
var fast = []struct{ parameter, setting, value string }{
	{"RetryMin", "SLUICE_RETRY_MIN", "50ms"},
	{"RetryMax", "SLUICE_RETRY_MAX", "500ms"},
	{"WebhookTimeout", "SLUICE_WEBHOOK_TIMEOUT", "10s"},
	{"FollowBudget", "SLUICE_FOLLOW_BUDGET", "3s"},
	{"S3FileInterval", "SLUICE_S3_FILE_INTERVAL", "3s"},
	{"S3FileBytes", "SLUICE_S3_FILE_BYTES", "64KiB"},
	{"SeekMargin", "SLUICE_SEEK_MARGIN", "1s"},
	{"AllowPrivateTargets", "SLUICE_ALLOW_PRIVATE_TARGETS", "true"},
}

// world is an emulator with what stands before and beside it.
type world struct {
	front  *front
	target *url.URL // of the emulator
	aws    services
	issuer *httpfront.Issuer
	s3     scenario.Bucketeer
	log    string // file; "" if the emulator was there before
}

func newWorld(t *testing.T, dir string) *world {
	t.Helper()
	w := &world{front: listen(t)}
	ca := cmp.Or(os.Getenv("SLUICE_DEPLOY_CA"), filepath.Join(dir, "ca.pem"))
	w.issuer = newIssuer(t, ca)
	w.s3, _ = scenario.NewBucketeer(t)
	at := os.Getenv("SLUICE_DEPLOY_ENDPOINT")
	if at == "" {
		w.log = filepath.Join(dir, "ministack.log")
		at = emulators.Ministack{Endpoint: w.front.URL, CAFile: ca, Log: w.log}.Start(t)
	}
	var err error
	if w.target, err = url.Parse(at); err != nil {
		t.Fatal(err)
	}
	w.front.target.Store(w.target)
	w.aws = services{w.front.URL}
	return w
}

// parameters are those of both deployments.
func (w *world) parameters() map[string]string {
	all := map[string]string{
		"Issuer": w.issuer.URL, "Audience": w.issuer.Audience, "StreamMode": "PROVISIONED",
	}
	for _, f := range fast {
		all[f.parameter] = f.value
	}
	return all
}

// env describes the deployment of a stack to the scenarios.
func (w *world) env(t *testing.T, name string, secrets *scenario.Secrets) scenario.Env {
	t.Helper()
	outputs, err := w.aws.outputs(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	id, _, ok := strings.Cut(strings.TrimPrefix(outputs["ApiUrl"], "https://"), ".execute-api.")
	if !ok {
		t.Fatalf("the outputs of %s are %v", name, outputs)
	}
	in := settings.Default()
	if err := settings.LoadEnv(in.Table(), func(name string) (string, bool) {
		for _, f := range fast {
			if f.setting == name {
				return f.value, true
			}
		}
		return "", false
	}); err != nil {
		t.Fatal(err)
	}
	secrets.Add(w.s3.SecretAccessKey)
	return scenario.Env{
		URL: listenAPI(t, w.target, id), Settings: in, Gateway: true, Timeout: waitTimeout,
		Token:  func(tenant string, scopes ...string) string { return w.token(t, secrets, tenant, scopes...) },
		S3:     w.s3,
		Secret: secrets.Add,
	}
}

func (w *world) token(t *testing.T, secrets *scenario.Secrets, tenant string, scopes ...string) string {
	t.Helper()
	claims := map[string]any{"tenant": tenant, "scope": strings.Join(scopes, " ")}
	if tenant == "" { // a platform token
		delete(claims, "tenant")
	}
	token, err := w.issuer.Token(claims)
	if err != nil {
		t.Error(err)
	}
	secrets.Add(token)
	return token
}

// inspect fails the test if anything was denied access, or a secret was logged.
func (w *world) inspect(t *testing.T, name string, secrets *scenario.Secrets) {
	t.Helper()
	for _, call := range w.front.Denied() {
		t.Errorf("denied: %s", call)
	}
	log, err := w.aws.logs(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	var own []byte
	if w.log != "" {
		if own, err = os.ReadFile(w.log); err != nil {
			t.Fatal(err)
		}
	}
	for line := range strings.Lines(log + string(own)) {
		if deniesAccess(line) {
			t.Errorf("denied, by a log: %s", line)
		}
	}
	secrets.AbsentFrom(t, log)
	if t.Failed() {
		report(t, "the emulator", w.front.Troubles())
		report(t, name, slices.DeleteFunc(strings.Split(log, "\n"), func(line string) bool { return !strings.Contains(line, `"level":"ERROR"`) }))
	}
}

// report logs the first of many lines.
func report(t *testing.T, whose string, lines []string) {
	const most = 40
	t.Helper()
	for _, line := range lines[:min(len(lines), most)] {
		t.Logf("%s: %.600s", whose, line)
	}
	t.Logf("%s had %d troubles", whose, len(lines))
}

// TestDeploy deploys the template twice. Nothing is denied, until a statement is missing.
func TestDeploy(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes minutes")
	}
	tools := emulators.Installed(t, "what deploys the template", "sam", "ministack", "cdk")
	dir := t.TempDir()
	w := newWorld(t, dir)
	p := newProject(t, dir, tools, w.front.URL)
	p.build(t)
	if t.Failed() {
		return
	}
	bySAM, byCDK := &scenario.Secrets{}, &scenario.Secrets{}
	t.Run("deployed", func(t *testing.T) {
		t.Run("by SAM", func(t *testing.T) {
			t.Parallel()
			if p.deploySAM(t, "sluice-sam", w.parameters()); !t.Failed() {
				scenario.Run(t, w.env(t, "sluice-sam", bySAM))
			}
		})
		t.Run("by the CDK", func(t *testing.T) {
			t.Parallel()
			if p.deployCDK(t, "cdk", w.parameters()); !t.Failed() {
				scenario.RunOnly(t, w.env(t, "sluice-cdk", byCDK), "a webhook call", "files in a bucket", "a replay of the past", "a replay into a bucket")
			}
		})
	})
	if !t.Failed() {
		t.Run("a renewed execution", w.renews)
	}
	w.inspect(t, "sluice-sam", bySAM)
	w.inspect(t, "sluice-cdk", byCDK)
	if !t.Failed() {
		t.Run("without a statement", w.withoutStatement)
	}
}

// withoutStatement shows that the deployment needs its policies: publishing fails once
// the role of the function may not write to the stream, and the test notices.
func (w *world) withoutStatement(t *testing.T) {
	const name = "sluice-sam"
	env := w.env(t, name, &scenario.Secrets{})
	api, err := client.New(env.URL, env.Token("acme", "events:publish"), false)
	if err != nil {
		t.Fatal(err)
	}
	event := []byte(`{"name":"order.created","payload":{}}`)
	if _, err := api.Publish(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	role, err := w.aws.resource(t.Context(), name, "ApiRole")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.aws.dropStatement(t.Context(), role, "Publish"); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Publish(t.Context(), event); err == nil {
		t.Error("an event was published without the permission")
	}
	if denied := w.front.Denied(); !slices.ContainsFunc(denied, func(call string) bool { return strings.Contains(call, "Kinesis_20131202.PutRecords") }) {
		t.Errorf("the denied call was not noticed, but %q", denied)
	}
}
