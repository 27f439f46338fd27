package settings

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sluicehq/sluice/internal/usertext"
)

const (
	maxConsoleName = 64 // characters
	maxConsoleURL  = 2048
	// maxConsoleOrigins bounds, in bytes, what becomes part of a header: API Gateway passes
	// 10 KiB of headers in all.
	maxConsoleOrigins = 4096
)

// The patterns have no character that ends a source of a Content-Security-Policy, or the header.
// Sources have no IPv6 addresses.
var (
	frameOrigin = regexp.MustCompile(`^(https://` + hostName + `|http://(?:localhost|127\.0\.0\.1))(:[0-9]{1,5})?$`)
	logoURL     = regexp.MustCompile(`^(https://` + hostName + `(?::[0-9]{1,5})?)?(/[!#-&(-;=?-\[\]_a-z~]*)?$`)
	accent      = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)
)

const hostName = `[0-9a-zA-Z](?:[0-9a-zA-Z.-]*[0-9a-zA-Z])?`

// FrameOrigins returns the origins of ConsoleOrigins, safe to put into a header.
func (s *Settings) FrameOrigins() ([]string, error) {
	if len(s.ConsoleOrigins) > maxConsoleOrigins {
		return nil, fmt.Errorf("SLUICE_CONSOLE_ORIGINS has %d bytes; it must have at most %d, as it becomes part of a header", len(s.ConsoleOrigins), maxConsoleOrigins)
	}
	origins := strings.FieldsFunc(s.ConsoleOrigins, func(r rune) bool { return r == ' ' || r == ',' })
	for _, origin := range origins {
		parts := frameOrigin.FindStringSubmatch(origin)
		if parts == nil || !validPort(parts[2]) {
			return nil, fmt.Errorf("SLUICE_CONSOLE_ORIGINS has %q; write each origin as https://host or https://host:port, without a path or *, or as http://localhost:port", usertext.Clip(origin, maxConsoleName))
		}
	}
	return origins, nil
}

// LogoOrigin returns the origin of ConsoleLogo, safe to put into a header; "" if that is a path
// on the console's own origin, or none is set.
func (s *Settings) LogoOrigin() (string, error) {
	parts := logoURL.FindStringSubmatch(s.ConsoleLogo)
	// Browsers take //host/path for another host.
	if parts == nil || parts[1] == "" && strings.HasPrefix(s.ConsoleLogo, "//") || len(s.ConsoleLogo) > maxConsoleURL {
		return "", fmt.Errorf("SLUICE_CONSOLE_LOGO is %q; it must be an https URL, or a path such as /logo.svg on the console's own origin, of at most %d characters that URLs have", usertext.Clip(s.ConsoleLogo, maxConsoleName), maxConsoleURL)
	}
	_, authority, _ := strings.Cut(parts[1], "://")
	if _, port, found := strings.Cut(authority, ":"); found && !validPort(":"+port) {
		return "", fmt.Errorf("SLUICE_CONSOLE_LOGO has the port %s; it must be from 1 to 65535", port)
	}
	return parts[1], nil
}

// validPort reports whether a port is one, or absent. It begins with a colon.
func validPort(port string) bool {
	n, err := strconv.ParseUint(strings.TrimPrefix(port, ":"), 10, 16)
	return port == "" || err == nil && n > 0
}

func (s *Settings) validateConsole() (errs []error) {
	if _, err := s.FrameOrigins(); err != nil {
		errs = append(errs, err)
	}
	if _, err := s.LogoOrigin(); err != nil {
		errs = append(errs, err)
	}
	switch err := usertext.Check(s.ConsoleName); {
	case s.ConsoleName == "":
		errs = append(errs, errors.New("SLUICE_CONSOLE_NAME is empty; name your platform, or leave it out for Sluice"))
	case err != nil:
		errs = append(errs, fmt.Errorf("SLUICE_CONSOLE_NAME %w", err))
	case utf8.RuneCountInString(s.ConsoleName) > maxConsoleName:
		errs = append(errs, fmt.Errorf("SLUICE_CONSOLE_NAME has more than %d characters; choose a shorter name", maxConsoleName))
	}
	if s.ConsoleAccent != "" && !accent.MatchString(s.ConsoleAccent) {
		errs = append(errs, fmt.Errorf("SLUICE_CONSOLE_ACCENT is %q; write the colour as # and six hexadecimal digits, such as #0b5fff", usertext.Clip(s.ConsoleAccent, maxConsoleName)))
	}
	return errs
}
