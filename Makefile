# `make help` lists what there is.
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help demo run build test bench lint typecheck format deps clean

help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## Shows a real problem being healed, on this machine, from nothing; DEMO_EXIT=1 ends it afterwards
	@./examples/demo/get-alertmanager.sh
	@node examples/demo/demo.mjs

run: build ## Starts the service with paramedic.yaml, or with the example when there is none
	@[ ! -e paramedic.yaml ] || exec node dist/cli.js serve --config paramedic.yaml; exec ./examples/run.sh

build: deps ## Installs the packages and compiles into dist/
	@npm run --silent build

test: ## Installs what the tests need, type-checks, lints and runs every test
	@./scripts/test-deps.sh
	@npm run --silent build
	@npm run --silent typecheck
	@npm run --silent lint
	@node scripts/run-tests.mjs

bench: build ## Runs the benchmarks, as ratios to raw baselines measured in the same run
	@npx --no-install tsc -p tsconfig.bench.json
	@node scripts/copy-files.mjs build/src
	@cp package.json build/
	@node build/bench/main.js

typecheck: deps ## Type-checks everything
	@npm run --silent typecheck

lint: deps ## Checks style and format
	@npm run --silent lint

format: deps ## Formats, and mends what can be mended
	@npm run --silent format

deps:
	@./scripts/npm-deps.sh

clean: ## Removes what was compiled; data in var/ stays
	@rm -rf dist build coverage
