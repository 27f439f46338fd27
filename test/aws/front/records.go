package front

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
)

// throttleRecords puts every other record of a PutRecords and reports the first,
// the third and so on as throttled.
func (f *Front) throttleRecords(w http.ResponseWriter, r *http.Request, c call, backend http.Handler) {
	var request map[string]json.RawMessage
	var records []json.RawMessage
	if json.Unmarshal(c.body, &request) != nil || json.Unmarshal(request["Records"], &records) != nil || len(records) == 0 {
		refuse(w, r, call{service: Kinesis}, Throttle)
		return
	}
	var through []json.RawMessage
	for i, record := range records {
		if i%2 == 1 {
			through = append(through, record)
		}
	}
	var put struct{ Records []map[string]any }
	if through != nil {
		request["Records"] = encode(through)
		got := forwardBody(r, encode(request), backend)
		if got.Code != http.StatusOK || json.Unmarshal(got.Body.Bytes(), &put) != nil || len(put.Records) != len(through) {
			w.WriteHeader(got.Code)
			_, _ = w.Write(got.Body.Bytes()) // the caller is gone, if anything
			return
		}
	}
	results := make([]map[string]any, len(records))
	failed := 0
	for i := range records {
		if i%2 == 1 {
			results[i] = put.Records[i/2]
		} else {
			results[i] = map[string]any{
				"ErrorCode":    "ProvisionedThroughputExceededException",
				"ErrorMessage": "Rate exceeded for shard shardId-000000000000 in a stream under account 123456789012.",
			}
		}
		if results[i]["ErrorCode"] != nil {
			failed++
		}
	}
	answer(w, http.StatusOK, "application/x-amz-json-1.1", map[string]any{"FailedRecordCount": failed, "Records": results})
}

// forwardBody forwards a request with another body.
func forwardBody(r *http.Request, body []byte, backend http.Handler) *httptest.ResponseRecorder {
	changed := r.Clone(r.Context())
	changed.Body = io.NopCloser(bytes.NewReader(body))
	changed.ContentLength = int64(len(body))
	changed.Header.Set("Content-Length", strconv.Itoa(len(body)))
	changed.Header.Del("Content-Encoding")
	recorder := httptest.NewRecorder()
	backend.ServeHTTP(recorder, changed)
	return recorder
}

func encode(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return text
}
