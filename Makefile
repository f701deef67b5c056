# Two commands matter: `make bench` and `make test`. Each sets up what it needs first.
PYTHON ?= python3
VENV ?= .venv
# Words for pip: an index with CPU-only wheels of torch (--extra-index-url URL), the tested versions (-c constraints.txt)
PIP_ARGS ?=
SUITE ?= quick
VARIANTS ?=
DATASETS ?=
SEEDS ?=
DEVICE ?= auto
SET ?=
AGAIN ?=
ENGINE ?=
ENGINE_OPTION ?=
TABLE ?=
PROFILE ?=
ROWS ?=
OUT ?=
BASELINE ?=
PART ?=
# Words for `vaebench`, in common to bench and compare
OPTIONS = --device $(DEVICE) $(if $(DATASETS),--datasets $(DATASETS)) $(if $(SEEDS),--seeds $(SEEDS)) \
	$(if $(SET),--set $(SET)) $(if $(OUT),--out "$(OUT)") $(if $(AGAIN),--again) \
	$(if $(ENGINE),--engine $(ENGINE)) $(if $(ENGINE_OPTION),--engine-option $(ENGINE_OPTION))
BIN = $(VENV)/bin
READY = $(VENV)/.ready
PEERS = .venv-peers
TEST = $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal --durations=15

.DEFAULT_GOAL := help
.PHONY: help install bench compare reproduce report pages test test-slow lint types docs site bench-micro bench-growth bench-peers bench-device mutants clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  Words: SUITE=standard VARIANTS="vanilla beta" DATASETS=... SEEDS=5 DEVICE=cpu AGAIN=1 ENGINE=ray ENGINE_OPTION="gpus=0.25" SET="epochs=5 latent=50" OUT=DIR PIP_ARGS=...'

install: $(READY) ## make the virtual environment

$(READY): pyproject.toml $(if $(findstring constraints.txt,$(PIP_ARGS)),constraints.txt)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "vaebench needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 4; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -e '.[dev]'
	@touch $@

bench: $(READY) ## run a suite and write its tables and plots (SUITE=quick)
	@$(BIN)/vaebench run $(SUITE) $(if $(VARIANTS),--variants $(VARIANTS)) $(OPTIONS)

compare: $(READY) ## paired differences between variants (VARIANTS="vanilla full_covariance")
	@$(BIN)/vaebench compare $(VARIANTS) --suite $(SUITE) $(OPTIONS)

reproduce: $(READY) ## train a published table's missing rows and compare (TABLE=burda2015 ROWS=vae_1L_k1 PROFILE=short; no TABLE lists them)
	@$(BIN)/vaebench reproduce $(if $(TABLE),$(TABLE) $(if $(PROFILE),--profile $(PROFILE)) $(if $(ROWS),--rows $(ROWS)) \
		$(if $(SEEDS),--seeds $(SEEDS)) $(if $(OUT),--out "$(OUT)") $(if $(AGAIN),--again) --device $(DEVICE),--list)

report: $(READY) ## write the tables and plots of results/$(SUITE) again, or of OUT
	@$(BIN)/vaebench report "$(if $(OUT),$(OUT),results/$(basename $(notdir $(SUITE))))"

pages: $(READY) ## write the committed pages in results/reference again
	@for runs in results/reference/*/runs results/reference/reproduce/*/runs; do $(BIN)/vaebench report "$${runs%/runs}" >/dev/null || exit; done

test: $(READY) ## run the tests but for the slow ones, side by side on up to 8 cores
	@$(TEST) -m "not slow"

test-slow: $(READY) ## run the slow tests: processes, nodes and disks that are really lost, a pretended accelerator
	@$(TEST) -m slow

lint: $(READY) ## ruff
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY) ## mypy
	@$(BIN)/mypy

docs: $(READY) ## write what the documents say of metrics, settings and variants, from the code
	@$(BIN)/python -m bench.pages.docs

site: $(VENV)/.site ## build the docs site into build/site, warnings as errors
	@$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/site
	@echo "build/site/index.html"

$(VENV)/.site: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -e '.[docs]'
	@touch $@

bench-micro: $(READY) ## time the core steps of every variant beside the committed baseline (BASELINE=write: a new one)
	@mkdir -p .benchmarks
	@$(BIN)/python -m pytest tests/performance/bench_micro.py --benchmark-only --benchmark-max-time=0.5 --benchmark-quiet -q \
		--benchmark-json=.benchmarks/micro.json
	@$(BIN)/python -m tests.performance.micro .benchmarks/micro.json $(if $(filter write,$(BASELINE)),--write)

bench-growth: $(READY) ## time and memory against data, latent size, samples and number of cells (about 10 minutes)
	@$(BIN)/python -m tests.performance.growth $(if $(OUT),--out "$(OUT)")

bench-peers: $(PEERS)/.ready ## speed beside pythae and the usual example script, in an environment of their own
	@$(PEERS)/bin/python -m pytest -q tests/performance/test_peers.py -k computes_what_we_compute
	@$(PEERS)/bin/python -m tests.performance.peers $(if $(OUT),--out "$(OUT)") $(if $(AGAIN),--again)

bench-device: $(READY) ## what this machine's accelerator does, in at most nine minutes; goes on where it was ended
	@$(BIN)/python -m tests.performance.device $(if $(OUT),--out "$(OUT)")

$(PEERS)/.ready: pyproject.toml tests/performance/peers/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -e '.[dev]' -r tests/performance/peers/requirements.txt
	@touch $@

mutants: $(READY) ## make every known mistake in a copy of the code; the tests must notice each; goes on where it was stopped (PART=3/10)
	@$(BIN)/python -m tests.mutants $(if $(PART),--part $(PART) --named-only) $(TESTED)

clean: ## remove the virtual environment and caches; results are never deleted
	rm -rf $(VENV) $(PEERS) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .benchmarks
	find bench variants tests examples -name __pycache__ -type d -prune -exec rm -rf {} +
