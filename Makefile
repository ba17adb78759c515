# Everything a contributor or CI runs. `make` lists it.

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: test
test: ## Fuzz a little, then test every module with the race detector (ARGS= for go test alone)
	@scripts/test $(ARGS)

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME (10s); TARGET= for some of them
	@scripts/fuzz $(TARGET)

.PHONY: torture
torture: ## Kill a process at work 50 times, on every database (TORTURE_KILLS= for another number)
	@scripts/databases
	cd internal/integration && TORTURE_KILLS=$(or $(TORTURE_KILLS),50) go test -count=1 -v -p 1 -timeout=2h -run TestKilled ./...

.PHONY: soak
soak: ## 20,000 payments on a bad day, on every store: nothing missing, twice or wrong (SOAK_N=, SOAK_SEED=)
	@scripts/databases
	cd internal/integration && SOAK_N=$(or $(SOAK_N),20000) go test -count=1 -v -timeout=3h -run TestSoak ./soak

.PHONY: acceptance
acceptance: ## 2,000 paid intents, each delivered twice at once, on every database, by one server and two, with and without SIGKILLs (N= for fewer)
	@scripts/databases
	cd internal/integration && ACCEPTANCE_N=$(or $(N),2000) ACCEPTANCE_KILLS=5 go test -count=1 -v -timeout=30m ./acceptance

.PHONY: check
check: ## Format, vet, lint, tidiness, Go 1.22, known vulnerabilities
	@scripts/check

.PHONY: consumer
consumer: ## Build a module that imports all of the library, and see what it gets in its go.sum
	@scripts/consumer-check --self-test
	@scripts/consumer-check

.PHONY: quickstart
quickstart: ## One booking from checkout to confirmed, in a few seconds and without a C compiler
	CGO_ENABLED=0 go run ./examples/quickstart

.PHONY: ci
ci: ## All of the above, as CI does it
	@.ci/run
