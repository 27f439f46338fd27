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

// event is the request in payload format 2.0. The types of aws-lambda-go would add
// fields that API Gateway omits.
type event struct {
	Version               string            `json:"version"`
	RouteKey              string            `json:"routeKey"`
	RawPath               string            `json:"rawPath"`
	RawQueryString        string            `json:"rawQueryString"`
	Cookies               []string          `json:"cookies,omitempty"`
	Headers               map[string]string `json:"headers"`
	QueryStringParameters map[string]string `json:"queryStringParameters,omitempty"`
	RequestContext        requestContext    `json:"requestContext"`
	Body                  string            `json:"body,omitempty"`
	IsBase64Encoded       bool              `json:"isBase64Encoded"`
}

type requestContext struct {
	AccountID    string      `json:"accountId"`
	APIID        string      `json:"apiId"`
	Authorizer   *authorizer `json:"authorizer,omitempty"`
	DomainName   string      `json:"domainName"`
	DomainPrefix string      `json:"domainPrefix"`
	HTTP         httpContext `json:"http"`
	RequestID    string      `json:"requestId"`
	RouteKey     string      `json:"routeKey"`
	Stage        string      `json:"stage"`
	Time         string      `json:"time"`
	TimeEpoch    int64       `json:"timeEpoch"`
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
	now := f.now().UTC()
	source, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		source = r.RemoteAddr
	}
	e := event{
		Version:               "2.0",
		RouteKey:              q.routeKey,
		RawPath:               decoded(r.URL),
		RawQueryString:        r.URL.RawQuery,
		Headers:               headers(r, source, len(q.body)),
		QueryStringParameters: map[string]string{},
		RequestContext: requestContext{
			AccountID:    "123456789012",
			APIID:        "sluice1234",
			DomainName:   "sluice1234.execute-api.eu-central-1.amazonaws.com",
			DomainPrefix: "sluice1234",
			HTTP:         httpContext{r.Method, decoded(r.URL), r.Proto, source, r.UserAgent()},
			RequestID:    q.id,
			RouteKey:     q.routeKey,
			Stage:        "$default",
			Time:         now.Format("02/Jan/2006:15:04:05 +0000"),
			TimeEpoch:    now.UnixMilli(),
		},
	}
	if q.claims != nil {
		e.RequestContext.Authorizer = &authorizer{q.claims}
	}
	for _, line := range r.Header["Cookie"] {
		for cookie := range strings.SplitSeq(line, ";") {
			e.Cookies = append(e.Cookies, strings.TrimSpace(cookie))
		}
	}
	for name, values := range r.URL.Query() {
		e.QueryStringParameters[name] = strings.Join(values, ",")
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
// joined, without cookies, plus those that a gateway adds.
func headers(r *http.Request, source string, size int) map[string]string {
	h := map[string]string{}
	for name, values := range r.Header {
		if !hopByHop[name] && name != "Cookie" {
			h[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	h["host"] = r.Host
	h["content-length"] = strconv.Itoa(size)
	if before := h["x-forwarded-for"]; before != "" {
		source = before + ", " + source
	}
	h["x-forwarded-for"] = source
	h["x-forwarded-proto"] = "https"
	h["x-forwarded-port"] = "443"
	if h["x-amzn-trace-id"] == "" {
		h["x-amzn-trace-id"] = "Root=1-00000000-000000000000000000000000"
	}
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
		Cookies         []string          `json:"cookies"`
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
	for _, cookie := range response.Cookies {
		w.Header().Add("Set-Cookie", cookie)
	}
	w.WriteHeader(response.StatusCode)
	_, _ = io.Copy(w, strings.NewReader(string(body)))
	return true
}
