package e2e

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBadDays starts the node where it cannot work. It says so in one line that
// names what is wrong, exits, and leaves the data directory as it was.
func TestBadDays(t *testing.T) {
	t.Parallel()
	good := goodData(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	config := func(text string) string {
		path := filepath.Join(t.TempDir(), "sluice.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	broken := config("lanes: four\nmax_rejectd: 3\n")
	negative := config("# lanes\nlanes: -1\n")
	dir := t.TempDir()
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, data string)
		args  []string
		env   map[string]string
		code  int
		words []string
	}{
		{name: "port taken", args: []string{"--addr", taken.Addr().String()}, code: 1, words: []string{taken.Addr().String(), "in use", "--addr"}},
		{name: "no address", args: []string{"--addr", "8080"}, code: 1, words: []string{"--addr is \"8080\"", "host:port"}},
		{name: "flag unknown", args: []string{"--max-reject", "3"}, code: 2, words: []string{"--max-reject", "--help"}},
		{name: "flag wrong", args: []string{"--max-rejected", "many"}, code: 2, words: []string{"max-rejected", "many"}},
		{name: "flag negative", args: []string{"--max-rejected", "-1"}, code: 1, words: []string{"--max-rejected is -1"}},
		{name: "argument too many", args: []string{"now"}, code: 2, words: []string{"now"}},
		{name: "dev beyond loopback", args: []string{"--dev", "--addr", "0.0.0.0:0"}, code: 1, words: []string{"--addr", "with --dev"}},
		{name: "variable wrong", env: map[string]string{"SLUICE_LANES": "four"}, code: 1, words: []string{"SLUICE_LANES", "four"}},
		{name: "variable negative", env: map[string]string{"SLUICE_LANES": "-1"}, code: 1, words: []string{"SLUICE_LANES is -1"}},
		{name: "key negative", args: []string{"--config", negative}, code: 1, words: []string{"lanes (" + negative + ":2) is -1"}},
		{name: "config missing", args: []string{"--config", dir + "/none.yaml"}, code: 1, words: []string{dir + "/none.yaml", "no such file"}},
		{name: "config a folder", args: []string{"--config", dir}, code: 1, words: []string{dir, "directory"}},
		{name: "config not YAML", args: []string{"--config", config("lanes: [")}, code: 1, words: []string{"sluice.yaml", "YAML"}},
		{name: "config with two faults", args: []string{"--config", broken}, code: 1, words: []string{broken + ":1: lanes", "four", "; " + broken + ":2: max_rejectd"}},
		{name: "data a file", args: []string{"--data", broken}, code: 1, words: []string{broken, "directory"}},
		{name: "database not one", spoil: overwrite("sluice.db", 0, "not a database, but a text of some length"), code: 1, words: []string{"sluice.db", "damaged", "backup"}},
		{name: "database cut", spoil: truncate("sluice.db", 9000), code: 1, words: []string{"sluice.db", "damaged", "backup"}},
		{name: "database with a damaged page", spoil: overwrite("sluice.db", 4096, strings.Repeat("damage", 300)), code: 1, words: []string{"sluice.db", "damaged", "backup"}},
		{name: "database empty with a log", spoil: emptied, code: 1, words: []string{"sluice.db", "damaged"}},
		{name: "secrets.key empty", spoil: truncate("secrets.key", 0), code: 1, words: []string{"secrets.key", "damaged", "backup"}},
		{name: "secrets.key damaged", spoil: overwrite("secrets.key", 60, "damage"), code: 1, words: []string{"secrets.key", "damaged", "backup"}},
		{name: "secrets.key missing", spoil: removed("secrets.key"), code: 1, words: []string{"secrets.key", "backup"}},
		{name: "sluice.db for all to read", spoil: opened("sluice.db"), code: 1, words: []string{"sluice.db", "mode 0644", "chmod 600"}},
		{name: "secrets.key for all to read", spoil: opened("secrets.key"), code: 1, words: []string{"secrets.key", "chmod 600"}},
		{name: "token.key empty", spoil: truncate("token.key", 0), code: 1, words: []string{"token.key", "damaged"}},
		{name: "token.key damaged", spoil: overwrite("token.key", 10, `"""`), code: 1, words: []string{"token.key", "damaged"}},
		{name: "token.key for all to read", spoil: opened("token.key"), code: 1, words: []string{"token.key", "chmod 600"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			data := filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(data, os.DirFS(good)); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"sluice.db", "secrets.key", "token.key", "lock"} { // CopyFS has its own modes
				if err := os.Chmod(filepath.Join(data, name), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if c.spoil != nil {
				c.spoil(t, data)
			}
			before := hashes(t, data)
			args := append([]string{"serve", "--addr", "127.0.0.1:0", "--data", data}, c.args...)
			got := run(t, plain, c.env, "", args...)
			checkRefusal(t, got, c.code, c.words)
			if diff := cmp.Diff(before, hashes(t, data)); diff != "" {
				t.Errorf("the data directory changed (-before +after):\n%s", diff)
			}
		})
	}
}

// TestStartWithoutCertificates starts the node as in an image that has nothing
// else: it says so once, and not in the log of each customer whose receiver fails.
func TestStartWithoutCertificates(t *testing.T) {
	t.Parallel()
	n := newNode(t, plain, map[string]string{"SSL_CERT_FILE": "/nowhere/roots.pem", "SSL_CERT_DIR": "/nowhere"}, "--dev")
	n.until("it says that there are no certificates", func() bool {
		return slices.ContainsFunc(n.lines(0), func(line map[string]any) bool {
			return line["level"] == "WARN" && line["check"] == "certificates" && strings.Contains(fmt.Sprint(line["trouble"]), "SSL_CERT_FILE")
		})
	})
	if code, _ := n.end(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

func checkRefusal(t *testing.T, got output, code int, words []string) {
	t.Helper()
	if got.code != code {
		t.Errorf("exit code %d, want %d", got.code, code)
	}
	if !strings.HasPrefix(got.stderr, "sluice: ") || strings.Count(got.stderr, "\n") != 1 || !strings.HasSuffix(got.stderr, "\n") ||
		strings.Contains(got.stderr, "\uFFFD") || got.stdout != "" {
		t.Errorf("it says, in other than one line:\n%s%s", got.stderr, got.stdout)
	}
	for _, word := range words {
		if !strings.Contains(got.stderr, word) {
			t.Errorf("it does not say %q: %s", word, got.stderr)
		}
	}
}

// goodData is the data directory of a node that ended in good order, with an
// integration and events in it.
func goodData(t *testing.T) string {
	n := newNode(t, plain, nil, "--dev")
	c := newClient(n, "acme")
	receiver := newSink(t)
	c.register(t, "shop", fmt.Sprintf(`"callback_parameters":{"callback_url":%q,"api_key":"key-of-the-shop"}`, receiver.url))
	ids, _, err := c.publish(t.Context(), 500, `{"text":"`+strings.Repeat("x", 100)+`"}`)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "all arrived", func() bool { return receiver.lacks(ids) == 0 })
	if code, _ := n.end(); code != 0 {
		t.Fatalf("it ended with %d", code)
	}
	return n.data
}

func overwrite(name string, at int64, text string) func(*testing.T, string) {
	return func(t *testing.T, data string) {
		f, err := os.OpenFile(filepath.Join(data, name), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte(text), at); err != nil {
			t.Fatal(err)
		}
	}
}

func truncate(name string, size int64) func(*testing.T, string) {
	return func(t *testing.T, data string) {
		if err := os.Truncate(filepath.Join(data, name), size); err != nil {
			t.Fatal(err)
		}
	}
}

func removed(name string) func(*testing.T, string) {
	return func(t *testing.T, data string) {
		if err := os.Remove(filepath.Join(data, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func opened(name string) func(*testing.T, string) {
	return func(t *testing.T, data string) {
		if err := os.Chmod(filepath.Join(data, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func emptied(t *testing.T, data string) {
	truncate("sluice.db", 0)(t, data)
	if err := os.WriteFile(filepath.Join(data, "sluice.db-wal"), []byte("left over"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// hashes are those of the files in a directory, with their modes. The lock file
// is left out: it says who looked last.
func hashes(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "lock" {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		all[strings.TrimPrefix(path, dir)] = fmt.Sprintf("%v %x", info.Mode(), sha256.Sum256(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A second node on the same data directory is refused, and the first one does
// not notice.
func TestDataDirectoryInUse(t *testing.T) {
	t.Parallel()
	n := newNode(t, plain, nil, "--dev")
	c := newClient(n, "acme")
	receiver := newSink(t)
	c.register(t, "shop", receiver.url)
	got := run(t, plain, nil, "", "serve", "--addr", "127.0.0.1:0", "--data", n.data)
	checkRefusal(t, got, 1, []string{n.data, "in use", fmt.Sprintf("pid %d", n.cmd.Process.Pid)})
	ids := mustPublish(t, c, 3)
	until(t, "the first one goes on", func() bool { return receiver.lacks(ids) == 0 })
}

// Receivers on this machine and its neighbours are refused unless allowed.
func TestPrivateTargets(t *testing.T) {
	t.Parallel()
	loopback := []string{"http://127.0.0.1:9000/", "http://localhost:9000/", "http://[::1]:9000/"}
	private := []string{"http://10.0.0.1/", "http://192.168.1.1/", "http://[fd00::1]/"}
	never := []string{"http://169.254.169.254/latest/", "http://[::ffff:169.254.169.254]/", "http://0.0.0.0/", "http://224.0.0.1/"}
	for _, c := range []struct {
		args             []string
		refused, allowed []string
	}{
		{nil, slices.Concat(loopback, private, never), nil},
		{[]string{"--dev"}, slices.Concat(private, never), loopback},
		{[]string{"--allow-private-targets"}, never, slices.Concat(loopback, private)},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			t.Parallel()
			n := newNode(t, plain, nil, c.args...)
			client := newClient(n, "acme")
			register := func(id, url string) answer {
				return client.call(t, "POST", eventstream, fmt.Sprintf(`{"id":%q,"integration_type":"permanent","callback_parameters":{"callback_url":%q}}`, id, url))
			}
			for _, url := range c.refused {
				if a := register("shop", url); a.status != 400 || a.problem(t).Code != "invalid_target" {
					t.Errorf("%s: got %d %s", url, a.status, a.body)
				}
				s3 := fmt.Sprintf(`{"id":"files","integration_type":"permanent","s3_parameters":{"aws_access_key_id":"A","aws_secret_access_key":"B","aws_region":"r","bucket":"bucket","endpoint":%q}}`, url)
				if a := client.call(t, "POST", eventstream, s3); a.status != 400 || a.problem(t).Code != "invalid_target" {
					t.Errorf("endpoint %s: got %d %s", url, a.status, a.body)
				}
			}
			for i, url := range c.allowed {
				if a := register(fmt.Sprintf("n-%d", i), url); a.status != 200 {
					t.Errorf("%s: got %d %s", url, a.status, a.body)
				}
			}
		})
	}
}
