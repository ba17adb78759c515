# Everything a contributor or CI runs. `make` lists it.

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: test
test: ## Test every module, with the race detector (ARGS= for go test)
	@scripts/test $(ARGS)

.PHONY: torture
torture: ## Kill a process at work 50 times, on every database (TORTURE_KILLS= for another number)
	cd internal/integration && TORTURE_KILLS=$(or $(TORTURE_KILLS),50) go test -count=1 -v -p 1 -timeout=30m -run TestKilled ./...

.PHONY: soak
soak: ## 20,000 payments on a bad day, on every store: nothing missing, twice or wrong (SOAK_N=, SOAK_SEED=)
	cd internal/integration && SOAK_N=$(or $(SOAK_N),20000) go test -count=1 -v -timeout=3h -run TestSoak ./soak

.PHONY: acceptance
acceptance: ## 2,000 paid intents, each delivered twice at once, with and without SIGKILLs (N= for fewer)
	cd examples && ACCEPTANCE_N=$(or $(N),2000) ACCEPTANCE_KILLS=5 go test -count=1 -v -timeout=15m ./internal/acceptance

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
