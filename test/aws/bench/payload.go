// Package bench measures the AWS shape on the local stand-ins of package stack:
// what Lambda would bill for, and which requests the functions make. It runs as
// a test that has to be asked for:
//
//	SLUICE_BENCH=1 go test ./test/aws/bench -run TestBench -v -timeout 30m
package bench

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

func newID() string { return uuid.NewString() }

// order is a payload like those of a shop, of about 1,000 bytes, of which no two
// are alike.
func order(i int) []byte {
	var items []string
	for n := range 5 {
		items = append(items, fmt.Sprintf(`{"sku":"SKU-%06d","name":"Product %d","quantity":%d,"price":{"amount":"%d.%02d","currency":"EUR"},"id":%q}`,
			(i*7919+n*104729)%1000000, (i+n)%97, 1+n%3, 3+(i*31+n)%200, (i*17+n*13)%100, newID()[:13]))
	}
	return fmt.Appendf(nil, `{"order_id":%q,"customer_id":%q,"status":"paid","channel":"web","shipping":{"country":"DE","city":"Hamburg","zip":"20%03d"},"items":[%s],"total":"%d.00","note":""}`,
		newID(), newID(), i%1000, strings.Join(items, ","), 20+i%400)
}

// noise is a payload of about so many bytes that compresses no better than any
// text of random characters does.
func noise(size int) []byte {
	random := make([]byte, size*3/4)
	_, _ = rand.Read(random) // it cannot fail
	return fmt.Appendf(nil, `{"blob":%q}`, base64.RawURLEncoding.EncodeToString(random))
}

// monotone is a payload of about so many bytes that compresses as well as
// anything does.
func monotone(size int) []byte {
	return fmt.Appendf(nil, `{"blob":%q}`, strings.Repeat("sluice ", size/7))
}
