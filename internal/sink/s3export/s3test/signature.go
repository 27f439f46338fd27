// Package s3test simulates what is between an exporter and its bucket: S3's check
// of signatures, and a proxy that rewrites requests.
package s3test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// Signed responds with a 403, as S3 does, to requests that are not signed with the
// secret key, and passes others to next. It follows the specification of Signature
// Version 4, not the code of a client.
func Signed(secretKey string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := verify(r, secretKey); err != nil {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusForbidden)
			_, _ = fmt.Fprintf(w, "<Error><Code>SignatureDoesNotMatch</Code><Message>%v</Message></Error>", err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// SignedHeaders returns the names that the request's signature covers.
func SignedHeaders(r *http.Request) []string {
	return strings.Split(authorization(r)["SignedHeaders"], ";")
}

func authorization(r *http.Request) map[string]string {
	fields := map[string]string{}
	_, list, _ := strings.Cut(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	for field := range strings.SplitSeq(list, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		fields[name] = value
	}
	return fields
}

func verify(r *http.Request, secretKey string) error {
	auth, names := authorization(r), SignedHeaders(r)
	_, scope, _ := strings.Cut(auth["Credential"], "/")
	if must := mustSign(r); !slices.Contains(names, "host") || slices.ContainsFunc(must, func(n string) bool { return !slices.Contains(names, n) }) {
		return fmt.Errorf("signed are %v, missing is one of host and %v", names, must)
	}
	canonical := []string{r.Method, r.URL.EscapedPath(), canonicalQuery(r)}
	for _, name := range names {
		value := strings.Join(r.Header.Values(name), ",")
		if name == "host" {
			value = r.Host
		}
		canonical = append(canonical, name+":"+strings.TrimSpace(value))
	}
	canonical = append(canonical, "", strings.Join(names, ";"), r.Header.Get("X-Amz-Content-Sha256"))
	sum := sha256.Sum256([]byte(strings.Join(canonical, "\n")))
	key := []byte("AWS4" + secretKey)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	text := strings.Join([]string{"AWS4-HMAC-SHA256", r.Header.Get("X-Amz-Date"), scope, hex.EncodeToString(sum[:])}, "\n")
	if hex.EncodeToString(mac(key, text)) != auth["Signature"] {
		return fmt.Errorf("the signature over %v does not match", names)
	}
	return nil
}

// mustSign returns the headers of a request that S3 requires to be signed.
func mustSign(r *http.Request) []string {
	var names []string
	for name := range r.Header {
		if name = strings.ToLower(name); name == "content-type" || strings.HasPrefix(name, "x-amz-") {
			names = append(names, name)
		}
	}
	return names
}

// canonicalQuery sorts the query and adds "=" to a name without a value.
func canonicalQuery(r *http.Request) string {
	return strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20")
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = io.WriteString(h, text)
	return h.Sum(nil)
}
