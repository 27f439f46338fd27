package main

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// bucketReady is the first message of the S3 server's process.
type bucketReady struct{ URL, Control string }

// bucket is the part of an S3 server that an upload needs. It counts the bytes
// and discards them.
type bucket struct {
	mu      sync.Mutex
	uploads map[string]int64 // bytes by key, of incomplete files
	files   []int64          // bytes of complete files
}

func bucketPart(ctx context.Context, _ []byte, say func(any) error) error {
	b := &bucket{uploads: make(map[string]int64), files: []int64{}}
	var ready bucketReady
	var err error
	if ready.URL, err = serve(ctx, b); err != nil {
		return err
	}
	if ready.Control, err = serve(ctx, http.HandlerFunc(b.list)); err != nil {
		return err
	}
	if err := say(ready); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// list responds with the sizes of the complete files.
func (b *bucket) list(w http.ResponseWriter, _ *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = json.NewEncoder(w).Encode(b.files)
}

// ServeHTTP handles one S3 request.
func (b *bucket) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	n, err := io.Copy(io.Discard, req.Body)
	if err != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	key, query := req.URL.Path, req.URL.Query()
	w.Header().Set("ETag", `"etag"`)
	switch {
	case req.Method == http.MethodPost && query.Has("uploads"):
		b.uploads[key] = 0
		answer(w, "InitiateMultipartUploadResult", "<UploadId>upload</UploadId>")
	case req.Method == http.MethodPut && query.Has("uploadId"):
		b.uploads[key] += n
	case req.Method == http.MethodPut:
		b.files = append(b.files, n)
	case req.Method == http.MethodPost && query.Has("uploadId"):
		b.files = append(b.files, b.uploads[key])
		delete(b.uploads, key)
		answer(w, "CompleteMultipartUploadResult", "<ETag>etag</ETag>")
	case req.Method == http.MethodDelete:
		delete(b.uploads, key)
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusNotImplemented)
	}
}

func answer(w io.Writer, name, content string) {
	_, _ = fmt.Fprintf(w, "%s<%s>%s</%s>", xml.Header, name, content, name)
}
