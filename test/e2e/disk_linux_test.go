package e2e

import (
	"errors"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDiskFull runs TestFullDisk in a separate mount namespace.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	runInNamespace(t, "TestFullDisk")
}

// TestDiskFullOfBackup runs TestBackupOnAFullDisk in the same way.
func TestDiskFullOfBackup(t *testing.T) {
	t.Parallel()
	runInNamespace(t, "TestBackupOnAFullDisk")
}

// TestDiskReserve runs TestReserveOfAFullDisk in the same way.
func TestDiskReserve(t *testing.T) {
	t.Parallel()
	runInNamespace(t, "TestReserveOfAFullDisk")
}

// runInNamespace runs a test where it can mount a file system that is small
// enough to be filled.
func runInNamespace(t *testing.T, name string) {
	t.Helper()
	if inNamespace() {
		t.SkipNow()
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+name+"$", "-test.v", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), binaryVariable+"="+checked)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	switch text := string(out); {
	case err == nil && strings.Contains(text, "--- PASS: "+name):
		for line := range strings.Lines(text) {
			if strings.Contains(line, "disk_linux_test.go") {
				t.Log(strings.TrimSpace(line))
			}
		}
	case len(out) == 0 || strings.Contains(text, noMount):
		if os.Getenv("CI") != "" {
			t.Fatalf("no file system can be mounted here, not even in a separate namespace, so this is not tested: %v %s", err, out)
		}
		t.Skipf("no file system can be mounted here: %v %s", err, out)
	default:
		t.Fatalf("%v\n%s", err, out)
	}
}

// binaryVariable names the binary in the environment of the test that runs in
// a separate namespace.
const binaryVariable = "E2E_BINARY_IN_NAMESPACE"

const noMount = "no small file system"

func inNamespace() bool { return os.Getenv(binaryVariable) != "" }

