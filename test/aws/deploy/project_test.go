package deploy

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluicehq/sluice/test/aws/emulators"
	"github.com/sluicehq/sluice/test/aws/stack"
)

// project is a copy of what is deployed, with the functions built for this machine.
type project struct {
	dir   string
	tools string   // .aws-tools
	env   []string // of the deployment's tools
}

func newProject(t *testing.T, dir, tools, endpoint string) *project {
	t.Helper()
	home := filepath.Join(dir, "home") // away from the user's profiles and settings
	p := &project{dir: dir, tools: tools, env: []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + os.TempDir(),
		"AWS_ENDPOINT_URL=" + endpoint, "AWS_REGION=" + emulators.Region, "AWS_DEFAULT_REGION=" + emulators.Region,
		"AWS_ACCESS_KEY_ID=" + administrator.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + administrator.SecretAccessKey,
		"AWS_EC2_METADATA_DISABLED=true", "SAM_CLI_TELEMETRY=0", "CDK_DISABLE_VERSION_CHECK=1", "NO_COLOR=1",
		"JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=20",
	}}
	for _, sub := range []string{"home", "infra"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	p.copyTemplate(t)
	return p
}

// Both are looked for, so that the list has no edit for what is no longer there.
var edits = []struct {
	find    *regexp.Regexp
	replace string
}{
	// The alarm is on an expression, and so left out.
	{regexp.MustCompile(`!Ref ApiCanaryAlarm`), "api-canary"},
	// The functions run on this machine, as they are.
	{regexp.MustCompile(`Architectures: \[arm64\]`), "Architectures: [" + architecture() + "]"},
	// The emulator does not know what encryption context a call has, so that no call
	// would satisfy the condition.
	{regexp.MustCompile(`(?m)^ +\S+: \{kms:EncryptionContext.*\}\n`), ""},
	// The emulator takes a parameter of a mapping for text, which it cannot compare; and a
	// parameter that nothing uses is a warning.
	{regexp.MustCompile(`MaximumConcurrency: !Ref StepsAtOnce`), "MaximumConcurrency: 100"},
	{regexp.MustCompile(`(?m)^  StepsAtOnce:\n(    .*\n)+`), ""},
}

func architecture() string {
	if runtime.GOARCH == "arm64" {
		return "arm64"
	}
	return "x86_64"
}

// copyTemplate copies template.yaml with the edits, and what it names.
func (p *project) copyTemplate(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(stack.Root(), "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range edits {
		if !e.find.Match(text) {
			t.Fatalf("template.yaml has no %s to edit for the emulator", e.find)
		}
		text = e.find.ReplaceAll(text, []byte(e.replace))
	}
	p.write(t, "template.yaml", withoutMath(t, text))
	if err := os.CopyFS(filepath.Join(p.dir, "statemachine"), os.DirFS(filepath.Join(stack.Root(), "statemachine"))); err != nil {
		t.Fatal(err)
	}
}

func (p *project) write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// build builds the functions and the CDK app, and lints the template meanwhile.
func (p *project) build(t *testing.T) {
	t.Helper()
	var wait sync.WaitGroup
	wait.Go(func() {
		for _, name := range stack.Names() {
			p.run(t, command{dir: stack.Root(), env: goEnv(), args: []string{
				"go", "build", "-tags", "lambda.norpc", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w",
				"-o", filepath.Join(p.dir, "build", name, "bootstrap"), "./functions/" + name,
			}})
		}
		p.run(t, command{dir: filepath.Join(stack.Root(), "infra"), env: goEnv(), args: []string{
			"go", "build", "-o", filepath.Join(p.dir, "cdk-app"), ".",
		}})
	})
	wait.Go(func() { p.sam(t, "validate", "--lint", "--template-file", "template.yaml") })
	wait.Wait()
	if !t.Failed() {
		p.sam(t, "build", "--template-file", "template.yaml")
	}
}

// goEnv has the caches of the user.
func goEnv() []string { return append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=") }

// sam runs the SAM CLI.
func (p *project) sam(t *testing.T, args ...string) {
	t.Helper()
	p.run(t, command{dir: p.dir, env: p.env, args: append([]string{filepath.Join(p.tools, "sam", "venv", "bin", "sam")}, args...)})
}

// deploySAM deploys what `sam build` built.
func (p *project) deploySAM(t *testing.T, name string, parameters map[string]string) {
	t.Helper()
	args := []string{
		"deploy", "--template-file", ".aws-sam/build/template.yaml", "--stack-name", name, "--resolve-s3",
		"--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--parameter-overrides", "Stage=test",
	}
	for key, value := range parameters {
		args = append(args, key+"="+value)
	}
	p.sam(t, args...)
}

// deployCDK synthesizes the stack of a stage and deploys it, with its dashboard.
func (p *project) deployCDK(t *testing.T, stage string, parameters map[string]string) {
	t.Helper()
	type object = map[string]any
	config, err := json.Marshal(object{"context": object{"stages": object{stage: object{"parameters": parameters}}}})
	if err != nil {
		t.Fatal(err)
	}
	p.write(t, "infra/cdk.json", config)
	infra := filepath.Join(p.dir, "infra")
	// `make synth` validates; that takes seconds.
	p.run(t, command{dir: infra, args: []string{filepath.Join(p.dir, "cdk-app")}, env: append(os.Environ(),
		"CDK_OUTDIR="+filepath.Join(infra, "cdk.out"), "CDK_VALIDATION=false", "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=20")})
	if t.Failed() {
		return
	}
	cdk := []string{"node", filepath.Join(p.tools, "cdk", "node_modules", "aws-cdk", "bin", "cdk"), "--app", "cdk.out"}
	p.run(t, command{dir: infra, env: p.env, args: append(cdk, "bootstrap", "aws://"+account+"/"+emulators.Region)})
	if !t.Failed() {
		p.run(t, command{dir: infra, env: p.env, args: append(cdk, "deploy", "sluice-"+stage, "--require-approval", "never", "--progress", "events")})
	}
}

// withoutMath returns a template without the alarms on an expression over several metrics,
// which the emulator cannot create.
func withoutMath(t *testing.T, text []byte) []byte {
	t.Helper()
	var template yaml.Node
	if err := yaml.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	resources := valueOf(template.Content[0], "Resources")
	dropped := 0
	for i := 0; i < len(resources.Content); i += 2 {
		r := resources.Content[i+1]
		if valueOf(r, "Type").Value == "AWS::CloudWatch::Alarm" && valueOf(valueOf(r, "Properties"), "Metrics") != nil {
			resources.Content = slices.Delete(resources.Content, i, i+2)
			i -= 2
			dropped++
		}
	}
	if dropped == 0 {
		t.Fatal("template.yaml has no alarm on an expression to leave out")
	}
	text, err := yaml.Marshal(&template)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// valueOf returns the value of a key, nil if there is none.
func valueOf(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

type command struct {
	dir  string
	env  []string
	args []string
}

// commandTime limits a command. Only a failure takes that long.
const commandTime = 10 * time.Minute

// run runs a command; a failure has its output. Other goroutines of a test may call it.
func (p *project) run(t *testing.T, c command) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = c.dir, c.env, 10*time.Second
	began := time.Now()
	out, err := cmd.CombinedOutput()
	name := strings.Join([]string{filepath.Base(c.args[0]), strings.Join(c.args[1:min(len(c.args), 6)], " ")}, " ")
	if err != nil {
		t.Errorf("%s: %v\n%s", name, err, out)
		return
	}
	t.Logf("%s: %.1f s", name, time.Since(began).Seconds())
}
