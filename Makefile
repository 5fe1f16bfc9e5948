# Calotype's commands. Each works as the very first one in a fresh clone: what it
# needs is installed into .venv by the rules it depends on.

PYTHON ?= python3
VENV := .venv
# What users have, without what tests need: what is measured is a server from there.
PLAIN := .venv-plain
BIN := $(VENV)/bin
INI ?= calotype.ini

# How tests are shared out: by modules, in the order of setup.cfg; to one process more than there are
# cores, for many wait: for leases, for servers, for commands that start.
WORKERS := -n $$(($$(nproc) + 1)) --dist loadscope --no-loadscope-reorder

FUZZ ?= 5000
FAULTS ?= 1000

.PHONY: help install serve test optimized campaigns databases interpreters fuzz faults lint format tempest bench bench-peers docs clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*##/\1\t/p' Makefile | expand -t 14

install: $(VENV)/.installed  ## make .venv and install core and all drivers into it, editable

serve: install  ## run the service on http://127.0.0.1:9292 with SQLite and files below var/
	$(BIN)/pserve $(INI)

# A test that fails is run once more, and that is told: some wait for real servers, on machines busy with others.
test: $(VENV)/.dev  ## run every test (PYTEST=... adds arguments)
	$(BIN)/python -m pytest $(WORKERS) --reruns 1 --timeout 300 --cov --cov-report= $(PYTEST)
	$(BIN)/coverage report --include='core/src/*' --fail-under=95

optimized: $(VENV)/.dev  ## run every test under `python -O`: the service relies on no assert
	PYTHONOPTIMIZE=1 $(BIN)/python -m pytest $(WORKERS) --reruns 1 --timeout 300 $(PYTEST)

campaigns: $(VENV)/.dev  ## run the tests that take too long for `make test`: more servers, more modes
	$(BIN)/python -m pytest -m campaign $(PYTEST)

databases: $(VENV)/.dev  ## run the functional tests on PostgreSQL and on MariaDB
	for kind in postgres mariadb; do \
		CALOTYPE_TEST_DATABASE=$$kind tests/servers/run $$kind -- \
			$(BIN)/python -m pytest $(WORKERS) --reruns 1 --timeout 300 tests/functional $(PYTEST) || exit 1; \
	done

# Each interpreter has its own environment, so this needs none of ours.
interpreters:  ## run the unit and functional tests under each Python that we name and that is here
	$(PYTHON) -m tests.interpreters $(WORKERS) --reruns 1 --timeout 300 $(PYTEST)

fuzz: $(VENV)/.dev  ## send any header, query and body, FUZZ (5000) times a test: no 500
	CALOTYPE_FUZZ=$(FUZZ) $(BIN)/python -m pytest tests/fuzz $(PYTEST)

faults: $(VENV)/.dev  ## kill a server FAULTS (1000) times, let calls, databases and clocks fail: nothing is lost, none is stuck
	$(BIN)/python -m tests.faults.campaign --kills $(FAULTS)

lint: $(VENV)/.dev  ## check style, imports and common mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev  ## rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

tempest: $(VENV)/.dev  ## run Tempest's tests of Images v2 against the service and a Keystone
	$(BIN)/python -m tests.clients.tempest.run

bench: $(VENV)/.dev $(PLAIN)/.installed  ## measure speed and memory and print a table (BENCH=... adds arguments)
	$(BIN)/python bench/bench.py $(BENCH)

bench-peers: $(VENV)/.dev $(PLAIN)/.installed  ## measure us beside Glance, nginx and docker-registry; rewrites docs/performance.md
	$(BIN)/python bench/compare.py $(BENCH)

docs: $(VENV)/.dev  ## build the documentation into docs/_build
	$(BIN)/sphinx-build -W -q -b html docs docs/_build/html

clean:  ## remove what the other commands made, but not var/
	rm -rf $(VENV) $(PLAIN) $(VENV)-3.* docs/_build .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*

$(VENV)/.installed $(PLAIN)/.installed: requirements.txt core/pyproject.toml $(wildcard plugins/*/pyproject.toml)
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.dev: $(VENV)/.installed requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@
