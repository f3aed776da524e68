# `make demo` and `make test` do everything; they need Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python

.PHONY: demo test test-long bench fuzz interface install lint types layers security tests client audit format lock clean

demo: install                 ## play one organization's story on real parts (ARGS=--exit stops after it)
	@$(BIN)/gateway demo $(ARGS)

test: lint types layers security tests client ## everything CI runs

test-long: install            ## the tests that take too long for every change
	$(BIN)/pytest -m long $(ARGS)

bench: install                ## measure; never part of the tests
	$(RUN) -m tests.benchmarks.renewals
	$(RUN) -m tests.benchmarks.acknowledgement
	$(RUN) -m tests.benchmarks.end_to_end
	$(RUN) -m tests.benchmarks.changes
	$(RUN) -m tests.benchmarks.scale
	$(RUN) -m tests.benchmarks.memory

fuzz: install                 ## fuzz ingress, signed and drained, a minute each (ARGS="drained -max_total_time=600")
	$(RUN) -m tests.fuzz $(ARGS)

install: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	@test -x $(RUN) || $(PYTHON) -m venv .venv
	@echo "Installing the locked dependencies into .venv …"
	@$(RUN) -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

layers: install
	$(BIN)/lint-imports

security: install             ## bandit; each exception is explained on its line
	$(BIN)/bandit --quiet --recursive gateway handlers schemas wsgi.py

client:                       ## compile a TypeScript client that is generated from docs/openapi.json
	@tests/client/check

audit: install                ## compare the locked versions with published advisories; needs their service
	$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement requirements.lock

tests: install
	$(BIN)/pytest $(ARGS)

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install                 ## raise every pinned version
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --extra dev --extra demo \
	  --no-annotate --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

interface: install            ## write docs/openapi.json and docs/interface.json again
	REWRITE_INTERFACE=1 $(BIN)/pytest -n 0 tests/integration/test_interface.py
