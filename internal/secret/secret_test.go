package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	jsonx "github.com/go-json-experiment/json"
	"go.yaml.in/yaml/v3"

	"github.com/sluicehq/sluice/internal/secret"
)

const clear = "hunter2-correct-horse"

type exported struct {
	Secret  secret.String
	Pointer *secret.String
	List    []secret.String
	Any     any
}

type hidden struct {
	name string
	key  secret.String
	ptr  *secret.String
	m    map[string]secret.String
	list []secret.String
}

type embedded struct{ secret.String }

// shapes are the values that may contain a secret when they are printed.
func shapes() map[string]any {
	s := secret.NewString(clear)
	h := hidden{name: "n", key: s, ptr: &s, m: map[string]secret.String{"k": s}, list: []secret.String{s}}
	return map[string]any{
		"value":           s,
		"pointer":         &s,
		"slice":           []secret.String{s},
		"array":           [1]secret.String{s},
		"map":             map[string]secret.String{"k": s},
		"map of any":      map[string]any{"k": s},
		"struct":          exported{s, &s, []secret.String{s}, s},
		"struct pointer":  &exported{s, &s, []secret.String{s}, &s},
		"hidden":          h,
		"hidden pointer":  &h,
		"embedded":        embedded{s},
		"hidden in a map": map[string]any{"k": h},
	}
}

// assertNoLeak searches for the secret in every form that an encoder may produce.
func assertNoLeak(t *testing.T, how, output string) {
	t.Helper()
	bytesPrinted := strings.Trim(fmt.Sprint([]byte(clear)), "[]")
	for _, form := range []string{
		clear, clear[:8],
		hex.EncodeToString([]byte(clear)), strings.ToUpper(hex.EncodeToString([]byte(clear))),
		fmt.Sprintf("% x", clear), fmt.Sprintf("% #x", clear),
		base64.StdEncoding.EncodeToString([]byte(clear)),
		bytesPrinted, strings.ReplaceAll(bytesPrinted, " ", ","),
	} {
		if strings.Contains(output, form) {
			t.Errorf("%s shows the secret: %s", how, output)
			return
		}
	}
}

func TestStringRedactsInFmt(t *testing.T) {
	formats := []string{
		"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%#x", "%d", "%t", "%c", "%U", "%b", "%o", "%e",
		"%p", "%T", "%w", "%z", "%10s", "%-30v|", "%.2s", "%+q", "%!", "no verb",
	}
	for name, shape := range shapes() {
		for _, format := range formats {
			assertNoLeak(t, name+" "+format, fmt.Sprintf(format, shape))
		}
		assertNoLeak(t, name+" Sprint", fmt.Sprint(shape))
		assertNoLeak(t, name+" Sprintln", fmt.Sprintln("x", shape))
		assertNoLeak(t, name+" Errorf", fmt.Errorf("failed with %v: %w", shape, errors.New("cause")).Error())
		assertNoLeak(t, name+" as its own text", fmt.Sprintf("%s", errors.Join(fmt.Errorf("a %+v", shape), errors.New("b"))))
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(format, secret.NewString(clear)); got != "[secret]" {
			t.Errorf("%s = %q, want [secret]", format, got)
		}
	}
}

func TestStringRedactsInEncodings(t *testing.T) {
	encoders := map[string]func(any) ([]byte, error){
		"json":        json.Marshal,
		"json indent": func(v any) ([]byte, error) { return json.MarshalIndent(v, "", " ") },
		"jsonx":       func(v any) ([]byte, error) { return jsonx.Marshal(v) },
		"xml":         xml.Marshal,
		"yaml":        yaml.Marshal,
		"gob": func(v any) ([]byte, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(v)
			return b.Bytes(), err
		},
		"slog text": func(v any) ([]byte, error) { return logged(textHandler, v), nil },
		"slog json": func(v any) ([]byte, error) { return logged(jsonHandler, v), nil },
	}
	for name, shape := range shapes() {
		for encoder, encode := range encoders {
			out, err := encode(shape)
			assertNoLeak(t, encoder+" of "+name, string(out))
			if err != nil { // some encoders reject some shapes; their error must not leak either
				assertNoLeak(t, encoder+" error of "+name, err.Error())
			}
		}
	}
	for encoder, want := range map[string]string{"json": `"[secret]"`, "jsonx": `"[secret]"`, "xml": `<String>[secret]</String>`, "yaml": "'[secret]'\n"} {
		out, err := encoders[encoder](secret.NewString(clear))
		if err != nil || string(out) != want {
			t.Errorf("%s = %s, %v; want %s", encoder, out, err, want)
		}
	}
	var attr struct {
		XMLName xml.Name      `xml:"a"`
		Key     secret.String `xml:"key,attr"`
	}
	attr.Key = secret.NewString(clear)
	out, err := xml.Marshal(attr)
	if err != nil || !strings.Contains(string(out), `key="[secret]"`) {
		t.Errorf("xml attribute: %s, %v", out, err)
	}
}

func textHandler(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) }
func jsonHandler(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) }

func logged(handler func(*bytes.Buffer) slog.Handler, v any) []byte {
	var b bytes.Buffer
	log := slog.New(handler(&b))
	log.Info("message", "value", v, slog.Group("g", "inner", v))
	log.With("value", v).WithGroup("g").Error("message", "err", fmt.Errorf("failed: %v", v))
	return b.Bytes()
}

func TestStringEqualRevealIsZero(t *testing.T) {
	a, b := secret.NewString(clear), secret.NewString(strings.Clone(clear))
	if !a.Equal(b) || a.Equal(secret.NewString(clear+"x")) || a.Equal(secret.String{}) {
		t.Error("Equal does not compare the clear text")
	}
	if a.Reveal() != clear || a.IsZero() {
		t.Error("Reveal or IsZero is wrong for a secret")
	}
	for _, zero := range []secret.String{{}, secret.NewString("")} {
		if zero.Reveal() != "" || !zero.IsZero() || !zero.Equal(secret.String{}) {
			t.Error("Reveal, IsZero or Equal is wrong for no secret")
		}
	}
}

func TestMask(t *testing.T) {
	for _, c := range []struct{ clear, want string }{
		{"", "********"},
		{"a", "********"},
		{"12345678901", "********"},
		{"123456789012", "********9012"},
		{"1234567890123", "********0123"},
		{strings.Repeat("é", 11), "********"},     // 22 bytes, 11 characters
		{strings.Repeat("é", 12), "********éééé"}, // cut between characters, not bytes
		{"12345678世界世界", "********世界世界"},
		{"1234567😀", "********"},
	} {
		if got := secret.NewString(c.clear).Mask(); got != c.want {
			t.Errorf("Mask(%q) = %q, want %q", c.clear, got, c.want)
		}
	}
}

func TestSealedIsZero(t *testing.T) {
	for _, c := range []struct {
		sealed secret.Sealed
		want   bool
	}{
		{secret.Sealed{}, true},
		{secret.Sealed{Mask: "********"}, true},
		{secret.Sealed{Ciphertext: []byte{}}, true},
		{secret.Sealed{Ciphertext: []byte{0}}, false},
	} {
		if got := c.sealed.IsZero(); got != c.want {
			t.Errorf("%+v: IsZero is %v", c.sealed, got)
		}
	}
}
