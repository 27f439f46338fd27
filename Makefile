# Build, run and test Sluice. `make help` lists the targets.

GOLANGCI_VERSION := v2.15.0
VERSION ?= $(shell git describe --tags --match 'v*' --dirty 2>/dev/null || echo devel)

# Number of parallel jobs, the timeouts of each package's tests and of the AWS
# scenarios, and the seconds shared by all fuzz targets. The defaults suit a small
# machine.
JOBS         ?= 2
TEST_TIMEOUT ?= 20m
AWS_TIMEOUT  ?= 30m
FUZZ_SECONDS ?= 60

# Property tests draw the same cases in every run of `make test`, so that a failure is
# of the change under test. `make explore` draws others: 0 is a new seed each time.
export RAPID_SEED ?= 1
CASES             ?= 20000

BIN     := bin/sluice
LDFLAGS := -s -w -X github.com/sluicehq/sluice/internal/version.Version=$(VERSION)

# The linter is built once per Go release and shared by all checkouts.
TOOLS    = $(shell go env GOCACHE)/sluice-tools
GOLANGCI = $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)-$(shell go env GOVERSION)

# Only the race detector needs cgo, and therefore a C compiler.
CC_FOUND = $(shell command -v $(firstword $(shell go env CC)) 2>/dev/null)

export CGO_ENABLED = 0

.DEFAULT_GOAL := help
.NOTPARALLEL:

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/sluice, a static binary
	go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/sluice

