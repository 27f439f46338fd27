package settings

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A setting is named in an error as the person who set it knows it.
func TestSettingsAreNamedAsTheyWereGiven(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(path, []byte("# bounds\nretry_min: 2h\nlanes: 99\nmax_rejected: 5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := Default()
	s.MaxRejected = 0 // as a flag parser would
	variables := env(map[string]string{"SLUICE_RETRY_MAX": "1h", "SLUICE_MAX_REJECTED": "7"})
	names, err := Load(s.Table(), path, variables, flags("max-rejected"))
	if err != nil {
		t.Fatal(err)
	}
	known := fmt.Errorf("%w; %w", errors.New("SLUICE_MAX_REJECTED is 0"), os.ErrPermission)
	for want, err := range map[string]error{
		"--max-rejected is 0; permission denied":                                                      known,
		"SLUICE_RETRY_MAX is 1h0m0s; it must be at least retry_min (" + path + ":2), which is 2h0m0s": s.Validate()[1],
		"lanes (" + path + ":3) is 99; it must be at most 32":                                         s.Validate()[2],
		"raise --max-calls, not SLUICE_TOKEN":                                                         errors.New("raise SLUICE_MAX_CALLS, not SLUICE_TOKEN"),
	} {
		if got := names.Named(err); got.Error() != want {
			t.Errorf("%q\nwant %q", got, want)
		}
	}
	if !errors.Is(names.Named(known), os.ErrPermission) {
		t.Error("the cause is lost")
	}
	if names.Named(nil) != nil {
		t.Error("no error became one")
	}
}
