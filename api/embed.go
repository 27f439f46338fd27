// Package api has the contract of the HTTP API, as it is served.
package api

import _ "embed"

// OpenAPI is the OpenAPI 3.1 document, YAML. It must not be changed.
//
//go:embed openapi.yaml
var OpenAPI []byte
