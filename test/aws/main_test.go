// Package aws tests the AWS deployment: the real functions, deployed from
// template.yaml to emulators of the services they use. If `make aws-tools` has not
// installed these, the tests are skipped, or fail if CI is set.
package aws

import (
	"flag"
	"os"
	"testing"

	"github.com/sluicehq/sluice/test/aws/emulators"
	"github.com/sluicehq/sluice/test/aws/stack"
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

// atOnce is the number of parallel tests. They wait more than they compute.
const atOnce = "16"

func testMain(m *testing.M) int {
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	defer stack.RemoveBuilt()
	return emulators.Run(m)
}
