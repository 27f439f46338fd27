package settings

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestSettingsOfTheConsole(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Settings)
		want   string // in the error; "": none
	}{
		"origins":              {func(s *Settings) { s.ConsoleOrigins = "https://app.example.com, https://b.example.com:8443" }, ""},
		"origins for a trial":  {func(s *Settings) { s.ConsoleOrigins = "http://localhost:3000 http://127.0.0.1" }, ""},
		"a wildcard":           {func(s *Settings) { s.ConsoleOrigins = "https://*.example.com" }, `SLUICE_CONSOLE_ORIGINS has "https://*.example.com"; write each origin as https://host`},
		"all":                  {func(s *Settings) { s.ConsoleOrigins = "*" }, "SLUICE_CONSOLE_ORIGINS"},
		"a keyword":            {func(s *Settings) { s.ConsoleOrigins = "'self'" }, "SLUICE_CONSOLE_ORIGINS"},
		"a scheme":             {func(s *Settings) { s.ConsoleOrigins = "https:" }, "SLUICE_CONSOLE_ORIGINS"},
		"plain HTTP":           {func(s *Settings) { s.ConsoleOrigins = "http://app.example.com" }, "SLUICE_CONSOLE_ORIGINS"},
		"a path":               {func(s *Settings) { s.ConsoleOrigins = "https://app.example.com/page" }, "without a path"},
		"a slash":              {func(s *Settings) { s.ConsoleOrigins = "https://app.example.com/" }, "without a path"},
		"a user":               {func(s *Settings) { s.ConsoleOrigins = "https://me@app.example.com" }, "SLUICE_CONSOLE_ORIGINS"},
		"no such port":         {func(s *Settings) { s.ConsoleOrigins = "https://app.example.com:65536" }, "SLUICE_CONSOLE_ORIGINS"},
		"port 0":               {func(s *Settings) { s.ConsoleOrigins = "https://app.example.com:0" }, "SLUICE_CONSOLE_ORIGINS"},
		"a second directive":   {func(s *Settings) { s.ConsoleOrigins = "https://a.example.com; script-src *" }, "SLUICE_CONSOLE_ORIGINS"},
		"a second header":      {func(s *Settings) { s.ConsoleOrigins = "https://a.example.com\r\nSet-Cookie: a=b" }, "SLUICE_CONSOLE_ORIGINS"},
		"a line feed":          {func(s *Settings) { s.ConsoleOrigins = "https://a.example.com\n" }, "SLUICE_CONSOLE_ORIGINS"},
		"letters of no header": {func(s *Settings) { s.ConsoleOrigins = "https://büro.example.com" }, "SLUICE_CONSOLE_ORIGINS"},
		"origins without end":  {func(s *Settings) { s.ConsoleOrigins = strings.Repeat("https://a.example.com ", 187) }, "at most 4096"},

		"a logo":                     {func(s *Settings) { s.ConsoleLogo = "https://cdn.example.com:8443/a%20b/logo.svg?v=1&w=2#x" }, ""},
		"a logo at the root":         {func(s *Settings) { s.ConsoleLogo = "https://cdn.example.com" }, ""},
		"a logo on the same origin":  {func(s *Settings) { s.ConsoleLogo = "/static/logo.svg" }, ""},
		"a logo by plain HTTP":       {func(s *Settings) { s.ConsoleLogo = "http://cdn.example.com/logo.svg" }, `SLUICE_CONSOLE_LOGO is "http://cdn`},
		"a logo that is a script":    {func(s *Settings) { s.ConsoleLogo = "javascript:alert(1)" }, "SLUICE_CONSOLE_LOGO"},
		"a logo of data":             {func(s *Settings) { s.ConsoleLogo = "data:image/svg+xml,x" }, "SLUICE_CONSOLE_LOGO"},
		"a logo of another host":     {func(s *Settings) { s.ConsoleLogo = "//evil.example.com/logo.svg" }, "SLUICE_CONSOLE_LOGO"},
		"a logo of a host by \\":     {func(s *Settings) { s.ConsoleLogo = `/\evil.example.com/logo.svg` }, "SLUICE_CONSOLE_LOGO"},
		"a logo beside":              {func(s *Settings) { s.ConsoleLogo = "logo.svg" }, "SLUICE_CONSOLE_LOGO"},
		"a logo with a user":         {func(s *Settings) { s.ConsoleLogo = "https://me:s@cdn.example.com/logo.svg" }, "SLUICE_CONSOLE_LOGO"},
		"a logo with a directive":    {func(s *Settings) { s.ConsoleLogo = "https://cdn.example.com; script-src */logo.svg" }, "SLUICE_CONSOLE_LOGO"},
		"a logo with a line feed":    {func(s *Settings) { s.ConsoleLogo = "https://cdn.example.com/\nlogo.svg" }, "SLUICE_CONSOLE_LOGO"},
		"a logo with a quote":        {func(s *Settings) { s.ConsoleLogo = `https://cdn.example.com/"onerror="` }, "SLUICE_CONSOLE_LOGO"},
		"a logo with no such port":   {func(s *Settings) { s.ConsoleLogo = "https://cdn.example.com:99999/l" }, "SLUICE_CONSOLE_LOGO has the port 99999"},
		"a logo of too long an URL":  {func(s *Settings) { s.ConsoleLogo = "/" + strings.Repeat("a", 2048) }, "at most 2048"},
		"a logo of the longest URL":  {func(s *Settings) { s.ConsoleLogo = "/" + strings.Repeat("a", 2047) }, ""},
		"a name in any script":       {func(s *Settings) { s.ConsoleName = "Büro & Söhne <3" }, ""},
		"a name of the most letters": {func(s *Settings) { s.ConsoleName = strings.Repeat("ö", 64) }, ""},
		"too long a name":            {func(s *Settings) { s.ConsoleName = strings.Repeat("ö", 65) }, "SLUICE_CONSOLE_NAME has more than 64"},
		"no name":                    {func(s *Settings) { s.ConsoleName = "" }, "SLUICE_CONSOLE_NAME is empty"},
		"a name that turns around":   {func(s *Settings) { s.ConsoleName = "a\u202eb" }, "SLUICE_CONSOLE_NAME has an invisible character"},
		"a colour":                   {func(s *Settings) { s.ConsoleAccent = "#0B5fff" }, ""},
		"a short colour":             {func(s *Settings) { s.ConsoleAccent = "#0bf" }, `SLUICE_CONSOLE_ACCENT is "#0bf"; write the colour as`},
		"a colour by name":           {func(s *Settings) { s.ConsoleAccent = "red" }, "SLUICE_CONSOLE_ACCENT"},
		"a colour and a rule":        {func(s *Settings) { s.ConsoleAccent = "#000000;}*{x:y" }, "SLUICE_CONSOLE_ACCENT"},
		"a colour and a line":        {func(s *Settings) { s.ConsoleAccent = "#000000\n" }, "SLUICE_CONSOLE_ACCENT"},
	} {
		s := Default()
		c.change(&s)
		err := errors.Join(s.Validate()...)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestOriginsForTheHeader(t *testing.T) {
	s := Default()
	s.ConsoleOrigins, s.ConsoleLogo = " https://a.example.com,,https://b.example.com:8443  http://localhost:1 ", "https://cdn.example.com:8443/logo.svg"
	origins, err := s.FrameOrigins()
	if want := []string{"https://a.example.com", "https://b.example.com:8443", "http://localhost:1"}; err != nil || !slices.Equal(origins, want) {
		t.Errorf("%v, %v, want %v", origins, err, want)
	}
	if logo, err := s.LogoOrigin(); err != nil || logo != "https://cdn.example.com:8443" {
		t.Errorf("%q, %v", logo, err)
	}
	for _, own := range []string{"", "/logo.svg"} {
		s.ConsoleLogo = own
		if logo, err := s.LogoOrigin(); err != nil || logo != "" {
			t.Errorf("%q has the origin %q, %v", own, logo, err)
		}
	}
}
