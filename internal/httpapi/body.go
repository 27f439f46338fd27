package httpapi

import (
	"bytes"
	"errors"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/internal/problem"
)

const (
	mediaJSON       = "application/json"
	mediaMergePatch = "application/merge-patch+json"
	mediaNDJSON     = "application/x-ndjson"
)

// maxDocumentBytes bounds the body of a registration or an update.
const maxDocumentBytes = 64 << 10

// mediaType returns which of the accepted media types the body has. A body
// without a Content-Type is taken for JSON, which is what clients of the
// ancestor of this API send.
func mediaType(r *http.Request, accepted ...string) (string, error) {
	// Two of them contradict each other; the gateway of the functions joins them like this.
	given := strings.Join(r.Header.Values("Content-Type"), ",")
	if given == "" {
		return mediaJSON, nil
	}
	media, params, err := mime.ParseMediaType(given)
	charset := params["charset"]
	if err == nil && slices.Contains(accepted, media) && (charset == "" || strings.EqualFold(charset, "utf-8")) {
		return media, nil
	}
	return "", problem.New(problem.UnsupportedMediaType, "The Content-Type is %q; send %s, in UTF-8.", clip(given), strings.Join(accepted, " or "))
}

// checkEncoding refuses a compressed body by its header, as it would be read as
// broken JSON.
func checkEncoding(w http.ResponseWriter, r *http.Request) error {
	given := strings.Join(r.Header.Values("Content-Encoding"), ",")
	for coding := range strings.SplitSeq(given, ",") {
		if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
			w.Header().Set("Accept-Encoding", "identity") // RFC 9110, section 15.5.16
			return problem.New(problem.UnsupportedMediaType, "The Content-Encoding is %q; send the body uncompressed, without this header.", clip(given))
		}
	}
	return nil
}

// byteOrderMark may precede JSON and may be ignored (RFC 8259, section 8.1).
// Editors and shells of Windows write it.
const byteOrderMark = "\uFEFF"

// foreign are the first bytes of bodies that no header announces as what they are.
var foreign = []struct{ first, what string }{
	{"\x1f\x8b", "compressed with gzip; send it uncompressed"},
	{"\xff\xfe", "in UTF-16 or UTF-32; send it in UTF-8"},
	{"\xfe\xff", "in UTF-16; send it in UTF-8"},
	{"{\x00", "in UTF-16 or UTF-32; send it in UTF-8"},
	{"\x00", "in UTF-16 or UTF-32; send it in UTF-8"},
}

// checkText refuses a body that is not UTF-8 by its first bytes, and names what
// it is: a parser would only say that its first character is invalid.
func checkText(body []byte) error {
	for _, f := range foreign {
		if bytes.HasPrefix(body, []byte(f.first)) {
			return problem.New(problem.UnsupportedMediaType, "The body is %s.", f.what)
		}
	}
	return nil
}

// readBody returns the body of a request, of at most limit bytes, which is text
// that is not compressed.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	tooLarge := problem.New(problem.PayloadTooLarge, "The body has more than %d bytes, which is the most that is taken here; send less in one call.", limit)
	if err := checkEncoding(w, r); err != nil {
		return nil, err
	}
	if r.ContentLength > limit {
		return nil, tooLarge
	}
	if x, ok := w.(*exchange); ok {
		w = x.ResponseWriter // the server's own, which ends the connection
	}
	var b bytes.Buffer
	if r.ContentLength > 0 {
		b.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	_, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge
	}
	if err != nil {
		return nil, problem.Wrap(err, problem.InvalidRequest, "The body could not be read to its end; send it again.")
	}
	if err := checkText(b.Bytes()); err != nil {
		return nil, err
	}
	return bytes.TrimPrefix(b.Bytes(), []byte(byteOrderMark)), nil
}
