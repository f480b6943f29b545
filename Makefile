.DEFAULT_GOAL := help
SHELL := /bin/sh
PORT ?= 8000
AWS_PORT ?= 4566
SEEDS ?= 1000
# The number of tests at the same time: more than there are cores, since tests spend much of their time waiting.
WORKERS ?= 4
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
# The first Python on the path that is new enough; `make PYTHON=…` chooses another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -I -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$p && break; done)
# The scripts in this folder name the folder itself, so they break if the checkout is renamed: call modules.
BIN := .venv/bin

# The caller's own settings of Python and pip would reach into the virtual environment (PYTHONPATH, PYTHONSAFEPATH,
# PIP_TARGET and so on). The commands get only those that say where packages come from, or how output looks.
KEPT := PYTHON PYTHONDONTWRITEBYTECODE PYTHONHASHSEED PYTHONIOENCODING PYTHONUNBUFFERED PYTHONUTF8 \
	PIP_CACHE_DIR PIP_CERT PIP_CLIENT_CERT PIP_CONFIG_FILE PIP_DEFAULT_TIMEOUT PIP_EXTRA_INDEX_URL PIP_FIND_LINKS \
	PIP_INDEX_URL PIP_KEYRING_PROVIDER PIP_NO_CACHE_DIR PIP_NO_INDEX PIP_PROXY PIP_RETRIES PIP_TIMEOUT PIP_TRUSTED_HOST
unexport $(filter-out $(KEPT),$(filter PYTHON% PIP_%,$(.VARIABLES)))
# pip's own files (pip.conf) may ask for installs into some other place. They stay in use, since they may also name an index.
export PIP_USER := 0
INSTALL = $(BIN)/python -m pip install --target= --prefix="$(CURDIR)/.venv" --root=/

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: venv ## run the whole system on this machine; PORT and AWS_PORT choose ports, RESET=1 deletes its data first
	@$(BIN)/python -m local --port="$(PORT)" --aws-port="$(AWS_PORT)" $(RESETTING)

# Only `make run RESET=1` deletes data: a variable of that name in the environment may mean something else.
RESETTING = $(if $(filter command,$(origin RESET)),$(if $(filter 1,$(RESET)),--reset))

.PHONY: demo
demo: venv ## play the life of an order, on the stack of `make run`
	@$(BIN)/python -m local.demo

.PHONY: test
test: venv ## run all tests, with coverage
	AWS_CALLS=all $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --cov --cov-report=term

.PHONY: faults
faults: venv ## test the consumer and the REST API under each kind of fault (about 25 minutes)
	$(BIN)/python -m pytest tests/faults -m "faults or not faults"

.PHONY: simulate
simulate: venv ## simulate SEEDS histories with faults and crashes, with new seeds
	$(BIN)/python -m tests.simulation --seeds $(SEEDS)

.PHONY: e2e
e2e: venv ## run the end-to-end tests, on the stage in the environment if there is one
	$(BIN)/python -m pytest tests/e2e

.PHONY: bench
bench: venv ## benchmark the consumers, the API and cold starts (about 40 minutes); see docs/performance.md
	$(BIN)/python -m bench
	$(BIN)/python -m bench.concurrency
	$(BIN)/python -m bench.api
	$(BIN)/python -m bench.cold

.PHONY: bench-short
bench-short: venv ## run a short form of each benchmark (about 3 minutes)
	$(BIN)/python -m bench --short
	$(BIN)/python -m bench.concurrency --short
	$(BIN)/python -m bench.api --short
	$(BIN)/python -m bench.cold --short

.PHONY: check
check: lint types ## check style and types, and run the unit tests
	$(BIN)/python -m pytest -q tests/unit

.PHONY: lint
lint: venv ## check style and format
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

.PHONY: types
types: venv ## check types
	$(BIN)/python -m mypy

.PHONY: package
package: venv ## build what Terraform deploys; print its size and import time
	@$(BIN)/python -m deploy.package

