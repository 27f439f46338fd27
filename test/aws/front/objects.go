package front

import (
	"net/http"
	"strings"
)

// objectOperation returns the name of the S3 operation of a request. Where method
// and path are ambiguous, the SDK names the operation in the query.
func objectOperation(r *http.Request) string {
	query := r.URL.Query()
	if id := query.Get("x-id"); id != "" {
		return id
	}
	bucket, object, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	for _, o := range operations {
		if o.method == r.Method && o.object == (object != "") && (o.query == "" || query.Has(o.query)) {
			return o.name
		}
	}
	if bucket == "" {
		return "ListBuckets"
	}
	return r.Method
}

// operations are in matching order.
var operations = []struct {
	method string
	object bool // the path names an object, not just a bucket
	query  string
	name   string
}{
	{http.MethodPut, true, "uploadId", "UploadPart"},
	{http.MethodPut, true, "", "PutObject"},
	{http.MethodGet, true, "uploadId", "ListParts"},
	{http.MethodGet, true, "", "GetObject"},
	{http.MethodHead, true, "", "HeadObject"},
	{http.MethodDelete, true, "uploadId", "AbortMultipartUpload"},
	{http.MethodDelete, true, "", "DeleteObject"},
	{http.MethodPost, true, "uploads", "CreateMultipartUpload"},
	{http.MethodPost, true, "uploadId", "CompleteMultipartUpload"},
	{http.MethodPost, false, "delete", "DeleteObjects"},
	{http.MethodGet, false, "list-type", "ListObjectsV2"},
	{http.MethodGet, false, "uploads", "ListMultipartUploads"},
	{http.MethodPut, false, "", "CreateBucket"},
	{http.MethodHead, false, "", "HeadBucket"},
	{http.MethodDelete, false, "", "DeleteBucket"},
}
