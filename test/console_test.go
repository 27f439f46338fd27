package test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	consoleFiles = root + "/internal/console/static"
	consoleBytes = 200 << 10 // of all files together, by docs/console.md
	// templates is the one file of the console that makes markup from text, of its own literals alone.
	templates = "html.js"
)

// consoleRefused are what the files of the web console must not have, each with the way out. Whatever
// comes from the API is text; Content-Security-Policy would refuse most of this, but only in a browser.
var consoleRefused = map[string]string{
	`\b(innerHTML|outerHTML|insertAdjacentHTML|setHTMLUnsafe|srcdoc|createContextualFragment|parseFromString)\b|document\.write`: "markup from text: use html`…` of " + templates,
	`\beval\(|\bnew Function\b|\bset(Timeout|Interval)\(\s*['"` + "`" + `]|javascript:`:                                          "code from text: pass a function",
	`<[a-z][^>]*\sstyle\s*=`:                             "an inline style: give it a class",
	`<[a-z][^>]*\son[a-z]+\s*=`:                          "an inline handler: use @event=${function}",
	`(?i)<script(\s+type="module")?>|<style\b`:           "an inline script or style: use a file",
	`\b(src|href|action|poster)\s*=\s*["']?(https?:)?//`: "an address elsewhere: use a path of the origin",
	`\b(from|import|fetch)\s*\(?\s*['"` + "`" + `](https?:)?//|url\(\s*['"]?(https?:)?//|@import`: "a request beyond the origin: use a path",
	`\b(XMLHttpRequest|WebSocket|EventSource|sendBeacon|importScripts|serviceWorker)\b`:           "another kind of request: use call of api.js",
	`document\.cookie|\blocalStorage\b`:   "what outlives the tab: use sessionStorage",
	`\blight-dark\(|\bAbortSignal\.any\(`: "what browsers of 2023 lack: a media query, a function of our own",
}

func TestConsoleHasNoMarkupFromText(t *testing.T) {
	total, parses := int64(0), 0
	err := fs.WalkDir(os.DirFS(consoleFiles), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text := fileText(t, filepath.Join(consoleFiles, path))
		total += int64(len(text))
		if path == templates {
			parses = strings.Count(text, ".innerHTML = ")
			text = strings.Replace(text, ".innerHTML = ", "", 1)
		}
		for n, line := range strings.Split(text, "\n") {
			for _, wrong := range refusedInConsole(line) {
				t.Errorf("%s:%d has %s", path, n+1, wrong)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if parses != 1 {
		t.Errorf("%s parses markup in %d places, want one: of a <template>", templates, parses)
	}
	if total > consoleBytes {
		t.Errorf("the console has %d bytes, more than %d", total, consoleBytes)
	}
}

// TestConsoleModulesAreAskedForAtOnce: the browser learns of a module that the page's document does not name only
// when it has read the one that imports it, a round trip later.
func TestConsoleModulesAreAskedForAtOnce(t *testing.T) {
	const first = "main.js"
	index := fileText(t, consoleFiles+"/index.html")
	err := fs.WalkDir(os.DirFS(consoleFiles), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".js" || path == first {
			return err
		}
		if link := `<link rel="modulepreload" href="./` + path + `">`; !strings.Contains(index, link) {
			t.Errorf("index.html lacks %s", link)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range regexp.MustCompile(`modulepreload" href="\./([^"]+)"`).FindAllStringSubmatch(index, -1) {
		if _, err := os.Stat(consoleFiles + "/" + link[1]); err != nil {
			t.Errorf("index.html asks for %s, which is not there", link[1])
		}
	}
}

func refusedInConsole(line string) []string {
	var wrong []string
	for pattern, instead := range consoleRefused {
		if regexp.MustCompile(pattern).MatchString(line) {
			wrong = append(wrong, instead)
		}
	}
	return wrong
}

func TestConsoleLintFinds(t *testing.T) {
	for line, found := range map[string]bool{
		"place.innerHTML = entry.reason;":                      true,
		"place.insertAdjacentHTML('beforeend', reason)":        true,
		"new DOMParser().parseFromString(reason, 'text/html')": true,
		"document.write(reason)":                               true,
		"setTimeout('go()', 5)":                                true,
		"const f = new Function(code)":                         true,
		`html` + "`" + `<p style="color:red">` + "`":           true,
		`html` + "`" + `<button onclick=${go}>` + "`":          true,
		`<script>go()</script>`:                                true,
		`<img src="https://elsewhere.example/x.png">`:          true,
		`<link href="//elsewhere.example/x.css">`:              true,
		"import x from 'https://elsewhere.example/x.js'":       true,
		"await fetch('https://elsewhere.example/')":            true,
		`background: url("https://elsewhere.example/x.png")`:   true,
		"new EventSource('/x')":                                true,
		"localStorage.token = token":                           true,
		"--text: light-dark(#000, #fff);":                      true,
		"html`<button @click=${go}>Go</button>`":               false,
		"const style = document.documentElement.style;":        false,
		`<script type="module" src="./main.js"></script>`:      false,
		"setTimeout(go, 5)":                                    false,
		"// as at http://127.0.0.1:9000/":                      false,
	} {
		if got := len(refusedInConsole(line)) > 0; got != found {
			t.Errorf("%s: found %v, want %v", line, got, found)
		}
	}
}
