# `make demo` and `make test` do everything. They need Python 3.11+ and make. `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python
# The tests and the demo start hundreds of processes. Where a machine forbids Python to keep compiled modules, each of
# them would spend seconds on compiling the project again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help own demo test test-long screenshots check unit bench chaos simulate fuzz interface install lint types layers security \
        tests client audit format lock clean

# The first target, so that `make` alone starts nothing.
help:                         ## print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: install                 ## play a story on real parts (ARGS=--exit stops after it)
	@$(BIN)/gateway demo $(ARGS)

test: install                 ## run everything that CI runs
	@$(MAKE) --no-print-directory -j 2 lint types layers security client
	@$(MAKE) --no-print-directory tests

test-long: install            ## run the tests that take too long for every change
	$(BIN)/pytest -m long --timeout 0 $(ARGS)
	STATEFUL_EXAMPLES=100 $(BIN)/pytest tests/stateful --timeout 0 $(ARGS)

screenshots: install          ## write the states of the Billing page to .screenshots, in light and dark, narrow and wide
	SCREENSHOTS=.screenshots $(BIN)/pytest -n 0 -m "" tests/browser $(ARGS)

check: lint types layers unit ## run the quick checks: lint, types, layers and unit tests

bench: install                ## measure speed and memory (BASE=../tree compares with another working tree)
	$(RUN) -m tests.benchmarks.renewals
	$(RUN) -m tests.benchmarks.acknowledgement
	$(RUN) -m tests.benchmarks.merge
	$(RUN) -m tests.benchmarks.mixed
	$(RUN) -m tests.benchmarks.end_to_end
	$(RUN) -m tests.benchmarks.changes
	$(RUN) -m tests.benchmarks.reads
	$(RUN) -m tests.benchmarks.usage
	$(RUN) -m tests.benchmarks.scale
	$(RUN) -m tests.benchmarks.memory
	$(RUN) -m tests.benchmarks.adoption
	$(RUN) -m tests.benchmarks.billing_page
ifdef BASE
	$(RUN) -m tests.benchmarks.compare changes $(BASE)
	$(RUN) -m tests.benchmarks.compare merge $(BASE)
	$(RUN) -m tests.benchmarks.trees $(BASE)
endif

chaos: install                ## run all faults of queue and database under load, and rewrite their table in docs/operations.md
	$(RUN) -m tests.chaos --write $(ARGS)

simulate: install             ## let organizations live for years (SEED=7 YEARS=5 SEEDS=10 ORGANIZATIONS=20)
	$(RUN) -m tests.simulation --seed $(or $(SEED),1) --seeds $(or $(SEEDS),1) --years $(or $(YEARS),1) \
	  --organizations $(or $(ORGANIZATIONS),20)

fuzz: install                 ## fuzz ingress and drain, a minute each (ARGS="drained -max_total_time=600")
	$(RUN) -m tests.fuzz $(ARGS)

install: own                  ## install the locked dependencies into .venv
	@$(MAKE) --silent .venv/installed  # looks again, because `own` may have renamed .venv

# What root has left behind, another user can neither change nor delete, but rename.
own:
	@[ -w . ] || { echo "You may not write to this folder. Clone the project into a folder of yours." >&2; exit 1; }
	@for each in .venv .demo .hypothesis .*_cache; do \
	  if [ -e "$$each" ] && [ -n "$$(find "$$each" -maxdepth 2 ! -type l ! -writable -print -quit 2>/dev/null)" ]; then \
	    mv "$$each" "$$each.of-another-user.$$$$" && \
	    echo "Renamed $$each, because another user has written to it. Remove it with: sudo rm -r $$each.of-another-user.$$$$"; \
	  fi; \
	done

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	@$(RUN) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "Installing the locked dependencies into .venv …"
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-compile --requirement requirements.lock
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(RUN) -m compileall -qq -j 0 .venv/lib gateway handlers schemas || true  # root may own a __pycache__, which costs only time
	@touch $@

lint: install                 ## run ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install                ## run mypy
	$(BIN)/mypy

layers: install               ## check that imports point down only
	$(BIN)/lint-imports

security: install             ## run bandit (each exception has its reason on its line)
	$(BIN)/bandit --quiet --recursive gateway handlers schemas wsgi.py

client:                       ## compile a TypeScript client that is generated from docs/openapi.json
	@tests/client/check

audit: install                ## compare the locked versions with published advisories (needs their service)
	$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement requirements.lock

unit: install                 ## run the unit tests
	$(BIN)/pytest tests/unit $(ARGS)

tests: install                ## run the tests (ARGS go to pytest)
	$(BIN)/pytest $(ARGS)

format: install               ## fix what ruff can fix, and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install                 ## raise every pinned version
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --extra dev --extra demo --extra telemetry \
	  --no-annotate --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

clean:                        ## delete .venv and all caches
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

interface: install            ## rewrite docs/openapi.json and docs/interface.json
	REWRITE_INTERFACE=1 $(BIN)/pytest -n 0 tests/integration/endpoints/test_interface.py
