# Every command a person or CI types. Each one sets up what it needs.
PYTHON ?= python3
ENVIRONMENT := .venv
BIN := $(ENVIRONMENT)/bin
INSTALLED := $(ENVIRONMENT)/.installed
# Variables that would lead Python, pip or git elsewhere.
unexport PYTHONHOME PYTHONPATH PIP_CONSTRAINT PIP_DRY_RUN PIP_PREFIX PIP_PYTHON PIP_REQUIRE_HASHES PIP_ROOT
unexport $(filter-out GIT_CONFIG%,$(shell git rev-parse --local-env-vars 2> /dev/null))
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --no-user --target=
export MLFLOW_DISABLE_TELEMETRY ?= true
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION ?= false
# A user id without a name, as in a container, gets one, and a home: DVC and MLflow ask for them (see core/errors.py).
export LOGNAME ?= $(shell id -un 2> /dev/null)
export HOME ?= /
export PATH := $(CURDIR)/$(BIN):$(PATH)

WORKERS := --numprocesses 2 --dist loadgroup  # see tests/conftest.py

.DEFAULT_GOAL := help
.PHONY: help repro report relocate smoke test slow drill fuzz bench lint audit ui serve readme lock

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

repro: $(INSTALLED) ## run the whole graph: data, weights, training, evaluation, ensemble, registry, report
	@pipeline mend
	dvc repro

report: $(INSTALLED) ## make the page with all results, reports/report.html, and what it lacks
	@pipeline mend
	dvc repro page
	@echo "open file://$(CURDIR)/reports/report.html"

relocate: $(INSTALLED) ## after the folder was moved or renamed: mend its environment and the paths in its MLflow store
	@[ ! -f mlruns/mlflow.db ] || pipeline relocate

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
		|| $(BIN)/python $(PIP_INSTALL) --no-compile -r benchmarks/requirements.txt
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
	$(ENVIRONMENT)-lock/bin/python $(PIP_INSTALL) pip-audit
	$(ENVIRONMENT)-lock/bin/python -m pip_audit --strict --require-hashes --disable-pip --requirement requirements.lock

ui: $(INSTALLED) ## MLflow's pages on http://127.0.0.1:5000, and where the runs and the model are on them
	@exec python -m tools.ui

serve: $(INSTALLED) ## the Production model over HTTP, and a page to try it, on http://127.0.0.1:5001
	@exec pipeline serve --port $${PORT:-5001}

readme: $(INSTALLED) ## write the results and the picture of the graph into the README
	python -m tools.readme

lock: $(INSTALLED) ## resolve pyproject.toml into requirements.lock: exact versions with hashes, no registry named
	python -m venv $(ENVIRONMENT)-lock
	$(ENVIRONMENT)-lock/bin/python $(PIP_INSTALL) uv
	$(ENVIRONMENT)-lock/bin/python -m uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --no-emit-index-url --quiet --output-file requirements.lock

# Scripts name the place where an environment was made: one that was moved, or whose Python is gone, is made anew.
ifneq ($(shell case "$$(cat $(ENVIRONMENT)/pyvenv.cfg 2> /dev/null)" in \
	(*" $$(pwd -P)/$(ENVIRONMENT)") test -x $(BIN)/python && echo here;; esac),here)
.PHONY: $(INSTALLED)
endif
$(INSTALLED): requirements.lock
	@command -v git > /dev/null || { echo "error: git is missing: install it first" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| { echo "error: Python 3.11, 3.12 or 3.13 is needed: make PYTHON=/path/to/python $(MAKECMDGOALS)" >&2; exit 1; }
	@[ ! -L $(ENVIRONMENT) ] || { echo "error: $(ENVIRONMENT) is a link to another environment, which is left as it is:" \
		"remove the link, and run again" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(ENVIRONMENT)
	$(BIN)/python $(PIP_INSTALL) --no-compile --require-hashes -r requirements.lock
	$(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@
