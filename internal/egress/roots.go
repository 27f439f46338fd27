package egress

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxCABytes limits the file of certificates; all public authorities together have a
// quarter of a MiB.
const maxCABytes = 4 << 20

// readRoots returns the system's certificate authorities and those in a file of
// certificates in PEM form, or nil without a file.
func readRoots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	content, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("SLUICE_CA_FILE is %q, which cannot be read: %w; name a file of certificates in PEM form that this user may read", path, err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("the certificates of the system, to which those of SLUICE_CA_FILE are added, cannot be read: %w", err)
	}
	if err := add(pool, content); err != nil {
		return nil, fmt.Errorf("SLUICE_CA_FILE is %q, which %w; it must have nothing but certificates in PEM form", path, err)
	}
	return pool, nil
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxCABytes+1))
	if err == nil && len(content) > maxCABytes {
		err = fmt.Errorf("it is larger than %d bytes", maxCABytes)
	}
	return content, err
}

// add adds all certificates of a PEM file. It is stricter than AppendCertsFromPEM, which
// passes over what it cannot read: a receiver would be unreachable later.
func add(pool *x509.CertPool, content []byte) error {
	for n := 1; ; n++ {
		block, rest := pem.Decode(content)
		if block == nil && n == 1 {
			return errors.New("has no certificate")
		}
		if block == nil {
			return nil
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("has a %s as its block %d", block.Type, n)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("has a damaged certificate as its block %d (%w)", n, err)
		}
		pool.AddCert(cert)
		content = rest
	}
}
