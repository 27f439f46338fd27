package httpapi

import (
	"net/http"
	"strings"

	"github.com/sluicehq/sluice/internal/console"
)

const consolePath = "/console/"

// handleConsole adds the paths of the web console. They are no operations of the API: its document
// has them in words alone.
func (a *api) handleConsole() {
	pages, err := console.New(&a.Settings)
	if err != nil {
		panic(err) // the settings are valid, and a test serves every file
	}
	get := func(pattern string, handle func(*exchange, *http.Request) error) {
		a.handle(pattern, a.byMethod(map[string]route{http.MethodGet: {http.MethodGet, pattern, "", handle}}))
	}
	get(strings.TrimSuffix(consolePath, "/"), func(x *exchange, _ *http.Request) error {
		// Relative, as a proxy may serve this below a path of its own. A browser keeps the fragment.
		x.Header().Set("Location", strings.TrimPrefix(consolePath, "/"))
		x.WriteHeader(http.StatusTemporaryRedirect)
		return nil
	})
	get(consolePath+"{file...}", func(x *exchange, r *http.Request) error {
		if !pages.Serve(x, r, strings.TrimPrefix(r.URL.EscapedPath(), consolePath)) {
			return unknownPath(r)
		}
		return nil
	})
}
