# `make` alone prints the targets. Needs Python 3.11 to 3.13 and access to the package registries; nothing else.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
INPUTS ?= 1000000
FAULTS ?= 50
BROKERS ?= 1
LOCK := requirements/lock.txt
# Makes the lock; whoever only uses it does not need it.
UV := uv==0.13.9
# Tests run in so many processes at once, each with a Kafka of its own: those with servers wait more than they compute.
PROCESSES ?= 3
# A file is run by one of them, the long ones before the short ones (as their directories are named).
TESTS := $(BIN)/pytest --dist loadfile --no-loadscope-reorder --numprocesses

.DEFAULT_GOAL := help
.PHONY: help venv lock demo check audit test test-fast faults mutations fuzz load clean

help: ## Print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## Make the virtual environment .venv with all that development needs

# Python of the right version: python3 if it will do, else the newest that will; a word on what is missing otherwise.
FIND_PYTHON = found=; fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; \
	for python in python3 python3.13 python3.12 python3.11; do \
	    if "$$python" -c "$$fits" 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "atp-stream needs Python 3.11, 3.12 or 3.13; python3 is: $$(python3 --version 2>&1)" >&2; exit 1; \
	fi; \
	if ! "$$found" -c 'import venv, ensurepip' 2>/dev/null; then \
	    echo "$$found lacks the venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; \
	fi
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check

# Exactly what is in the lock, each file by its checksum, and nothing that is built here but the project itself.
$(STAMP): pyproject.toml $(LOCK)
	@$(FIND_PYTHON); "$$found" -m tests.supply.lock check && "$$found" -m venv $(VENV)
	$(BIN)/python $(PIP_INSTALL) --require-hashes --only-binary :all: --requirement $(LOCK)
	@# What setuptools has to say of editable installations in general is not of interest here.
	PYTHONWARNINGS='ignore:Editable installation' $(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(LOCK):
	@echo "there is no $(LOCK): run \`make lock\`" >&2; exit 1

lock: ## Write requirements/lock.txt anew, after a change of dependencies in pyproject.toml
	@$(FIND_PYTHON); tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && "$$found" -m venv "$$tools" && \
	"$$tools/bin/python" $(PIP_INSTALL) '$(UV)' && PATH="$$tools/bin:$$PATH" "$$found" -m tests.supply.lock lock

demo: venv ## Watch it work: Kafka, registry, a worker and made-up events on this machine
	$(BIN)/atp-stream demo

check: venv ## Lint, formatting, types, import rules, dangerous calls, leaked secrets
	$(BIN)/python -m tests.supply.lock check
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive atp_stream
	$(BIN)/python -m tests.supply.leaks

audit: venv ## Ask whether vulnerabilities are known of anything in the lock (needs the internet)
	$(BIN)/python -m tests.supply.audit

test: venv ## Run all tests (the first run fetches Kafka and a schema registry)
	$(TESTS) $(PROCESSES)

fuzz: venv ## Fuzz everything that comes from outside (INPUTS=1000000, SEED=1)
	$(BIN)/python -m tests.fuzz --inputs $(INPUTS) $(if $(SEED),--seed $(SEED))

faults: venv ## Inject faults into workers and brokers, and check everything (SEED, FAULTS=50, BROKERS=1)
	$(BIN)/python -m tests.faults run --faults $(FAULTS) --brokers $(BROKERS) $(if $(SEED),--seed $(SEED))

mutations: venv ## Take each guard of the promise out in turn: the campaign of faults must notice
	$(BIN)/python -m tests.faults mutations

load: venv ## Ask a worker 1,000 times a second while it processes 1,000 events a second (QUERIES, EVENTS)
	$(BIN)/python -m tests.load $(if $(QUERIES),--queries $(QUERIES)) $(if $(EVENTS),--events $(EVENTS))

test-fast: venv ## Run the tests that need no servers
	$(TESTS) logical -m "not integration"

clean: ## Remove everything that these targets made
	rm -rf $(VENV) fuzz-findings build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
