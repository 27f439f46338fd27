// Package version provides the version of this build.
package version

import "runtime/debug"

// Version is the version of this build, such as "v1.4.0" or "devel". The linker sets
// it in a release (see Makefile); otherwise it is the version that the Go toolchain
// recorded, for example after `go install …@v1.4.0`.
var Version string

// Commit is the commit that the build is of, "" if the toolchain recorded none. It ends with
// "-dirty" if there were changes that are not in the commit.
var Commit string

func init() {
	info, ok := debug.ReadBuildInfo()
	if Version == "" {
		Version = recorded(info, ok)
	}
	if ok {
		Commit = commit(info.Settings)
	}
}

func recorded(info *debug.BuildInfo, ok bool) string {
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}

func commit(settings []debug.BuildSetting) string {
	revision, dirty := "", ""
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	if revision == "" {
		return ""
	}
	return revision + dirty
}
