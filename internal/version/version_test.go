package version

import (
	"runtime/debug"
	"testing"
)

func TestRecorded(t *testing.T) {
	for _, c := range []struct {
		version string
		ok      bool
		want    string
	}{
		{"v1.4.0", true, "v1.4.0"},
		{"(devel)", true, "devel"},
		{"", true, "devel"},
		{"v1.4.0", false, "devel"},
	} {
		info := &debug.BuildInfo{Main: debug.Module{Version: c.version}}
		if got := recorded(info, c.ok); got != c.want {
			t.Errorf("recorded(%q, %v) = %q, want %q", c.version, c.ok, got, c.want)
		}
	}
}

func TestCommit(t *testing.T) {
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "c9216f1a"}
	modified := func(value string) debug.BuildSetting { return debug.BuildSetting{Key: "vcs.modified", Value: value} }
	for want, settings := range map[string][]debug.BuildSetting{
		"c9216f1a":       {{Key: "vcs", Value: "git"}, revision, modified("false")},
		"c9216f1a-dirty": {modified("true"), revision},
		"":               {modified("true")},
	} {
		if got := commit(settings); got != want {
			t.Errorf("commit(%v) = %q, want %q", settings, got, want)
		}
	}
}

func TestVersionIsSet(t *testing.T) {
	if Version == "" {
		t.Error("Version is empty")
	}
}
