package httpfront

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// event is what the function reads of a request in payload format 2.0.
type event struct {
	Version         string            `json:"version"`
	RouteKey        string            `json:"routeKey"`
	RawPath         string            `json:"rawPath"`
	RawQueryString  string            `json:"rawQueryString"`
	Headers         map[string]string `json:"headers"`
	RequestContext  requestContext    `json:"requestContext"`
	Body            string            `json:"body,omitempty"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

type requestContext struct {
	Authorizer *authorizer `json:"authorizer,omitempty"`
	DomainName string      `json:"domainName"`
	HTTP       httpContext `json:"http"`
	RequestID  string      `json:"requestId"`
	RouteKey   string      `json:"routeKey"`
	Stage      string      `json:"stage"`
}

type authorizer struct {
	JWT *jwtContext `json:"jwt"`
}

// jwtContext is what the function gets of a verified token. Scopes are null because
// no route requires any.
type jwtContext struct {
	Claims map[string]string `json:"claims"`
	Scopes []string          `json:"scopes"`
}

type httpContext struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// request is a parsed request.
type request struct {
	id       string
	routeKey string
	claims   *jwtContext
	body     []byte
}

func (f *Front) event(r *http.Request, q request) []byte {
	source, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		source = r.RemoteAddr
	}
	e := event{
		Version:        "2.0",
		RouteKey:       q.routeKey,
		RawPath:        decoded(r.URL),
		RawQueryString: r.URL.RawQuery,
		Headers:        headers(r, len(q.body)),
		RequestContext: requestContext{
			DomainName: "sluice1234.execute-api.eu-central-1.amazonaws.com",
			HTTP:       httpContext{r.Method, decoded(r.URL), r.Proto, source, r.UserAgent()},
			RequestID:  q.id,
			RouteKey:   q.routeKey,
			Stage:      "$default",
		},
	}
	if q.claims != nil {
		e.RequestContext.Authorizer = &authorizer{q.claims}
	}
	if isText(r.Header.Get("Content-Type")) {
		e.Body = string(q.body)
	} else if len(q.body) > 0 {
		e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString(q.body), true
	}
	text, err := json.Marshal(e)
	if err != nil {
		panic(err) // text and numbers
	}
	return text
}

// hopByHop are the hop-by-hop headers.
var hopByHop = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Te": true,
	"Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "Expect": true,
}

// headers returns the request's headers with names in lower case and repeated ones
// joined, without cookies.
func headers(r *http.Request, size int) map[string]string {
	h := map[string]string{}
	for name, values := range r.Header {
		if !hopByHop[name] && name != "Cookie" {
			h[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	h["host"] = r.Host
	h["content-length"] = strconv.Itoa(size)
	return h
}

// isText reports whether a body of that type is passed on as text rather than in
// Base64.
func isText(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch kind {
	case "application/json", "application/javascript", "application/xml":
		return true
	}
	return strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+json") || strings.HasSuffix(kind, "+xml")
}

// respond writes the function's result, an object with a statusCode, and reports
// whether it could. API Gateway takes any other JSON as the body of a 200, which no
// function here uses. Format 2.0 has no multiValueHeaders.
func respond(w http.ResponseWriter, result []byte) bool {
	var response struct {
		StatusCode      int               `json:"statusCode"`
		Headers         map[string]string `json:"headers"`
		Body            string            `json:"body"`
		IsBase64Encoded bool              `json:"isBase64Encoded"`
	}
	if json.Unmarshal(result, &response) != nil || response.StatusCode < 100 || response.StatusCode > 599 {
		return false
	}
	body := []byte(response.Body)
	if response.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(response.Body); err != nil {
			return false
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for name, value := range response.Headers {
		name = http.CanonicalHeaderKey(name)
		if !hopByHop[name] && name != "Content-Length" {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(response.StatusCode)
	_, _ = io.Copy(w, strings.NewReader(string(body)))
	return true
}
