package httpapi

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// rootHead and rootTail are what a browser gets at /, with consoleLink between them if there is a console.
const rootHead = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Sluice</title>
</head>
<body>
<h1>Sluice</h1>
<p>This is the API of an event stream for integrations.</p>
<ul>
`

const consoleLink = `<li><a href="` + consolePath + `">The console</a>: integrations, deliveries and events, for those with an access token</li>
`

const rootTail = `<li><a href="/openapi.yaml">The API document</a>: every call, as OpenAPI</li>
<li><a href="https://github.com/sluicehq/sluice#readme">What Sluice is, and a tour</a></li>
<li><a href="https://github.com/sluicehq/sluice/tree/main/docs">The documentation</a></li>
</ul>
</body>
</html>
`

// root serves /, which is no path of the API, to people who look where they are.
func (a *api) root(x *exchange, r *http.Request) {
	x.Header().Set("Vary", "Accept")
	if r.Method != http.MethodGet && r.Method != http.MethodHead || !wantsHTML(r) {
		a.noSuchPath(x, r)
		return
	}
	x.route, x.quiet = "/", true
	x.Header().Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	page := rootHead + rootTail
	if a.Settings.Console {
		page = rootHead + consoleLink + rootTail
	}
	a.send(x, http.StatusOK, "text/html; charset=utf-8", []byte(page))
}

// wantsHTML reports whether the caller names HTML, as browsers do, and does not prefer JSON.
// Clients of the API name JSON, or accept anything.
func wantsHTML(r *http.Request) bool {
	html, json := 0.0, 0.0
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		media, parameters, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		quality := 1.0
		if q, given := parameters["q"]; given {
			quality, _ = strconv.ParseFloat(q, 64) // 0 if it is no number
		}
		switch media {
		case "text/html":
			html = max(html, quality)
		case mediaJSON:
			json = max(json, quality)
		}
	}
	return html > json
}
