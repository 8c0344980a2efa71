# Two commands for a new user: `make demo` and `make test`. Both set up .venv from the lock first if it is not there.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test replay check bench bench-cluster crds images cluster e2e clean

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
	$(BIN)/python -m fedwright_crds --check --folder charts/fedwright/files/crds
	$(BIN)/python -m images locks --check

bench: $(READY)
	$(BIN)/python -m benchmarks

bench-cluster: $(READY)
	tools/with-cluster $(BIN)/python -m benchmarks.cluster

crds: $(READY)
	$(BIN)/python -m fedwright_crds
	$(BIN)/python -m fedwright_crds --folder charts/fedwright/files/crds

# The operator on a cluster: on the one that KUBECONFIG names, else on one that is started here (tools/with-cluster).
cluster: $(READY) images
	tools/with-cluster helm upgrade --install fedwright charts/fedwright --namespace fedwright-system --create-namespace \
	  --take-ownership --values images/built.yaml --set images.referBy=Tag --wait --timeout 3m

images: $(READY)
	tools/with-cluster $(BIN)/python -m images build

# The tests that need that cluster: an hour; those that CI runs are not marked long.
E2E ?= tests/cluster
e2e: $(READY)
	tools/with-cluster $(BIN)/python -m pytest -m cluster $(E2E)

# The lock is complete, so nothing is resolved here: --no-deps keeps pip from looking for more. A torch for CPUs, from an index
# of such wheels (PIP_EXTRA_INDEX_URL), needs nothing else; the one of PyPI does not start without CUDA's libraries.
$(READY): requirements.lock requirements-cuda.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	$(BIN)/python -c 'import torch' 2>/dev/null || \
	  $(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-cuda.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(READY)

clean:
	rm -rf $(VENV) demo