// TestFullDisk fills the disk under a busy node. Publishing returns 503, what
// was acknowledged arrives, and all goes on when there is room.
func TestFullDisk(t *testing.T) {
	if !inNamespace() {
		t.Skip("TestDiskFull runs it")
	}
	dir := smallDisk(t, "12m")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 6<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	env := maps.Clone(fast)
	env["SLUICE_DISK_RESERVE"] = "0"
	n := &node{t: t, binary: checked, data: filepath.Join(dir, "data"), env: env, args: []string{"--dev"}}
	n.open()
	n.start()
	defer n.kill() // or the file system stays busy
	c := newClient(n, "acme")
	receiver := newSink(t)
	c.register(t, "shop", receiver.url)

	var acked []string
	payload := `{"text":"` + strings.Repeat("x", 20_000) + `"}`
	publish := func(size string) int {
		t.Helper()
		ids, status, err := c.publish(t.Context(), 5, size)
		if err != nil {
			t.Fatal(err)
		}
		if acked = append(acked, ids...); status != http.StatusAccepted && status != http.StatusServiceUnavailable {
			t.Fatalf("publishing on a full disk: %d", status)
		}
		return status
	}
	refused := 0
	for calls := 0; refused < 20; calls++ {
		if calls > 2000 {
			t.Fatal("the disk does not get full")
		}
		if publish(payload) == http.StatusServiceUnavailable {
			refused++
		}
	}
	large := `{"name":"order.created","payload":` + payload + `}`
	full := c.call(t, "POST", "/api/v1/org/events", `{"events":[`+large+strings.Repeat(","+large, 49)+`]}`)
	if e := full.problem(t); full.status != http.StatusServiceUnavailable || e.Code != "unavailable" || !strings.Contains(e.Message, "disk is full") {
		t.Errorf("got %d %s", full.status, full.body)
	}
	t.Logf("%d events were acknowledged until the disk was full, and %d calls refused", len(acked), refused)
	if a := c.call(t, "GET", eventstream, ""); a.status != http.StatusOK {
		t.Errorf("reading on a full disk: %d %s", a.status, a.body)
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	until(t, "publishing goes on when there is room", func() bool { return publish(`{}`) == http.StatusAccepted })
	until(t, "what was acknowledged arrives", func() bool { return receiver.lacks(acked) == 0 })
	until(t, "it is ready", func() bool { return c.call(t, "GET", "/readyz", "").status == http.StatusOK })
	if code, took := n.end(); code != 0 || took > shutdownLimit+time.Second {
		t.Errorf("it ended with %d, after %v", code, took)
	}
	n.start()
	acked = append(acked, mustPublish(t, c, 1)...)
	until(t, "all arrives after a restart", func() bool { return receiver.lacks(acked) == 0 })
}

// TestReserveOfAFullDisk has one tenant publish until it is refused, and something else
// fill the disk to the last byte. Integrations can still be stopped and deleted, what was
// acknowledged arrives, and a purge frees the space for the others.
func TestReserveOfAFullDisk(t *testing.T) {
	if !inNamespace() {
		t.Skip("TestDiskReserve runs it")
	}
	dir := smallDisk(t, "100m")
	env := maps.Clone(fast)
	env["SLUICE_TENANT_PUBLISH_RATE"] = "0"
	n := &node{t: t, binary: checked, data: filepath.Join(dir, "data"), env: env, args: []string{"--dev"}}
	n.open()
	n.start()
	defer n.kill()
	noisy, quiet := newClient(n, "noisy"), newClient(n, "quiet")
	receiver := newSink(t)
	quiet.register(t, "shop", receiver.url)
	noisy.register(t, "one", receiver.url)
	noisy.register(t, "two", receiver.url)
	for _, id := range []string{"one", "two"} {
		if a := noisy.call(t, "POST", eventstream+"/"+id+"/_stop", ""); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	acked := mustPublish(t, quiet, 5)
	payload := `{"text":"` + strings.Repeat("x", 200_000) + `"}`
	for calls := 0; ; calls++ {
		_, status, err := noisy.publish(t.Context(), 10, payload)
		if err != nil || calls > 1000 {
			t.Fatalf("call %d: %v", calls, err)
		}
		if status == http.StatusServiceUnavailable {
			break
		}
	}
	a := quiet.call(t, "POST", "/api/v1/org/events", `{"name":"order.created","payload":{}}`)
	if e := a.problem(t); a.status != http.StatusServiceUnavailable || !strings.Contains(e.Message, "SLUICE_DISK_RESERVE") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	until(t, "what was acknowledged arrives", func() bool { return receiver.lacks(acked) == 0 })
	size := int64(-1)
	until(t, "the checkpoint that the refusal asked for is done", func() bool {
		info, err := os.Stat(filepath.Join(n.data, "sluice.db"))
		before := size
		if err == nil {
			size = info.Size()
		}
		return size == before
	})
	fill(t, filepath.Join(dir, "filler"))
	for path, method := range map[string]string{"/one/_start": "POST", "/shop/_stop": "POST", "/two": "DELETE"} {
		c := noisy
		if path == "/shop/_stop" {
			c = quiet
		}
		if a := c.call(t, method, eventstream+path, ""); a.status != http.StatusOK {
			t.Errorf("%s %s on a full disk: %d %s", method, path, a.status, a.body)
		}
	}
	if got := run(t, plain, nil, "", "tenant", "purge", "noisy", "--yes", "--data", n.data); got.code != 0 || !strings.Contains(got.stdout, "Purged noisy: 1 integrations") {
		t.Errorf("a purge on a full disk: %+v", got)
	}
	until(t, "the others publish again", func() bool { _, status, _ := quiet.publish(t.Context(), 1, `{}`); return status == http.StatusAccepted })
}

// fill writes to a file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4 << 10} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
}

// smallDisk mounts a file system.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatal(noMount, err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size+",mode=700"); err != nil {
		t.Fatal(noMount, err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// TestBackupOnAFullDisk runs out of room during a backup and during a restore.
// Both say so and leave nothing.
func TestBackupOnAFullDisk(t *testing.T) {
	if !inNamespace() {
		t.Skip("TestDiskFullOfBackup runs it")
	}
	data := goodData(t)
	dir := smallDisk(t, "100k")
	target := filepath.Join(dir, "backup")
	checkRefusal(t, run(t, plain, nil, "", "backup", target, "--data", data, "--keys"), 1, []string{"not enough space in " + target})
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("the backup left %v, %v", entries, err)
	}
	good := filepath.Join(t.TempDir(), "backup")
	if got := run(t, plain, nil, "", "backup", good, "--data", data, "--keys"); got.code != 0 {
		t.Fatalf("backup: %+v", got)
	}
	checkRefusal(t, run(t, plain, nil, "", "restore", good, "--data", target), 1, []string{"not enough space in " + target})
	if entries, err := os.ReadDir(target); err != nil || len(entries) != 1 || entries[0].Name() != "lock" {
		t.Errorf("the restore left %v, %v; want the lock alone", entries, err)
	}
}