.PHONY: build-functions
build-functions: ## build the Lambda functions for deployment into build/
	@for dir in functions/*/; do \
		name=$$(basename $$dir); echo "==> build/$$name/bootstrap"; \
		GOOS=linux GOARCH=arm64 go build -buildvcs=false -tags lambda.norpc -trimpath \
			-ldflags '$(LDFLAGS) -buildid=' -o build/$$name/bootstrap ./$$dir || exit 1; \
		touch -t 198001010000 build/$$name/bootstrap; \
	done

.PHONY: run
run: build ## build and start a development node with its data in .sluice
	$(BIN) serve --dev

.PHONY: demo
demo: build ## run the whole tour unattended, in under a minute
	@go run ./test/demo $(BIN)

.PHONY: test
test: tidy vet lint aws-tools receivers contract-tools race scenarios-aws fuzz-short lint-template test-infra ## run every required check: vet, lint, tests, short fuzzing, deployment
	@echo "==> all passed"

.PHONY: tidy
tidy: ## check that go.mod and go.sum are tidy
	@echo "==> go mod tidy -diff"
	@go mod tidy -diff || { echo "go.mod or go.sum is not tidy: run 'go mod tidy'" >&2; exit 1; }
	@cd examples/receivers/go && go mod tidy -diff

.PHONY: vet
vet: ## run go vet
	@echo "==> go vet"
	@go vet ./...
	@cd examples/receivers/go && go vet ./...

.PHONY: lint
lint: $(GOLANGCI) ## run the pinned golangci-lint
	@echo "==> golangci-lint $(GOLANGCI_VERSION)"
	@$(GOLANGCI) run --allow-parallel-runners --concurrency $(JOBS) --timeout 10m ./...
	@cd infra && $(GOLANGCI) run --allow-parallel-runners --concurrency $(JOBS) --timeout 10m ./...
	@cd examples/receivers/go && $(GOLANGCI) run --allow-parallel-runners --concurrency $(JOBS) --timeout 10m ./...

.PHONY: fmt
fmt: $(GOLANGCI) ## format the code with the linter's formatters
	@$(GOLANGCI) fmt ./...

$(GOLANGCI):
	@echo "==> building golangci-lint $(GOLANGCI_VERSION), once (about two minutes)"
	@mkdir -p $(TOOLS)/new
	@GOFLAGS= GOBIN=$(TOOLS)/new go install -p $(JOBS) github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv $(TOOLS)/new/golangci-lint $@

# -count=1 because the test cache does not track the binary that test/e2e builds.
# The AWS scenarios, faults and deployments start many processes and run several times
# slower under the race detector, so scenarios-aws runs them without it.
# test/aws/golden runs the functions with it. test-console drives a browser.
RACED = $$(go list ./... | grep -vE '/test/(aws|aws/deploy|console)$$')

.PHONY: race
race: ## run the tests under the race detector, except scenarios-aws
ifneq ($(CC_FOUND),)
	@echo "==> go test -race"
	@CGO_ENABLED=1 go test -race -count=1 -p $(JOBS) -timeout $(TEST_TIMEOUT) $(RACED)
else ifdef CI
	@echo "==> go test -race needs a C compiler; none was found" >&2; exit 1
else
	@echo "==> go test"
	@echo "!!! No C compiler found: the tests run WITHOUT the race detector." >&2
	@echo "!!! Install gcc or clang to run 'make test' in full." >&2
	@go test -count=1 -p $(JOBS) -timeout $(TEST_TIMEOUT) $(RACED)
endif

.PHONY: explore
explore: ## try other cases of every property test, CASES (20,000) of the engine's
	@echo "==> property tests, new cases; a failure prints its seed"
	@RAPID_SEED=0 SLUICE_TEST_CASES=$(CASES) go test -count=1 -p $(JOBS) -timeout 6h \
		$$(go list -f '{{.ImportPath}} {{.TestImports}} {{.XTestImports}}' ./... | awk '/pgregory.net\/rapid/ { print $$1 }')

.PHONY: aws-tools
aws-tools: ## install the AWS emulators and template linters into .aws-tools
	@test/aws/tools/install.sh

.PHONY: receivers
receivers: ## install what the receivers in examples/ need, next to each
	@examples/receivers/install.sh

.PHONY: contract-tools
contract-tools: ## install the client generators and the API fuzzer into .contract-tools
	@test/contract/tools/install.sh

.PHONY: contract
contract: contract-tools ## compile and run generated clients, and fuzz the API for two minutes
	@SLUICE_CONTRACT_SECONDS=120 go test -count=1 -v -timeout $(TEST_TIMEOUT) ./test/contract

.PHONY: console-tools
console-tools: ## install what the tests of the web console need into .console-tools
	@test/console/tools/install.sh

.PHONY: test-console
test-console: console-tools ## check the types of the web console, and play it in headless Chromium
	@echo "==> go test, web console"
	@go test -count=1 -v -timeout $(TEST_TIMEOUT) ./test/console

.PHONY: screenshots
screenshots: console-tools ## draw the pictures of the web console in docs/images anew
	@CONSOLE_PICTURES=$(CURDIR)/docs/images go test -count=1 -timeout $(TEST_TIMEOUT) -run TestBrowser/pictures ./test/console

# What waits most runs side by side.
.PHONY: scenarios-aws
scenarios-aws: aws-tools console-tools ## run the scenarios and fault tests against the AWS deployment, on emulators, and test-deploy and test-console beside them
	@echo "==> go test, AWS scenarios, faults and deployments, web console"
	@go test -count=1 -p $(JOBS) -timeout $(AWS_TIMEOUT) ./test/aws ./test/aws/deploy ./test/console

.PHONY: test-deploy
test-deploy: aws-tools ## deploy the template by SAM and by CDK, to an emulator or ENDPOINT, and run the scenarios there
	@echo "==> go test, deployments"
	@SLUICE_DEPLOY_ENDPOINT=$(ENDPOINT) go test -count=1 -v -timeout $(AWS_TIMEOUT) ./test/aws/deploy

.PHONY: test-aws
test-aws: aws-tools ## run only the AWS tests; `make test` includes them
	@echo "==> go test, AWS"
	@go test -count=1 -p 1 -timeout $(AWS_TIMEOUT) ./internal/store/dynamo ./internal/eventlog/dynamo ./cmd/redrive ./test/aws/...

.PHONY: lint-template
lint-template: aws-tools ## lint template.yaml, its SAM translation and the state machine
	@echo "==> lint template.yaml and statemachine/"
	@infra/lint-template.sh

# -count=1 because the test cache does not track the template.
.PHONY: test-infra
test-infra: ## test the template and the CDK app
	@echo "==> go test, infra"
	@cd infra && go vet ./... && go test -count=1 -timeout $(TEST_TIMEOUT) ./...

.PHONY: synth
synth: build-functions ## synthesize the CDK templates into infra/cdk.out
	@cd infra && JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=20 go run .
	@echo "==> infra/cdk.out has the templates; next: make deploy-cdk STAGE=$(STAGE)"

STAGE ?= dev

.PHONY: deploy-sam
deploy-sam: build-functions ## deploy STAGE (dev) to AWS with the SAM CLI
	@sed -n '/^\[$(STAGE)\./,/^\]/p' samconfig.toml | grep -q '"Issuer=' || { echo "samconfig.toml has no stage $(STAGE)" >&2; exit 1; }
	@! sed -n '/^\[$(STAGE)\./,/^\]/p' samconfig.toml | grep -q issuer.example || { echo "first set Issuer and Audience of $(STAGE) in samconfig.toml" >&2; exit 1; }
	@sed -n '/^\[$(STAGE)\./,/^\]/p' samconfig.toml | grep -q '"AlarmTopicArn=' || echo "==> the alarms of $(STAGE) will not notify anyone: set AlarmTopicArn in samconfig.toml"
	@command -v sam >/dev/null || { echo "the SAM CLI is missing: install aws-sam-cli, or use 'make deploy-cdk', which needs only Node.js" >&2; exit 1; }
	sam deploy --template-file template.yaml --config-env $(STAGE)

.PHONY: deploy-cdk
deploy-cdk: build-functions ## deploy STAGE (dev) to AWS with the CDK, with a dashboard
	@sed -n '/"$(STAGE)": {/,/^      }/p' infra/cdk.json | grep -q '"Issuer"' || { echo "infra/cdk.json has no stage $(STAGE)" >&2; exit 1; }
	@! sed -n '/"$(STAGE)": {/,/^      }/p' infra/cdk.json | grep -q issuer.example || { echo "first set Issuer and Audience of $(STAGE) in infra/cdk.json" >&2; exit 1; }
	@sed -n '/"$(STAGE)": {/,/^      }/p' infra/cdk.json | grep -q '"AlarmTopicArn"' || echo "==> the alarms of $(STAGE) will not notify anyone: set AlarmTopicArn in infra/cdk.json"
	cd infra && npm ci --ignore-scripts --no-audit --no-fund && JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=20 npx cdk deploy sluice-$(STAGE)

.PHONY: invoke
invoke: ## run one Lambda function on one sample input: FN=fanout CASE=one-event
	@go run ./test/aws/invoke $(FN) $(CASE)

.PHONY: test-stack
test-stack: ## run the scenarios against a deployed stack, or the AWS services at ENDPOINT
	@SLUICE_TEST_ENDPOINT=$(ENDPOINT) go test -count=1 -v -timeout 30m ./test/aws/live

# Every fuzz target gets an equal share of FUZZ_SECONDS, between 1 and 5 seconds.
# A run that times out while a fuzz worker is busy can fail with only "context
# deadline exceeded". That is a Go artifact, not a finding, and is ignored.
.PHONY: fuzz-short
fuzz-short: ## run every fuzz target for a few seconds
	@files=$$(grep -rlE --include='*_test.go' '^func Fuzz' . | sort); \
	[ -n "$$files" ] || exit 0; \
	each=$$(( $(FUZZ_SECONDS) / $$(cat $$files | grep -cE '^func Fuzz') )); \
	[ $$each -ge 1 ] || each=1; [ $$each -le 5 ] || each=5; \
	for file in $$files; do \
		for name in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/p' $$file); do \
			echo "==> fuzz $$name in $$(dirname $$file), $$each s"; \
			out=$$(go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $${each}s -parallel $(JOBS) -timeout $(TEST_TIMEOUT) $$(dirname $$file) 2>&1) && continue; \
			case "$$out" in \
				*"Failing input"*|*panic*) ;; \
				*"context deadline exceeded"*) continue ;; \
			esac; \
			echo "$$out"; exit 1; \
		done; \
	done

.PHONY: bench
bench: build ## measure throughput, latency and cost against a plain HTTP client loop (six minutes)
	@go run ./bench $(ARGS)

.PHONY: soak
soak: build ## run a node for an hour under kills, full disks and churn, and balance the books (ARGS=-duration=10m)
	@go run ./test/soak $(ARGS)

.PHONY: bench-aws
bench-aws: aws-tools ## measure the cost of the Lambda functions
	@SLUICE_BENCH=1 go test ./test/aws/bench -run 'TestBench$$' -count=1 -v -timeout 60m -args $(ARGS)

.PHONY: cover
cover: ## write cover.out and print the total coverage
	go test -p $(JOBS) -timeout $(TEST_TIMEOUT) -coverpkg ./... -coverprofile cover.out ./...
	@go tool cover -func cover.out | tail -1

.PHONY: clean
clean: ## remove build output; keep the data in .sluice
	rm -rf bin build cover.out