# Terraform works on a copy, so that the state, backend and provider of a real stage do not interfere.
CHECKS := .build/terraform
CHECKOV := .build/checkov

.PHONY: terraform
terraform: package $(CHECKOV)/installed ## check the deployment: format, validity, tests, permissions, policies
	terraform fmt -check -recursive terraform
	@mkdir -p $(CHECKS) && rm -rf $(CHECKS)/*.tf $(CHECKS)/chalice $(CHECKS)/tests $(CHECKS)/environments
	@cp -R terraform/*.tf terraform/chalice terraform/tests terraform/environments $(CHECKS)
	terraform -chdir=$(CHECKS) init -backend=false -input=false
	terraform -chdir=$(CHECKS) validate
	terraform -chdir=$(CHECKS) test
	@for stage in dev prod; do echo "environments/$$stage.tfvars" && terraform -chdir=$(CHECKS) test \
		-test-directory=tests/environments -var-file=environments/$$stage.tfvars || exit 1; done
	$(BIN)/python -m deploy.planned $(CHECKS) > $(CHECKS)/plan.json
	$(CHECKOV)/bin/python -m checkov.main --config-file terraform/.checkov.yaml -f $(CHECKS)/plan.json
	IMS_PLAN=$(CHECKS)/plan.json $(BIN)/python -m pytest tests/terraform

$(CHECKOV)/installed: deploy/checkov.txt | venv
	$(BIN)/python -m uv venv --quiet --allow-existing --python $(BIN)/python $(CHECKOV)
	$(BIN)/python -m uv pip install --quiet --python $(CHECKOV)/bin/python --requirement deploy/checkov.txt
	@touch $@

.PHONY: aws-calls
aws-calls: venv ## record which AWS calls each function makes
	AWS_CALLS=write $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope tests/integration

.PHONY: migrate
migrate: venv ## bring the records of the stage in the environment into today's form; DRY_RUN=1 only counts them
	@$(BIN)/python -m deploy.migrate $(if $(filter 1,$(DRY_RUN)),--dry-run)

.PHONY: stage-env
stage-env: ## print the deployed stage's environment, for `make e2e` and `make migrate`
	@terraform -chdir=terraform output -json environment | \
		$(PYTHON) -c 'import json, sys; [print(f"{k}={v}") for k, v in json.load(sys.stdin).items()]'

.PHONY: lock
lock: venv ## pin the versions of requirements*.in
	$(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate \
		requirements.in -o requirements.txt
	$(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate \
		requirements-dev.in -o requirements-dev.txt

.PHONY: clean
clean: ## remove everything that make created, including the data of `make run`
	rm -rf .venv .local .build .coverage htmlcov .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: venv
venv: .venv/installed ## create the virtual environment

# A `.venv` is built anew if its Python is gone or too old, or if it has no pip (as when python3-venv was missing).
UNUSABLE := $(shell $(BIN)/python -I -c 'import pip; $(NEW_ENOUGH)' 2>/dev/null || echo unusable)

.PHONY: unusable
.venv/installed: requirements-dev.txt $(UNUSABLE)
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is required, but none was found. Try: make PYTHON=/path/to/python3"; exit 1; }
	@test -z "$(UNUSABLE)" || $(PYTHON) -I -c '$(NEW_ENOUGH)' 2>/dev/null || \
		{ echo "$(PYTHON) is not Python 3.11 or later. Try: make PYTHON=/path/to/python3"; exit 1; }
	@test -z "$(UNUSABLE)" || { rm -rf .venv; trap 'rm -rf .venv; exit 1' HUP INT TERM; $(PYTHON) -m venv .venv; } || \
		{ rm -rf .venv; echo "The virtual environment could not be created (on Debian and Ubuntu: apt install python3-venv)."; exit 1; }
	@echo "Installing the packages of requirements-dev.txt …"
	@$(INSTALL) --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@
