PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: env demo test scenarios-approval lint format bench bench-approval lock clean

env: $(READY)

# The environment is exactly the lock file: every wheel is checked against its hash.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: set PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "The venv module is missing: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)
	$(BIN)/themeline demo $(if $(KEEP),--keep)

# All but the scenarios that go through Prefect: those have some minutes of their own, in scenarios-approval.
test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder --ignore tests/scenarios/test_scenarios_prefect.py

# Approval in plain words: against the services, through real gate runs, in Chromium. docs/scenarios.md tells how to read them.
scenarios-approval: $(READY)
	$(BIN)/python -m pytest tests/scenarios

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports --no-cache

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	$(BIN)/python -m benchmarks

# 1,000 themes in review with 5,000 open questions; some minutes, and the cores for itself.
bench-approval: $(READY)
	$(BIN)/python -m benchmarks.approval_scale

# Refreshes the lock to the newest versions that pyproject.toml allows; no index address is written.
lock: $(READY)
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --upgrade --extra dev pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .themeline
