package e2e

import (
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

// runInNamespace runs a test where it can mount a file system that is small
// enough to be filled.
func runInNamespace(t *testing.T, name string) {
	t.Helper()
	if inNamespace() {
		t.SkipNow()
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+name+"$", "-test.v", "-test.timeout=2m")
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
	n := &node{t: t, binary: checked, data: filepath.Join(dir, "data"), env: fast, args: []string{"--dev"}}
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
