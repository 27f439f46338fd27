package main

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// bucketReady is the first message of the S3 server's process.
type bucketReady struct{ URL, Control string }

// bucketConfig says how slow an S3 server is.
type bucketConfig struct {
	Hangs bool // requests get no response
	Rate  int  // bytes a second at which a body is read; 0: at once
}

// bucket is the part of an S3 server that an upload needs. It counts the bytes
// and discards them.
type bucket struct {
	bucketConfig
	mu      sync.Mutex
	uploads map[string]int64 // bytes by key, of incomplete files
	files   []int64          // bytes of complete files
}

func bucketPart(ctx context.Context, config []byte, say func(any) error) error {
	b := &bucket{uploads: make(map[string]int64), files: []int64{}}
	if err := json.Unmarshal(config, &b.bucketConfig); err != nil {
		return err
	}
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
	n, err := b.read(req)
	if err != nil {
		return
	}
	if b.Hangs {
		<-req.Context().Done()
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

// read discards a body and returns its size.
func (b *bucket) read(req *http.Request) (size int64, err error) {
	if b.Rate == 0 {
		return io.Copy(io.Discard, req.Body)
	}
	for {
		n, err := io.CopyN(io.Discard, req.Body, int64(b.Rate/10))
		if size += n; errors.Is(err, io.EOF) {
			return size, nil
		}
		if err != nil {
			return size, err
		}
		if err := sleep(req.Context(), time.Second/10); err != nil {
			return size, err
		}
	}
}

func answer(w io.Writer, name, content string) {
	_, _ = fmt.Fprintf(w, "%s<%s>%s</%s>", xml.Header, name, content, name)
}
