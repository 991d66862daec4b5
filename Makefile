PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := .venv-peers

.PHONY: env peers demo test test-resilience test-peers scenarios-approval scenarios-delivery soak lint format bench bench-approval lock clean

env: $(READY)

# The environment is exactly the lock file: every wheel is checked against its hash.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: set PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "The venv module is missing: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The providers' own libraries, in an environment of their own: they bring much along, and only test-peers needs them.
peers: $(PEERS)/.ready

$(PEERS)/.ready: tests/peers/requirements.lock
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r tests/peers/requirements.lock
	@touch $@

demo: $(READY)
	$(BIN)/themeline demo $(if $(KEEP),--keep)

PYTEST := $(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder

# All but those that have targets of their own below.
test: $(READY)
	$(PYTEST) --ignore tests/scenarios --ignore tests/resilience

# Whole installations whose parts are killed, replaced, bypassed and tampered with: what they lost has to come back. Some minutes.
test-resilience: $(READY)
	$(PYTEST) tests/resilience

# What the providers' own libraries send and hear, against what our clients do.
test-peers: $(READY) $(PEERS)/.ready
	$(BIN)/python -m pytest tests/peers/peers.py

# Approval in plain words: against the services, through real gate runs, in Chromium. docs/scenarios.md tells how to read them.
scenarios-approval: $(READY)
	$(BIN)/python -m pytest tests/scenarios --ignore tests/scenarios/delivery

# Delivery in plain words: real sender processes, killed; the sandbox's own log is the judge. Some minutes.
scenarios-delivery: $(READY)
	$(BIN)/python -m pytest -n 2 --no-loadscope-reorder tests/scenarios/delivery

# A million deliveries under random faults and kills; a quarter of an hour and more, and the cores for itself.
soak: $(READY)
	THEMELINE_SOAK_DELIVERIES=1000000 $(BIN)/python -m pytest -s tests/scenarios/delivery/test_delivery_soak.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports --no-cache

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Some minutes, and the cores for itself; GROUP=batches for a part. postfix and redis-server have to be installed.
bench: $(READY) .venv-bench/.ready
	$(BIN)/python -m benchmarks $(GROUP)

# Those that a job per recipient is measured with, in an environment of their own.
.venv-bench/.ready: benchmarks/peers/requirements.lock
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r benchmarks/peers/requirements.lock
	@touch $@

# 1,000 themes in review with 5,000 open questions; some minutes, and the cores for itself.
bench-approval: $(READY)
	$(BIN)/python -m benchmarks.approval_scale

# Refreshes the lock to the newest versions that pyproject.toml allows; no index address is written.
lock: $(READY)
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --upgrade --extra dev pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --upgrade tests/peers/requirements.in -o tests/peers/requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --upgrade benchmarks/peers/requirements.in -o benchmarks/peers/requirements.lock

clean:
	rm -rf $(VENV) $(PEERS) .themeline
