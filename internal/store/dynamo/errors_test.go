package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/store/dynamo"
)

const namespace = "com.amazonaws.dynamodb.v20120810#"

// answering returns a store whose database responds to each call, numbered from 1,
// with the error that the function returns, or with success for "".
func answering(t *testing.T, answer func(number int, op string) string) (*dynamo.Store, *wire) {
	t.Helper()
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(calls.Add(1))
		_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		body := answer(n, op)
		if body == "" {
			fmt.Fprint(w, "{}")
			return
		}
		status := http.StatusBadRequest
		if strings.Contains(body, "InternalServerError") {
			status = http.StatusInternalServerError
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	client := dynamodb.New(dynamodb.Options{
		Region: "eu-central-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	w := &wire{}
	return table{client, "t"}.via(w), w
}

func fault(code string) string {
	return fmt.Sprintf(`{"__type":"%s%s","message":"why"}`, namespace, code)
}

// cancelled returns the error of a transaction that was cancelled for the given
// reasons, one code per write.
func cancelled(codes ...string) string {
	var reasons []string
	for _, code := range codes {
		reasons = append(reasons, fmt.Sprintf(`{"Code":%q}`, code))
	}
	return fmt.Sprintf(`{"__type":"%sTransactionCanceledException","Message":"m","CancellationReasons":[%s]}`, namespace, strings.Join(reasons, ","))
}

func TestErrors(t *testing.T) {
	t.Parallel()
	one := []store.Write{store.PutTenant{Tenant: &store.Tenant{Name: "a"}}}
	two := []store.Write{one[0], entry(life, "x", base)}
	for _, c := range []struct {
		name   string
		writes []store.Write
		answer string
		want   problem.Code // "" for a conflict
		calls  string
	}{
		{"a condition", one, fault("ConditionalCheckFailedException"), "", "[PutItem:1]"},
		{"a transaction in the way", one, fault("TransactionConflictException"), problem.Unavailable, "[PutItem:8]"},
		{"throttled", one, fault("ThrottlingException"), problem.Unavailable, "[PutItem:3]"},
		{"too much throughput", one, fault("ProvisionedThroughputExceededException"), problem.Unavailable, "[PutItem:3]"},
		{"a fault of the service", one, fault("InternalServerError"), problem.Unavailable, "[PutItem:3]"},
		{"invalid", one, fault("ValidationException"), problem.Internal, "[PutItem:1]"},
		{"not allowed", one, fault("AccessDeniedException"), problem.Internal, "[PutItem:1]"},

		{"a transaction's condition", two, cancelled("None", "ConditionalCheckFailed"), "", "[TransactWriteItems:1]"},
		{"condition and conflict", two, cancelled("TransactionConflict", "ConditionalCheckFailed"), "", "[TransactWriteItems:1]"},
		{"condition, then conflict", two, cancelled("ConditionalCheckFailed", "TransactionConflict"), "", "[TransactWriteItems:1]"},
		{"size, then conflict", two, cancelled("ValidationError", "TransactionConflict"), problem.Internal, "[TransactWriteItems:1]"},
		{"condition and size", two, cancelled("ConditionalCheckFailed", "ItemCollectionSizeLimitExceeded"), "", "[TransactWriteItems:1]"},
		{"a transaction's conflict", two, cancelled("None", "TransactionConflict"), problem.Unavailable, "[TransactWriteItems:8]"},
		{"a transaction's throttle", two, cancelled("ThrottlingError", "None"), problem.Unavailable, "[TransactWriteItems:8]"},
		{"a transaction's throughput", two, cancelled("None", "ProvisionedThroughputExceeded"), problem.Unavailable, "[TransactWriteItems:8]"},
		{"a transaction's size", two, cancelled("TransactionConflict", "ValidationError"), problem.Internal, "[TransactWriteItems:1]"},
		{"no reason", two, cancelled("None", "None"), problem.Unavailable, "[TransactWriteItems:1]"},
		{"a transaction is invalid", two, fault("ValidationException"), problem.Internal, "[TransactWriteItems:1]"},
		{"the same transaction is in progress", two, fault("TransactionInProgressException"), problem.Unavailable, "[TransactWriteItems:24]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, w := answering(t, func(int, string) string { return c.answer })
			err := s.Commit(t.Context(), c.writes...)
			if conflict := errors.Is(err, store.ErrConflict); conflict != (c.want == "") || !conflict && problem.CodeOf(err) != c.want {
				t.Errorf("got %v (%s), want %q", err, problem.CodeOf(err), c.want)
			}
			if got := w.count(); got != c.calls {
				t.Errorf("it took %s, want %s", got, c.calls)
			}
			if v := c.writes[0].(store.PutTenant).Tenant.Version; v != 0 {
				t.Errorf("the record given has version %d", v)
			}
		})
	}
}

// A cancelled transaction is retried with a new token: with the same one DynamoDB
// may return the same response. One in progress keeps its token.
func TestTokens(t *testing.T) {
	t.Parallel()
	for code, same := range map[string]bool{cancelled("TransactionConflict", "None"): false, fault("TransactionInProgressException"): true} {
		s, w := answering(t, func(int, string) string { return "" })
		var tokens []string
		w.change = func(c *call) (*http.Response, error) {
			tokens = append(tokens, c.body["ClientRequestToken"].(string))
			if len(tokens) == 1 {
				return c.answer(http.StatusBadRequest, code)
			}
			return c.pass()
		}
		in := &store.Tenant{Name: "a"}
		commit(t, s, store.PutTenant{Tenant: in}, entry(life, "x", base))
		if len(tokens) != 2 || (tokens[0] == tokens[1]) != same || len(tokens[0]) > 36 || in.Version == 0 {
			t.Errorf("%s: tokens %q, want two, the same one: %v", code, tokens, same)
		}
	}
}

// A write that conflicts with a transaction in progress is retried until it
// succeeds.
func TestBusyForAWhile(t *testing.T) {
	t.Parallel()
	for _, writes := range [][]store.Write{
		{store.PutTenant{Tenant: &store.Tenant{Name: "a"}}},
		{store.PutTenant{Tenant: &store.Tenant{Name: "a"}}, entry(life, "x", base)},
	} {
		s, _ := answering(t, func(n int, op string) string {
			if n > 3 {
				return ""
			}
			if op == "PutItem" {
				return fault("TransactionConflictException")
			}
			return cancelled("TransactionConflict", "None")
		})
		commit(t, s, writes...)
	}
}

func TestDelaysEndWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s, w := answering(t, func(n int, _ string) string {
		if n == 2 {
			cancel()
		}
		return fault("TransactionConflictException")
	})
	err := s.Commit(ctx, store.PutTenant{Tenant: &store.Tenant{Name: "a"}})
	if !errors.Is(err, context.Canceled) || problem.CodeOf(err) != problem.Unavailable || w.count() != "[PutItem:2]" {
		t.Errorf("got %v", err)
	}
}

func TestErrorsOfReads(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]problem.Code{
		"ThrottlingException": problem.Unavailable, "InternalServerError": problem.Unavailable, "AccessDeniedException": problem.Internal,
	} {
		s, _ := answering(t, func(int, string) string { return fault(code) })
		ctx := t.Context()
		for what, read := range map[string]func() error{
			"Tenant":        func() error { _, err := s.Tenant(ctx, "a"); return err },
			"Integrations":  func() error { _, err := s.Integrations(ctx, "a"); return err },
			"Due":           func() error { _, err := s.Due(ctx, base, 1); return err },
			"Entries":       func() error { _, err := s.Entries(ctx, life, 1); return err },
			"Rejected":      func() error { _, err := s.Rejected(ctx, life, "x"); return err },
			"FreeHistories": func() error { _, err := s.FreeHistories(ctx, 1); return err },
		} {
			if err := read(); problem.CodeOf(err) != want || strings.Contains(problem.MessageOf(err), code) {
				t.Errorf("%s with %s: got %v (%s), want %s", what, code, err, problem.CodeOf(err), want)
			}
		}
	}
}

// A batch of which nothing is processed fails, and the error says so.
func TestNothingProcessed(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	w := &wire{change: func(c *call) (*http.Response, error) {
		return c.answer(http.StatusOK, fmt.Sprintf(`{"UnprocessedKeys":{%q:{"Keys":[{"pk":{"S":"a"},"sk":{"S":"a"}},{"pk":{"S":"a"},"sk":{"S":"b"}}]}}}`, tb.name))
	}}
	_, err := tb.via(w).Rejected(t.Context(), life, "x")
	if problem.CodeOf(err) != problem.Unavailable || w.count() != "[BatchGetItem:8]" {
		t.Errorf("got %v", err)
	}
}
