package front

import (
	"net/http"
	"strings"
)

// objectOperation names the operation of a request of S3, as its API does. The
// SDKs name it themselves wherever method and path do not tell.
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

// operations are in the order in which they are tried.
var operations = []struct {
	method string
	object bool // the path names an object, and not a bucket alone
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
