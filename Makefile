# Two words do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock

.DEFAULT_GOAL := help
.PHONY: help install demo up test docs screenshots check audit fuzz fmt lock browser clean

help: ## print these words
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

install: $(VENV)/.installed ## create .venv and install the product at its locked versions

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "unroll needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml requirements.lock
	@echo "Installing unroll and its locked dependencies into $(VENV) (first time: a few minutes) ..."
	$(PIP) hatchling editables
	$(PIP) --no-build-isolation -e '.[datasets]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Installing the test and lint tools ..."
	$(PIP) --no-build-isolation -e '.[datasets,mlflow,dev]'
	@touch $@

demo: $(VENV)/.installed ## set up, train on real data, call the trained network (KEEP=1 leaves it running)
	@$(BIN)/unroll demo $(if $(KEEP),--keep) $(ARGS)

up: $(VENV)/.installed ## start Postgres, Valkey, API, dashboard, a worker and inference; Ctrl-C stops them
	@$(BIN)/unroll up $(ARGS)

test: $(VENV)/.installed-dev browser ## set up and run every test (ARGS="-k name" chooses)
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest $(ARGS) # processes side by side must not spin

docs: $(VENV)/.installed-dev ## write the generated reference of the documents again
	$(BIN)/python -m tests.reference

screenshots: $(VENV)/.installed-dev ## make the pictures of the documents again
	$(BIN)/python -m tests.browser.screenshots

browser: ## find Chromium for the browser tests, or install it where the system allows
	@sh tests/browser/install-chromium.sh

check: $(VENV)/.installed-dev ## format, lint, types, import rules and known vulnerabilities
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory audit

audit: $(VENV)/.installed-dev ## look locked versions up among known vulnerabilities, where one can ask
	@$(BIN)/python -m tests.audit

fuzz: $(VENV)/.installed-dev ## send 2000 made-up requests to every operation (CASES=n: another number)
	$(BIN)/python -m tests.fuzzing --cases $(or $(CASES),2000)

fmt: $(VENV)/.installed-dev ## format and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(VENV)/.installed-dev ## write the installed versions to requirements.lock
	$(BIN)/python -m pip freeze --exclude-editable \
	  | sed -E '/^(cuda|nvidia|triton=)/d; s/[+][a-z0-9.]+$$//' > requirements.lock # no build of torch

clean: ## remove .venv and the state of `make up`
	rm -rf $(VENV) .unroll
