package usertext

import (
	"errors"
	"fmt"
	"strings"
)

// MaxTenantBytes limits the name of a tenant.
const MaxTenantBytes = 128

// CheckTenant returns an error if tenant is not a valid name. Names are part of
// storage keys and of the keys of S3 files: 1 to MaxTenantBytes bytes that pass
// usertext.Check, without slashes, and neither "." nor "..". The error completes a
// sentence about the tenant: "contains a slash".
func CheckTenant(tenant string) error {
	switch {
	case tenant == "":
		return errors.New("is empty")
	case len(tenant) > MaxTenantBytes:
		return fmt.Errorf("is longer than %d bytes", MaxTenantBytes)
	case strings.Contains(tenant, "/"):
		return errors.New("contains a slash")
	case tenant == "." || tenant == "..":
		return errors.New("is a path (. or ..)")
	}
	return Check(tenant)
}
