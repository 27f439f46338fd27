// Package api embeds the contract of the HTTP API.
package api

import _ "embed"

// OpenAPI is the OpenAPI 3.1 document, in YAML. Callers must not modify it.
//
//go:embed openapi.yaml
var OpenAPI []byte
