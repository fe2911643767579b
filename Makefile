# pargo: every target is one line; `make` prints them.
GO      ?= go
TAGS    := nomsgpack
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -s -w -X main.version=$(VERSION)
PORT    ?= 1337
# What is compiled with the flags of the release is compiled once, whether for
# the binary, for the linter or for tests without the race detector.
AS_RELEASED := CGO_ENABLED=0 GOFLAGS="$$($(GO) env GOFLAGS) -trimpath"
modules = $(patsubst %,tests/%/node_modules/.package-lock.json,$(1))
# The packages whose tests take longest begin first: go test keeps this order.
LONGEST := ./server ./internal/migrate ./cmd/pargo ./internal/auth ./livequery ./internal/storage/...

.PHONY: help
help: ## print the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 20

.PHONY: build
build: ## build bin/pargo, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/pargo ./cmd/pargo

.PHONY: examples
examples: ## build the examples into bin
	CGO_ENABLED=0 $(GO) build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/hello-cloud ./examples/hello-cloud

.PHONY: run
run: build ## build and serve schema.json on the embedded database
	./bin/pargo serve --schema schema.json --startLiveQueryServer true --port $(PORT)

.PHONY: test
test: ## all tests that need no server, with the race detector
	$(GO) test -race -tags $(TAGS) -timeout 12m $(LONGEST) ./...

.PHONY: test-sdk
test-sdk: build examples $(call modules,sdk) ## the Parse JS SDK against the real binary (needs node)
	cd tests/sdk && npm test --silent

.PHONY: test-pages
test-pages: build $(call modules,pages) ## the pages for verification and new passwords in Chromium (needs node and chromium)
	cd tests/pages && npm test --silent

.PHONY: test-dropin
test-dropin: build $(call modules,sdk dropin) ## Parse Server and pargo on one database, in turn and at once (needs node and a database server)
	cd tests/dropin && npm test --silent

# npm writes this file last.
tests/%/node_modules/.package-lock.json: tests/%/package-lock.json
	cd tests/$* && npm ci --no-audit --no-fund --silent && touch node_modules/.package-lock.json

.PHONY: node-modules
node-modules: $(call modules,sdk pages dropin) ## what the tests in node need

.PHONY: lint
lint: ## golangci-lint, at the version in .golangci-version
	$(AS_RELEASED) $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(shell cat .golangci-version) run

.PHONY: vuln
vuln: ## known vulnerabilities in code that is called (needs vuln.go.dev)
	@.ci/vuln

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (default 20s)
	@for p in $$($(GO) list ./...); do for f in $$($(GO) test -tags $(TAGS) -list '^Fuzz' $$p | grep '^Fuzz'); do \
		$(GO) test -tags $(TAGS) -run '^$$' -fuzz "^$$f$$" -fuzztime $${FUZZTIME:-20s} $$p || exit 1; done; done

.PHONY: fuzz-security
fuzz-security: ## look for differences that tell of hidden values, for SECURITYTIME (default 60s)
	PARGO_DIFFERENCE_TIME=$${SECURITYTIME:-60s} $(AS_RELEASED) $(GO) test -tags $(TAGS) -count 1 -timeout 0 -run '^TestNoDifference$$' ./server

.PHONY: stress-live
stress-live: ## live queries: 100,000 subscriptions come and go, 5,000 clients never read
	PARGO_STRESS=50 $(GO) test -tags $(TAGS) -count 1 -timeout 0 -run 'TestSubscriptionsComeAndGo|TestSilentClients' -v ./livequery

.PHONY: flood
flood: build ## flood the server with FLOOD_CONNECTIONS (default 5000) for FLOOD_SECONDS (default 60)
	ulimit -n $$(ulimit -Hn); PARGO_FLOOD=$(CURDIR)/bin/pargo $(GO) test -tags $(TAGS) -count 1 -v -timeout 0 -run '^TestFullFlood$$' ./tests/flood

.PHONY: bench
bench: ## benchmarks of the hot paths
	$(GO) test -tags $(TAGS) -run '^$$' -bench . -benchmem ./...

.PHONY: cover
cover: ## test coverage by function
	$(GO) test -tags $(TAGS) -coverprofile coverage.txt ./... && $(GO) tool cover -func coverage.txt

.PHONY: docker
docker: ## build the container image
	docker build --build-arg VERSION=$(VERSION) -t pargo:$(VERSION) .

.PHONY: clean
clean: ## remove what the build made (never data)
	rm -rf bin coverage.txt
