# Everything sets itself up: on a fresh machine with Python 3.11+ and make, `make demo` and `make test` are enough.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install
# What is installed is what the lock names, byte for byte; then earlycall itself, by the locked builder.
INSTALL = $(PIP) --require-hashes --requirement $< && $(PIP) --no-deps --no-build-isolation --editable . && touch $@
UV := uv==0.13.9
UPGRADE ?=
COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --universal --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' $(UPGRADE)

.PHONY: demo test test-all lint bench measure docs pictures outputs examples lock clean

demo: .venv/demo.stamp  ## rank the bundled real runs from their first 10 %, and write a report
	@$(BIN)/earlycall demo
	@$(BIN)/earlycall report demo --budget 10% -o demo-report.html

test: .venv/test.stamp  ## all but the tests that are marked slow
	$(BIN)/python -m pytest -n 2 -m 'not slow'

test-all: .venv/test.stamp
	$(BIN)/python -m pytest -n 2

lint: .venv/test.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/shellcheck .ci/*

bench: .venv/bench.stamp
	$(BIN)/python -m pytest benchmarks

measure: .venv/bench.stamp  ## write the measured pages again: make measure SETS="a/ b/" CELLS=c/ (hours)
	for page in calibration coverage evaluation halving lcga search; do \
		$(BIN)/python experiments/$$page.py $(SETS) > docs/$$page.md.part && mv docs/$$page.md.part docs/$$page.md || exit 1; \
	done
	$(BIN)/python experiments/peers.py $(SETS)
	$(BIN)/python experiments/nas.py $(CELLS)
	$(BIN)/python experiments/nas_vision.py examples/study/fashion examples/study/thin
	$(BIN)/python experiments/study.py

pictures: .venv/test.stamp  ## draw the pages' pictures again; needs chromium
	$(BIN)/python docs/_tools/pictures.py $(SETS)

docs: .venv/docs.stamp
	$(BIN)/python docs/_tools/commands.py
	$(BIN)/zensical build --strict --clean

outputs: .venv/test.stamp  ## write again what the pages say that commands print
	WRITE_OUTPUTS=1 $(BIN)/python -m pytest tests/test_docs.py -k 'index.md or sweep.md or stop.md or asked.md or coming_from.md or elasticity.md or nas.md'

examples: .venv/test.stamp  ## train the example runs again (a few minutes)
	$(BIN)/python examples/train_digits.py examples/digits
	$(BIN)/python examples/pack_digits.py

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "earlycall needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv

.venv/%.stamp: requirements/%.txt pyproject.toml | .venv/bin/python
	$(INSTALL)

# Versions stay as they are, unless pyproject.toml rules them out or UPGRADE says so:
# make lock UPGRADE=--upgrade, or UPGRADE='--upgrade-package polars'.
lock: .venv/bin/python
	$(PIP) $(UV)
	$(COMPILE) --python-version 3.11 --extra all --group build --group test --group lint --output-file requirements/test.txt
	$(COMPILE) --python-version 3.11 --extra all --group build --group bench --constraint requirements/test.txt --output-file requirements/bench.txt
	$(COMPILE) --python-version 3.11 --extra plots --group build --constraint requirements/test.txt --output-file requirements/demo.txt
	$(COMPILE) --python-version 3.11 --group build --group docs --constraint requirements/test.txt --output-file requirements/docs.txt

clean:
	rm -rf .venv dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis .cache
