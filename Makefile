# Two commands for a new user: `make demo` and `make test`. Both set up .venv from the lock first if it is not there.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test replay check bench crds clean

demo: $(READY)
	$(BIN)/fedwright run examples/digits-noniid.yaml --home demo

test: $(READY)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

# Whole requests from recorded conversations with a language model (also part of `make test`).
replay: $(READY)
	$(BIN)/python -m pytest tests/e2e/test_recordings.py

# What CI holds the code to, beside the tests: style, types, import direction, generated files.
check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m fedwright_crds --check

bench: $(READY)
	$(BIN)/python -m benchmarks

crds: $(READY)
	$(BIN)/python -m fedwright_crds

# The lock is complete, so nothing is resolved here: --no-deps keeps pip from looking for more.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(READY)

clean:
	rm -rf $(VENV) demo
