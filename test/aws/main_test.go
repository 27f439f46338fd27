// Package aws has the tests of the AWS shape: the real functions, deployed from
// template.yaml to stand-ins of the services they use. They are skipped where
// `make aws-tools` has not installed these, and fail if CI is set.
package aws

import (
	"flag"
	"os"
	"testing"

	"github.com/sluicehq/sluice/test/aws/emulators"
	"github.com/sluicehq/sluice/test/aws/stack"
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

// atOnce is how many tests run at a time. They wait more than they compute.
const atOnce = "16"

func testMain(m *testing.M) int {
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	defer stack.RemoveBuilt()
	return emulators.Run(m)
}
