# Everything a person or CI runs. `make` alone says what there is.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

GOLANGCI_LINT_VERSION := v2.15.0
GOVULNCHECK_VERSION := v1.8.0
FUZZTIME ?= 10s
BENCHSTAT_VERSION := v0.0.0-20260908200009-22c9c6c9d4da
BENCH ?= .
CONTACTS ?= 1000000
ROUNDS ?= 5
RECORDS ?= 100000
SEED ?=
CHAOS_ROUNDS ?= 200
CHAOS_STAYING ?= 140000
ONLY ?=
BENCHFLAGS ?=
OLD ?= main
NEW ?= HEAD

# Tools that the recipes fetch live beside the recipes, and win over what is installed.
export PATH := $(CURDIR)/.make/bin:$(PATH)

.PHONY: help
help: ## Show this help
	@echo 'make TARGET, with TARGET one of:'
	@echo
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  %-9s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo 'New here? `make demo` shows what the program does; `make test` says whether it works here.'

.PHONY: demo
demo: build ## See the whole story: review, publish, run, recycle bin, undo (nothing is kept)
	@bin/workflow demo

.PHONY: build
build: ## Build bin/workflow
	@mkdir -p bin
	@go build -o bin/workflow ./cmd/workflow

.PHONY: test
test: ## Run all tests; first installs redis-server where it is missing; SERVER=PATH takes that redis-server or valkey-server, or the one in that folder
	@if [ -n "$(SERVER)" ]; then dir=$$(mktemp -d); trap 'rm -r "$$dir"' EXIT; \
	.make/server.sh "$(SERVER)" "$$dir"; PATH="$$dir:$$PATH"; export PATH; fi; \
	.make/setup.sh && if go env CGO_ENABLED | grep -qx 1; then go test -race -shuffle=on -timeout 40m ./...; \
	else go test -shuffle=on -timeout 40m ./...; fi

.PHONY: server
server: ## Build a server for the tests from its pinned source, and say where it is: NAME (redis-6.2, redis-7.4, redis-8.2, valkey-8.0)
	@.make/build-server.sh '$(NAME)'

.PHONY: soak
soak: ## Records of all types through every operation, with crashes, against a plain model: RECORDS (100,000), SEED (random)
	@MIXED_RECORDS=$(RECORDS) MIXED_SEED=$(SEED) go test -count=1 -timeout 1h -run '^TestMixed$$' -v ./crmstore

.PHONY: chaos
chaos: ## Daemons that are killed, frozen and cut off, with servers that are, for CHAOS_ROUNDS (200) with each of four kinds of store; CHAOS_STAYING (140,000 contacts), SEED (random)
	@.make/setup.sh
	@export CHAOS_ROUNDS=$(CHAOS_ROUNDS) CHAOS_STAYING=$(CHAOS_STAYING) CHAOS_SEED=$(SEED); bad=; \
	for fsync in always everysec; do CHAOS_FSYNC=$$fsync go test -count=1 -timeout 4h -run '^TestChaos$$' -v ./cmd/workflow || bad=yes; done; \
	for kind in Cluster Sentinel; do go test -count=1 -timeout 4h -run "^TestChaos_$$kind$$" -v ./cmd/workflow || bad=yes; done; \
	test -z "$$bad"

.PHONY: lint
lint: ## Check style and common mistakes with golangci-lint (the first time builds it: about 2 minutes)
	@.make/tool.sh golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint $(GOLANGCI_LINT_VERSION)
	@.make/bin/golangci-lint run ./...

.PHONY: vet
vet: ## Check with go vet
	@go vet ./...

.PHONY: fmt
fmt: ## Format all Go files
	@gofmt -s -w $$(git ls-files --cached --others --exclude-standard '*.go')

.PHONY: fmt-check
fmt-check: ## Fail when a Go file is not formatted
	@bad=$$(gofmt -s -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
	if [ -n "$$bad" ]; then echo "not formatted (run make fmt):" >&2; echo "$$bad" >&2; exit 1; fi

.PHONY: gen
gen: ## Write the generated tables of docs/REFERENCE.md again
	@go run ./cmd/workflow reference > .make/REFERENCE.tmp
	@mv .make/REFERENCE.tmp docs/REFERENCE.md

.PHONY: gen-check
gen-check: ## Fail when a generated table is stale
	@go run ./cmd/workflow reference | diff -u docs/REFERENCE.md - >&2 || { echo "docs/REFERENCE.md is stale (run make gen)" >&2; exit 1; }

.PHONY: vuln
vuln: ## Look for known vulnerabilities in what we link; CI_REQUIRE_VULN=1 insists on an answer
	@.make/tool.sh govulncheck golang.org/x/vuln/cmd/govulncheck $(GOVULNCHECK_VERSION)
	@.make/vuln.sh

.PHONY: fuzz
fuzz: ## Fuzz each target for FUZZTIME (10s); FUZZTOTAL=seconds bounds the whole
	@.make/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: build ## Measure against the limits and the alternatives: CONTACTS (1,000,000), ROUNDS (5), ONLY (all)
	@go build -o bin/benchmark ./cmd/benchmark
	@bin/benchmark -program bin/workflow -contacts $(CONTACTS) -rounds $(ROUNDS) -only '$(ONLY)' $(BENCHFLAGS)

.PHONY: bench-go
bench-go: ## Run the Go benchmarks that match BENCH (all), with allocations
	@go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

.PHONY: benchstat
benchstat: ## Compare the Go benchmarks that match BENCH in two commits: OLD (main), NEW (HEAD)
	@.make/tool.sh benchstat golang.org/x/perf/cmd/benchstat $(BENCHSTAT_VERSION)
	@.make/benchstat.sh '$(OLD)' '$(NEW)' '$(BENCH)'

.PHONY: profile
profile: ## Profile the hot paths, processor and heap, into .make/tmp/profiles, and show the top of each
	@.make/profile.sh

.PHONY: check
check: ## Run all that CI runs
	@bash .ci/run

.PHONY: clean
clean: ## Remove what the targets above built and fetched
	@rm -rf bin .make/bin .make/tmp
