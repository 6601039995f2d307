# Everything sets itself up: on a fresh machine with Python 3.11+ and make, `make demo` and `make test` are enough.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test lint bench docs examples clean

demo: .venv/core.stamp  ## rank the bundled real runs from their first 10 %, and write a report
	@$(BIN)/earlycall rank examples/digits --budget 10%
	@$(BIN)/earlycall evaluate examples/digits --budgets 5%,10%,20%
	@$(BIN)/earlycall report examples/digits --budget 10% -o demo-report.html

test: .venv/dev.stamp
	$(BIN)/python -m pytest -n 2

lint: .venv/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: .venv/bench.stamp
	$(BIN)/python -m pytest benchmarks

docs: .venv/docs.stamp
	$(BIN)/python docs/write_commands.py
	$(BIN)/mkdocs build --strict

examples: .venv/dev.stamp  ## train the example runs again (a few minutes)
	$(BIN)/python examples/train_digits.py examples/digits

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "earlycall needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv

.venv/core.stamp: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[plots]'
	@touch $@

.venv/dev.stamp: .venv/core.stamp
	$(PIP) --editable '.[dev]'
	@touch $@

.venv/bench.stamp: .venv/core.stamp
	$(PIP) --editable '.[bench]'
	@touch $@

.venv/docs.stamp: .venv/core.stamp
	$(PIP) --editable '.[docs]'
	@touch $@

clean:
	rm -rf .venv site .pytest_cache .mypy_cache .ruff_cache .hypothesis
