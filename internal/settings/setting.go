package settings

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Setting is one row of a table of settings. It implements flag.Value and
// pflag.Value. Create one with Count, Bound, Duration, Size, Text or Bool; setting it
// sets the variable it was created with.
type Setting struct {
	Name string // of the flag: "max-integrations"
	Doc  string
	value
}

// value is a variable in text form. Set accepts what String returns.
type value interface {
	String() string
	Set(text string) error
	Type() string
}

// envPrefix starts the name of every environment variable of Sluice.
const envPrefix = "SLUICE_"

// Env returns the name of the environment variable: "SLUICE_MAX_INTEGRATIONS".
func (s Setting) Env() string { return envPrefix + strings.ToUpper(s.Key()) }

// Key returns the name in the config file: "max_integrations".
func (s Setting) Key() string { return strings.ReplaceAll(s.Name, "-", "_") }

type count int

// Count returns a row for an integer.
func Count(name, doc string, to *int) Setting { return Setting{name, doc, (*count)(to)} }

func (v *count) String() string { return strconv.Itoa(int(*v)) }
func (v *count) Type() string   { return "count" }
func (v *count) positive() bool { return *v > 0 }
func (v *count) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil {
		return fmt.Errorf("%q is not an integer", s)
	}
	*v = count(n)
	return nil
}

type bound int

// Bound returns a row for an integer of which 0 stands for what the system allows.
func Bound(name, doc string, to *int) Setting { return Setting{name, doc, (*bound)(to)} }

func (v *bound) String() string { return strconv.Itoa(int(*v)) }
func (v *bound) Type() string   { return "count" }
func (v *bound) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is not an integer of at least 0", s)
	}
	*v = bound(n)
	return nil
}

type duration time.Duration

// Duration returns a row for a duration, written like 300s, 5m or 72h.
func Duration(name, doc string, to *time.Duration) Setting {
	return Setting{name, doc, (*duration)(to)}
}

func (v *duration) String() string {
	text := time.Duration(*v).String() // 72h0m0s
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
func (v *duration) Type() string   { return "duration" }
func (v *duration) positive() bool { return *v > 0 }
func (v *duration) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is not a duration; write it like 300s, 5m or 72h", s)
	}
	*v = duration(d)
	return nil
}

type period duration

// Period returns a row for a duration of which 0 stands for none.
func Period(name, doc string, to *time.Duration) Setting { return Setting{name, doc, (*period)(to)} }

func (v *period) String() string { return (*duration)(v).String() }
func (v *period) Type() string   { return "duration" }
func (v *period) Set(s string) error {
	var d duration
	if err := d.Set(s); err != nil {
		return err
	}
	if d < 0 {
		return fmt.Errorf("%q is less than 0", s)
	}
	*v = period(d)
	return nil
}

type size int64

// Size returns a row for a number of bytes, written as such or like 256KiB or
// 50MiB; at most 4 EiB.
func Size(name, doc string, to *int64) Setting { return Setting{name, doc, (*size)(to)} }

func (v *size) String() string {
	n := int64(*v)
	for _, u := range sizeUnits {
		if n != 0 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}
func (v *size) Type() string   { return "size" }
func (v *size) positive() bool { return *v > 0 }
func (v *size) Set(s string) error {
	digits, unit := s, int64(1)
	for _, u := range sizeUnits {
		if d, ok := strings.CutSuffix(s, u.name); ok {
			digits, unit = d, u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if err != nil || n < 0 || n > maxSize/unit {
		return fmt.Errorf("%q is not a size; write a number of bytes, or use a unit as in 256KiB or 50MiB", s)
	}
	*v = size(n * unit)
	return nil
}

const maxSize = 1 << 62

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

type text string

// Text returns a row for any text.
func Text(name, doc string, to *string) Setting { return Setting{name, doc, (*text)(to)} }

func (v *text) String() string     { return string(*v) }
func (v *text) Type() string       { return "text" }
func (v *text) Set(s string) error { *v = text(s); return nil }

type boolean bool

// Bool returns a row for true or false.
func Bool(name, doc string, to *bool) Setting { return Setting{name, doc, (*boolean)(to)} }

func (v *boolean) String() string   { return strconv.FormatBool(bool(*v)) }
func (v *boolean) Type() string     { return "bool" }
func (v *boolean) IsBoolFlag() bool { return true }
func (v *boolean) Set(s string) error {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return fmt.Errorf("%q is neither true nor false", s)
	}
	*v = boolean(b)
	return nil
}
