package awsenv

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
)

// busRule returns the rule of the event bus in the template: its paths by variable, and the
// input template.
func busRule(t *testing.T) (paths map[string]string, input string) {
	t.Helper()
	text, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, rule, found := strings.Cut(string(text), "  EventBusRule:\n")
	if !found {
		t.Fatal("template.yaml has no EventBusRule")
	}
	rule, _, _ = strings.Cut(rule, "\n\n")
	paths = map[string]string{}
	for _, m := range regexp.MustCompile(`(\w+): (\$\.\S+)`).FindAllStringSubmatch(rule, -1) {
		paths[m[1]] = m[2]
	}
	return paths, regexp.MustCompile(`InputTemplate: '(.*)'`).FindStringSubmatch(rule)[1]
}

// What EventBridge makes of an event is a plain record.
func TestEventsOfTheBusArePlainRecords(t *testing.T) {
	paths, record := busRule(t)
	var e map[string]any
	if err := json.Unmarshal([]byte(`{
		"version": "0", "id": "7bf73129-1428-4cd3-a780-95db273d1602", "detail-type": "order.created", "source": "orders",
		"account": "111122223333", "time": "2026-03-01T12:00:00Z", "region": "eu-west-1", "resources": [],
		"detail": {"tenant": "acme", "payload": {"order_id": "1001"}, "other": 1}
	}`), &e); err != nil {
		t.Fatal(err)
	}
	for name, path := range paths {
		value := any(e)
		for _, step := range strings.Split(path, ".")[1:] {
			value = value.(map[string]any)[step]
		}
		text, _ := json.Marshal(value)
		record = strings.ReplaceAll(record, fmt.Sprintf("<%s>", name), string(text))
	}
	draft, err := (&env{config: defaultConfig()}).decodePlain([]byte(record))
	if err != nil {
		t.Fatalf("%s: %v", record, err)
	}
	want := event.Draft{ID: "7bf73129-1428-4cd3-a780-95db273d1602", Tenant: "acme", Name: "order.created", Payload: []byte(`{"order_id":"1001"}`)}
	if diff := cmp.Diff(want, draft); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The limit is that of the API.
func TestLargestPlainRecord(t *testing.T) {
	e := &env{config: defaultConfig()}
	text := `{"tenant":"acme","name":"order.created","payload":{"a":""}}`
	for size, ok := range map[int]bool{256 << 10: true, 256<<10 + 1: false} {
		filled := strings.Replace(text, `""`, `"`+strings.Repeat("x", size-len(text))+`"`, 1)
		if _, err := e.decodePlain([]byte(filled)); (err == nil) != ok {
			t.Errorf("of %d bytes: %v", size, err)
		}
	}
}
