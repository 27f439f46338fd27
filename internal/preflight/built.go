package preflight

import (
	"runtime/debug"
	"time"
)

// built returns the time of the commit this program was built from, or zero if the
// toolchain did not record it.
func built() time.Time {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			at, _ := time.Parse(time.RFC3339, s.Value) // zero if invalid
			return at
		}
	}
	return time.Time{}
}
