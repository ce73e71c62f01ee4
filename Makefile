# `make help` lists what there is.
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help demo demo-youtility3 run build test bench compiled lint typecheck format deps clean

help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## Shows a real problem being healed, on this machine, from nothing; DEMO_EXIT=1 ends it afterwards
	@./examples/demo/get-alertmanager.sh
	@node examples/demo/demo.mjs

demo-youtility3: ## Shows YOUTILITY3 healed of BREAK=NAME on the real stack, as root; DEMO_EXIT=1 ends it afterwards
	@node examples/demo-youtility3/start.mjs --check
	@./scripts/test-deps.sh
	@$(MAKE) compiled
	@node examples/demo-youtility3/start.mjs

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

bench: compiled ## Runs the benchmarks, as ratios to raw baselines measured in the same run
	@node build/bench/main.js

# What runs outside Jest and is no part of the program: the benchmarks, and the stack of demo-youtility3.
compiled: build
	@npx --no-install tsc -p tsconfig.bench.json
	@node scripts/copy-files.mjs build/src
	@cp package.json build/

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
