# Needs python3 >= 3.11 with venv, and pip's index; everything else is installed into $(VENV).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test soak cluster-test image-test lint docs bench lock clean

help:
	@echo "make demo   simulate a product, process it bucket to bucket, compare with the truth: demo/"
	@echo "make test   run the tests"
	@echo "make soak   kill runs, break stores, damage inputs, for hours: docs/robustness.md"
	@echo "make cluster-test  the chart on a real API server: docs/service.md"
	@echo "make image-test    build the image and run it confined"
	@echo "make lint   ruff, mypy, import-linter"
	@echo "make bench  CPU seconds and memory beside a plain copy: docs/performance.md"
	@echo "make docs   the documentation as web pages: site/"
	@echo "make lock   pin what the container image is made of: docker/requirements.lock"
	@echo "make clean  remove $(VENV) and demo/"

demo: $(VENV)/.demo
	$(BIN)/s2cloud demo demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not slow" $(PYTEST_ARGS)

# SOAK_ARGS: parts (kills, faults, mutations), --rounds, --runs, --cases, --seed.
soak: $(VENV)/.dev
	-bash .ci/versitygw
	$(BIN)/python -m tests.soak $(SOAK_ARGS)
	S2CLOUD_KILL_ROUNDS=10 $(BIN)/python -m pytest tests/scheduling/test_kill.py
	$(BIN)/python -m pytest tests/service/test_products.py -m slow

# A real Kubernetes API server and the dask operator; the first time the server is built, ten minutes.
cluster-test: $(VENV)/.dev
	.ci/kubernetes build > /dev/null
	.ci/own-network $(BIN)/python -m pytest tests/cluster -m slow $(PYTEST_ARGS)

# The container image, built and run as a cluster runs it.
image-test: $(VENV)/.dev
	PYTHON=$(BIN)/python docker/check

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --site-dir site

BENCH := runs,start,parts

# A ninth of a tile; with BENCH_SAFE= any other product.
bench: $(VENV)/.dev
	test -n "$(BENCH_SAFE)" || $(BIN)/s2cloud simulate build/bench --size 3660
	$(BIN)/python benchmarks/speed.py $(or $(BENCH_SAFE),build/bench/*.SAFE) --groups $(BENCH) --page

# For the oldest Python, which newer ones can use as well.
lock: $(VENV)/.pip
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet pyproject.toml --generate-hashes --python-version 3.11 --python-platform linux \
	  --extra serve --extra queues --extra cluster --extra stac --extra http --extra gcs \
	  --custom-compile-command "make lock" --output-file docker/requirements.lock

clean:
	rm -rf $(VENV) demo site

# Dependency groups need pip 25.1; the pip of the system may be older.
$(VENV)/.pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "s2cloud needs Python 3.11 or newer, $(PYTHON) is older: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	touch $@

$(VENV)/.demo: pyproject.toml $(VENV)/.pip
	$(BIN)/python -m pip install --quiet --editable ".[demo]"
	touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.pip
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@

$(VENV)/.docs: pyproject.toml $(VENV)/.pip
	$(BIN)/python -m pip install --quiet --editable . --group docs
	touch $@
