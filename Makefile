# Every command that CI, a hook or a person runs. `make help` lists them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

# The interpreter of the virtual environment: the first of these that runs and is new enough, or `make PYTHON=...`.
PYTHON ?=
PYTHONS := python3.11 python3.12 python3.13 python3 python
VENV := .venv
RUN := $(VENV)/bin/python
PACKAGES := churn producers stream_processors feature_repo training api compose
CODE := $(PACKAGES) k8s tests
DOCKERFILES := compose/docker/Dockerfile.ml compose/docker/Dockerfile.api compose/docker/Dockerfile.stream
READY := $(VENV)/.ready
ARGS ?=
# Test processes, each with a Kafka and a Redis of its own; most tests wait for something, so two on two cores take half.
JOBS ?= 2

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY) ## Create .venv and install the pinned packages (at once when nothing changed)

$(READY): requirements-dev.lock requirements-uv.lock
	@$(venv_python)
	@$(venv_packages)
	@printf '%s\n' '#!/bin/sh' 'root=$$(CDPATH= cd "$$(dirname "$$0")/../.." && pwd)' \
	    'PYTHONPATH="$$root$${PYTHONPATH:+:$$PYTHONPATH}" exec "$$root/.venv/bin/python" -m compose "$$@"' > $(VENV)/bin/churn
	@chmod +x $(VENV)/bin/churn
	@touch $@

# Keeps an environment that works. Otherwise makes one: with uv, which can fetch a Python itself, or with venv.
define venv_python
if $(RUN) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
    && { uv --version || $(VENV)/bin/uv --version || $(RUN) -m pip --version; } >/dev/null 2>&1; then exit 0; fi; \
for python in $(or $(PYTHON),$(PYTHONS)); do \
    "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && break; python=; \
done; \
if uv --version >/dev/null 2>&1; then uv venv --quiet --clear --python "$${python:-3.11}" $(VENV); exit; fi; \
if [ -z "$$python" ]; then \
    echo "Python 3.11, 3.12 or 3.13 is needed, and $(or $(PYTHON),the python3 on the PATH) is not one; install it" \
        "(Debian, Ubuntu: apt-get install python3.11 python3.11-venv; macOS: brew install python@3.11), or install uv," \
        "which fetches one; then run make setup PYTHON=python3.11" >&2; exit 1; fi; \
if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
    echo "$$python cannot make virtual environments: its module venv or ensurepip is missing; install it" \
        "(Debian, Ubuntu: apt-get install $$(basename "$$python")-venv), or install uv; then run make setup again" >&2; exit 1; fi; \
echo "Creating $(VENV) with $$($$python --version)"; "$$python" -m venv --clear $(VENV)
endef

# uv makes the environment equal to the lock file, packages that left it included; pip is only needed to get uv.
define venv_packages
set -e; uv=uv; \
if ! uv --version >/dev/null 2>&1; then \
    uv=$(VENV)/bin/uv; \
    if ! $$uv --version >/dev/null 2>&1; then \
        echo "Installing uv"; \
        $(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-uv.lock; \
    fi; \
fi; \
echo "Installing the packages of requirements-dev.lock (1.4 GB on disk)"; \
$$uv pip sync --quiet --python $(RUN) --require-hashes requirements-dev.lock
endef

.PHONY: demo
demo: setup ## Run the whole system here, no Docker needed (ARGS=--help lists the options)
	@$(RUN) -m compose demo $(ARGS)

.PHONY: simulate
simulate: setup ## Prove the loop: two simulated years, one quiet and one that changes; writes .local/simulated
	@$(RUN) -m compose simulate $(ARGS)

.PHONY: test
test: setup test-parts ## Run all tests (ARGS='-k name' picks some, JOBS=0 runs them in one process)
	@$(RUN) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

# Chromium and Prometheus are used by tests only. Without them those tests are skipped, on CI they fail.
.PHONY: test-parts
test-parts:
	@missing=; \
	for names in "chromium chromium-browser google-chrome google-chrome-stable" prometheus; do \
	    found=; for name in $$names; do command -v "$$name" >/dev/null 2>&1 && found=yes; done; \
	    [ -n "$$found" ] || missing="$$missing $${names%% *}"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	command -v apt-get >/dev/null 2>&1 || { echo "Tests that need$$missing will be skipped: missing, and there is no apt-get to install from" >&2; exit 0; }; \
	root=; [ "$$(id -u)" = 0 ] || root="sudo -n"; \
	$$root true 2>/dev/null || { echo "Tests that need$$missing will be skipped; install with: sudo apt-get install$$missing" >&2; exit 0; }; \
	echo "Installing$$missing, which some tests need"; \
	export DEBIAN_FRONTEND=noninteractive; \
	{ $$root apt-get update -qq && $$root apt-get install -y -qq --no-install-recommends $$missing; } >/dev/null \
	    || echo "Tests that need$$missing will be skipped: apt-get could not install them" >&2

.PHONY: check
check: setup ## Check format, lint, types, compose file, workflow and Dockerfiles; changes nothing
	$(RUN) -m ruff format --check $(CODE)
	$(RUN) -m ruff check $(CODE)
	$(RUN) -m mypy $(CODE)
	$(RUN) -m check_jsonschema --builtin-schema vendor.compose-spec compose/docker-compose.yml
	$(RUN) -m check_jsonschema --builtin-schema vendor.github-workflows .github/workflows/ci.yml
	$(VENV)/bin/hadolint $(DOCKERFILES)

.PHONY: fix
fix: setup ## Format the code and mend what ruff can mend
	$(RUN) -m ruff check --fix $(CODE)
	$(RUN) -m ruff format $(CODE)

.PHONY: check-k8s
check-k8s: setup ## Check the Helm chart and the Argo CD applications
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" k8s/check.sh

.PHONY: bench
bench: setup ## Measure everything on this machine, also beside other engines; writes .local/bench/report
	@$(RUN) -m compose bench --out .local/bench/report $(ARGS)

.PHONY: chaos
chaos: setup ## Hurt a running system 220 times under load and compare everything (about 15 minutes)
	@$(RUN) -m compose chaos --faults 220 --outage-seconds 30 $(ARGS)

COMPILE = $(VENV)/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
    --no-emit-index-url --no-emit-find-links --no-annotate --no-header

.PHONY: lock
lock: setup ## Pin every package anew by pyproject.toml, with hashes
	$(COMPILE) --upgrade --all-extras --output-file requirements-dev.lock pyproject.toml
	$(COMPILE) --constraint requirements-dev.lock --output-file requirements.lock pyproject.toml
	echo uv | $(COMPILE) --constraint requirements-dev.lock --output-file requirements-uv.lock -

.PHONY: clean
clean: ## Remove everything that can be made again, .venv and fetched parts included
	rm -rf $(VENV) .local build .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
