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
	given := r.Header.Get("Content-Type")
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

// readBody returns the body of a request, of at most limit bytes.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	tooLarge := problem.New(problem.PayloadTooLarge, "The body has more than %d bytes, which is the most that is taken here; send less in one call.", limit)
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
	return b.Bytes(), nil
}
