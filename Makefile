# Every command a person or CI types. Each one sets up what it needs.
PYTHON ?= python3
ENVIRONMENT := .venv
BIN := $(ENVIRONMENT)/bin
INSTALLED := $(ENVIRONMENT)/.installed
export MLFLOW_DISABLE_TELEMETRY ?= true
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION ?= false
export PATH := $(CURDIR)/$(BIN):$(PATH)

WORKERS := --numprocesses 2 --dist loadgroup  # see tests/conftest.py

.DEFAULT_GOAL := help
.PHONY: help repro report smoke test slow drill fuzz bench lint audit ui serve readme lock

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

repro: $(INSTALLED) ## run the whole graph: data, weights, training, evaluation, ensemble, registry, report
	@pipeline mend
	dvc repro

report: $(INSTALLED) ## make the page with all results, reports/report.html, and what it lacks
	@pipeline mend
	dvc repro page
	@echo "open file://$(CURDIR)/reports/report.html"

smoke: $(INSTALLED) ## the whole graph on 2,000 training and 1,000 test images, in a workspace of its own (.smoke)
	python -m tools.smoke

test: $(INSTALLED) ## run the tests but the slow ones
	python -m pytest $(WORKERS)

slow: $(INSTALLED) ## run the slow tests: every command of README and docs, all that is done again, JAX, Ctrl-C
	python -m pytest $(WORKERS) -m slow

drill: $(INSTALLED) ## inject faults: kills, hostile files, bad servers, races; a line for each
	@python -m drills

fuzz: $(INSTALLED) ## try 10,000 cases on each reader of files
	FUZZ_CASES=10000 python -m pytest tests/formats/test_fuzz.py tests/data/test_download_fuzz.py

bench: $(INSTALLED) ## measure against the notebook's method, PyTorch, LiteRT and the machine's peak, after make repro
	@$(BIN)/python -c 'import torch' 2> /dev/null \
		|| $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -r benchmarks/requirements.txt
	python -m benchmarks

lint: $(INSTALLED) ## check format and code with ruff, the types, the imports, and that no secret is among the files
	ruff format --check .
	ruff check .
	lint-imports
	mypy
	@git ls-files -z | grep -zvE '^(dvc.lock|requirements.lock|registry.json|(records|reports|runs)/.*)$$' \
		| xargs -0 detect-secrets-hook --exclude-lines '(sha256|md5|MD5|_batch|[xy]_(train|test))'

audit: $(INSTALLED) ## look the dependencies up among the known vulnerabilities (asks a server)
	python -m venv $(ENVIRONMENT)-lock
	$(ENVIRONMENT)-lock/bin/pip install --quiet pip-audit
	$(ENVIRONMENT)-lock/bin/pip-audit --strict --require-hashes --disable-pip --requirement requirements.lock

ui: $(INSTALLED) ## MLflow's pages on http://127.0.0.1:5000, and where the runs and the model are on them
	@exec python -m tools.ui

serve: $(INSTALLED) ## the Production model over HTTP, and a page to try it, on http://127.0.0.1:5001
	@exec pipeline serve --port $${PORT:-5001}

readme: $(INSTALLED) ## write the results and the picture of the graph into the README
	python -m tools.readme

lock: $(INSTALLED) ## resolve pyproject.toml into requirements.lock: exact versions with hashes, no registry named
	python -m venv $(ENVIRONMENT)-lock
	$(ENVIRONMENT)-lock/bin/pip install --quiet uv
	$(ENVIRONMENT)-lock/bin/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --no-emit-index-url --quiet --output-file requirements.lock

$(INSTALLED): requirements.lock
	@command -v git > /dev/null || { echo "error: git is missing: install it first" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| { echo "error: Python 3.11, 3.12 or 3.13 is needed: make PYTHON=/path/to/python $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(ENVIRONMENT)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --disable-pip-version-check --editable .
	@touch $@
