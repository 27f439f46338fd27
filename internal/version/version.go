// Package version provides the version of this build.
package version

import "runtime/debug"

// Version is the version of this build, such as "v1.4.0" or "devel". The linker sets
// it in a release (see Makefile); otherwise it is the version that the Go toolchain
// recorded, for example after `go install …@v1.4.0`.
var Version string

func init() {
	if Version == "" {
		Version = recorded(debug.ReadBuildInfo())
	}
}

func recorded(info *debug.BuildInfo, ok bool) string {
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}
