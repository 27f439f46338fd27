package httpapi

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/internal/fairshare"
	"github.com/sluicehq/sluice/internal/problem"
)

const (
	mediaJSON       = "application/json"
	mediaMergePatch = "application/merge-patch+json"
	mediaNDJSON     = "application/x-ndjson"
)

// maxDocumentBytes bounds the body of a registration or an update.
const maxDocumentBytes = 64 << 10

// documentMemory is how many times its size a document takes while it is decoded and merged.
const documentMemory = 16

// mediaType returns the body's media type, which must be one of accepted. A body
// without a Content-Type counts as JSON: clients of this API's predecessor send
// none.
func mediaType(r *http.Request, accepted ...string) (string, error) {
	// Two headers contradict each other. API Gateway joins them with a comma too.
	given := strings.Join(r.Header.Values("Content-Type"), ",")
	if given == "" {
		return mediaJSON, nil
	}
	media, params, err := mime.ParseMediaType(given)
	charset := params["charset"]
	if err == nil && slices.Contains(accepted, media) && (charset == "" || strings.EqualFold(charset, "utf-8")) {
		return media, nil
	}
	return "", problem.New(problem.UnsupportedMediaType, "The Content-Type %q is not supported here; send %s, in UTF-8.", clip(given), strings.Join(accepted, " or "))
}

// checkEncoding refuses a body that its Content-Encoding calls compressed; it
// would otherwise fail as invalid JSON.
func checkEncoding(x *exchange, r *http.Request) error {
	given := strings.Join(r.Header.Values("Content-Encoding"), ",")
	for coding := range strings.SplitSeq(given, ",") {
		if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
			x.Header().Set("Accept-Encoding", "identity") // RFC 9110, section 15.5.16
			return problem.New(problem.UnsupportedMediaType, "The Content-Encoding %q is not supported; send the body uncompressed, without this header.", clip(given))
		}
	}
	return nil
}

// byteOrderMark may precede JSON; parsers may ignore it (RFC 8259, section 8.1).
// Windows editors and shells write it.
const byteOrderMark = "\uFEFF"

// unsupported lists the first bytes of encodings that no header announces.
var unsupported = []struct{ first, what string }{
	{"\x1f\x8b", "compressed with gzip; send it uncompressed"},
	{"\xff\xfe", "in UTF-16 or UTF-32; send it in UTF-8"},
	{"\xfe\xff", "in UTF-16; send it in UTF-8"},
	{"{\x00", "in UTF-16 or UTF-32; send it in UTF-8"},
	{"\x00", "in UTF-16 or UTF-32; send it in UTF-8"},
}

// checkText recognizes a compressed or UTF-16 body by its first bytes and names
// its encoding. The JSON parser would only report an invalid first character.
func checkText(body []byte) error {
	for _, f := range unsupported {
		if bytes.HasPrefix(body, []byte(f.first)) {
			return problem.New(problem.UnsupportedMediaType, "The body is %s.", f.what)
		}
	}
	return nil
}

// readBody returns the request's body, without a byte order mark. A body of more
// than limit bytes is problem.PayloadTooLarge; a compressed one, or one in
// UTF-16, is problem.UnsupportedMediaType; one for which x may hold no more memory
// is problem.Unavailable.
func readBody(x *exchange, r *http.Request, limit int64) ([]byte, error) {
	tooLarge := problem.New(problem.PayloadTooLarge, "The body exceeds the limit of %d bytes; send less per call.", limit)
	if err := checkEncoding(x, r); err != nil {
		return nil, err
	}
	length := r.ContentLength
	if length > limit {
		return nil, tooLarge
	}
	if length < 0 {
		length = limit
	}
	// MaxBytesReader closes the connection only through the server's own writer.
	body, err := receive(http.MaxBytesReader(x.ResponseWriter, r.Body, limit), length, &x.memory)
	x.unread = err != nil
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge
	}
	if errors.Is(err, errNoMemory) {
		return nil, err
	}
	if err != nil {
		return nil, problem.Wrap(err, problem.InvalidRequest, "The body could not be read completely; send it again.")
	}
	if err := checkText(body); err != nil {
		return nil, err
	}
	return bytes.TrimPrefix(body, []byte(byteOrderMark)), nil
}

// A body's buffer has firstBuffer bytes at first, and then at most bufferGrowth times what
// has arrived: a caller that announces a body without sending it holds next to nothing.
const (
	firstBuffer  = 4 << 10
	bufferGrowth = 4
)

// errNoMemory is what a call gets that would hold more memory than its tenant may.
var errNoMemory = problem.New(problem.Unavailable,
	"The calls in flight hold as much memory as they may (SLUICE_MAX_BODY_MEMORY). Nothing was done; send this call again later, and fewer or smaller ones at a time.")

// receive reads from to its end, at most length bytes and what reveals that there are more.
// It holds the buffer's memory, and holds it still when it returns.
func receive(from io.Reader, length int64, memory *fairshare.Hold) ([]byte, error) {
	var body []byte
	for size := int64(firstBuffer); ; size = bufferGrowth * int64(len(body)) {
		size = min(size, length+1) // room for one more: at the end, a read gets nothing
		if size <= int64(len(body)) {
			return nil, errors.New("the body is longer than its Content-Length")
		}
		if !memory.Grow(size) {
			return nil, errNoMemory
		}
		body = append(make([]byte, 0, size), body...)
		for len(body) < cap(body) {
			n, err := from.Read(body[len(body):cap(body)])
			body = body[:len(body)+n]
			if errors.Is(err, io.EOF) {
				return body, nil
			}
			if err != nil {
				return nil, err
			}
		}
	}
}
