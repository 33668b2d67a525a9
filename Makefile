# Thin by intent: each target is one or two commands that can be typed by hand.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
SOURCES := hatch_build.py protocol hub devnet clients/python cli loadtest scripts tests examples
CONFIG ?=

.DEFAULT_GOAL := help
.PHONY: help run dev demo test tools check unit fix native mutants fuzz load bench-hub bench-trust bench-services bench-signatures build logs health clean js constraints

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(VENV)/.run: pyproject.toml constraints.txt hatch_build.py
	@echo "Setting up $(VENV) (once; about half a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[hub,devnet]'
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt $(VENV)/.run
	@echo "Installing the test tools"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[hub,devnet,loadtest]' --group dev
	@touch $@

# The installation compiled it; again only after a change, so that it takes seconds.
$(VENV)/.native: $(VENV)/.run $(wildcard protocol/native/*.[ch]) protocol/native/compile.py
	@$(BIN)/python protocol/native/compile.py
	@touch $@

clients/js/node_modules/.package-lock.json: clients/js/package.json clients/js/package-lock.json
	npm --prefix clients/js ci --no-audit --no-fund --loglevel=error

run: $(VENV)/.run $(VENV)/.native ## Set up and start the whole product: hub, simulated chain
	@exec $(BIN)/realtime dev

dev: $(VENV)/.test $(VENV)/.native ## The same, restarting the hub when its source changes
	@exec $(BIN)/realtime dev --reload

demo: $(VENV)/.run $(VENV)/.native ## Run the whole story against the running hub, or against one of its own
	@exec $(BIN)/realtime demo

tools: $(VENV)/.run ## Get the programs that the tests need (as root, from the distribution)
	@$(BIN)/python scripts/get_test_tools.py

test: check js tools ## Every check and every test
	$(BIN)/python -m pytest -q
	npm --prefix clients/js test

check: $(VENV)/.test $(VENV)/.native ## Format, lint, strict types, import rules, generated files, deploy files
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/generate_tables.py --check
	$(BIN)/python scripts/generate_vectors.py --check
	$(BIN)/python scripts/generate_decision_vectors.py --check
	$(BIN)/python scripts/generate_settings.py --check
	$(BIN)/python scripts/check_deploy.py

unit: $(VENV)/.test $(VENV)/.native ## The quick tests alone
	$(BIN)/python -m pytest -q tests/unit -m 'not slow'

fix: $(VENV)/.test ## Format and mend what can be mended by itself
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

native: $(VENV)/.run ## Compile the native signatures into the source tree, or fail
	REALTIME_NATIVE=require $(BIN)/python protocol/native/compile.py

mutants: $(VENV)/.test $(VENV)/.native ## Remove each check of a verification in turn: a test must fail
	$(BIN)/python scripts/mutate_verification.py

fuzz: $(VENV)/.test ## Let libFuzzer compare the paths of a verification; FUZZ_RUNS=100000
	FUZZ_RUNS=$${FUZZ_RUNS:-100000} $(BIN)/python -m pytest -q --timeout 0 tests/unit/protocol/native/test_fuzz.py

examples/guards/express/node_modules/.package-lock.json: examples/guards/express/package-lock.json
	npm --prefix examples/guards/express ci --no-audit --no-fund --loglevel=error

# The example of a guard uses the client; both are ready after this.
js: clients/js/node_modules/.package-lock.json examples/guards/express/node_modules/.package-lock.json ## Build the JS client
	npm --prefix clients/js run build

load: $(VENV)/.test $(VENV)/.native ## Load the running hub for 20 s (LOAD=storm, watch, slow; LOAD=--help)
	@$(BIN)/python -m realtime_loadtest $(LOAD)

bench-hub: $(VENV)/.test $(VENV)/.native ## Measure the hub beside other servers (BENCH=--help tells more)
	@PYTHONPATH=loadtest $(BIN)/python -m bench.hub $(BENCH)

bench-trust: $(VENV)/.test $(VENV)/.native ## Measure how quickly trust is known and changes are heard
	@PYTHONPATH=loadtest $(BIN)/python -m bench.trust $(BENCH)

bench-services: $(VENV)/.test $(VENV)/.native ## Measure signatures checked over a service session
	@PYTHONPATH=loadtest $(BIN)/python -m bench.services $(BENCH)

bench-signatures: $(VENV)/.run $(VENV)/.native ## Measure signatures beside Ed25519 (BENCH=--help tells more)
	@PYTHONPATH=loadtest $(BIN)/python -m bench.signatures $(BENCH)

build: $(VENV)/.test js ## Build wheel, sdist and the JS package
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	@ls dist

logs: ## Follow the logs of the running product
	@tail -n 50 -F .realtime/logs/*.log

health: ## Ask the running hub how it is
	@curl --silent --show-error --fail-with-body http://127.0.0.1:$${REALTIME_HUB_PORT:-8080}/readyz; echo

constraints: ## Take the newest versions of what we depend on, and note them
	$(BIN)/python -m pip install --quiet --upgrade -e '.[hub,devnet,loadtest]' --group dev
	(head -1 constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | grep -vE '^(pip|setuptools)==') > constraints.new
	mv constraints.new constraints.txt

clean: ## Remove what was built (state in .realtime stays)
	rm -rf dist build clients/js/dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
