package s3export

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// answeredEarly is the body of a request that was answered before net/http has
// looked for bytes beyond its length: the SDK has closed it, and its WriteTo says
// io.EOF.
type answeredEarly struct{ io.Reader }

func (answeredEarly) WriteTo(io.Writer) (int64, error) { return 0, io.EOF }
func (answeredEarly) Close() error                     { return nil }

// A long response that begins early is read to its end.
func TestResponseThatBeginsEarlyIsReadToItsEnd(t *testing.T) {
	const body = "<CompleteMultipartUpload/>"
	begun := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "<?xml?>\n")
		_ = http.NewResponseController(w).Flush()
		<-begun
		_, _ = io.WriteString(w, " the end")
	}))
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, answeredEarly{strings.NewReader(body)})
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = int64(len(body))
	client, closeIdle := newClient(t).newHTTP()
	defer closeIdle()
	res, err := client.Do(req)
	close(begun)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got, err := io.ReadAll(res.Body); err != nil || string(got) != "<?xml?>\n the end" {
		t.Errorf("the response is %q, %v; want all of it", got, err)
	}
}
