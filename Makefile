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

DIST ?= dist
# The distributions that `make dist` builds.
PARTS ?= . server core client plugins/*
TEST = $(BIN)/python -m pytest $(WORKERS) --timeout 300

# What `make check` runs: rules and codecs, the database, one store, and the main verbs over a socket.
CHECKED := core/tests/api core/tests/database core/tests/stores core/tests/model/test_fields.py core/tests/transfers/test_readers.py \
	core/tests/transfers/test_inspection.py core/tests/transfers/test_leases.py core/tests/model/test_policy.py core/tests/config/test_settings.py \
	core/tests/identity/test_token_file.py plugins/store_file/tests/test_file.py \
	tests/functional/test_reserve.py tests/functional/test_upload.py tests/functional/test_download.py \
	tests/functional/test_update.py tests/functional/test_delete.py tests/functional/v2/test_data.py

# Servers start some hundred times in a run: let each find what the one before has compiled.
unexport PYTHONDONTWRITEBYTECODE

FUZZ ?= 5000
FAULTS ?= 1000
COUNT ?= 40
SEED ?= 1

.PHONY: help install serve test check optimized campaigns databases interpreters fuzz faults mutants kit-mutants lint lines format tempest bench \
	bench-attacks bench-command bench-growth bench-listeners bench-worst bench-peers bench-remote bench-servers bench-uploads dist docs clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*##/\1\t/p' Makefile | expand -t 14

install: $(VENV)/.installed  ## make .venv and install core and all drivers into it, editable

serve: install  ## run the service on http://127.0.0.1:9292 with SQLite and files below var/
	$(BIN)/pserve $(INI)

test: $(VENV)/.dev  ## run every test (PYTEST=path: only those), in CI with coverage, of which core needs 95 %
ifeq ($(if $(CI),$(PYTEST),no coverage),)
	$(TEST) --cov --cov-report=
	$(BIN)/coverage report --include='core/src/*' --fail-under=95
else
	$(TEST) $(PYTEST)
endif

check: $(VENV)/.dev lint  ## run lint and the tests that say most in a minute
	$(TEST) -q $(CHECKED) $(PYTEST)

optimized: $(VENV)/.dev  ## run every test under `python -O`: the service relies on no assert
	PYTHONOPTIMIZE=1 $(TEST) $(PYTEST)

campaigns: $(VENV)/.dev  ## run the tests that take too long for `make test`: more servers, more modes
	$(BIN)/python -m pytest -m campaign $(PYTEST)

databases: $(VENV)/.dev  ## run the functional tests on PostgreSQL and on MariaDB
	for kind in postgres mariadb; do \
		CALOTYPE_TEST_DATABASE=$$kind tests/servers/run $$kind -- $(TEST) tests/functional $(PYTEST) || exit 1; \
	done

# Each interpreter has its own environment, so this needs none of ours.
interpreters:  ## run the unit and functional tests under each Python that we name and that is here
	$(PYTHON) -m tests.interpreters $(WORKERS) --timeout 300 $(PYTEST)

fuzz: $(VENV)/.dev  ## send any header, query and body, FUZZ (5000) times a test: no 500
	CALOTYPE_FUZZ=$(FUZZ) $(BIN)/python -m pytest tests/fuzz $(PYTEST)

faults: $(VENV)/.dev  ## kill a server FAULTS (1000) times, let calls, databases, stores, disks and clocks fail: nothing is lost; writes docs/results/faults.md
	$(BIN)/python -m tests.faults.campaign --kills $(FAULTS)

mutants: $(VENV)/.dev  ## take guards out, one at a time, and see that a test goes red for each; writes docs/results/mutants.md (MUTANTS=word ...: only those)
	$(BIN)/python -m tests.mutants $(MUTANTS)

kit-mutants: $(VENV)/.dev  ## break drivers on purpose and at random (COUNT=40 each, SEED=1), and see that the kit notices; writes docs/results/kit-mutants.md (MUTANTS=sabotaged, file or webdav: only those)
	$(BIN)/python -m tests.mutants.kit --seed $(SEED) --count $(COUNT) $(MUTANTS)

lint: $(VENV)/.dev  ## check style, imports, types and common mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

lines:  ## print the lines of code and of logic by room and by distribution
	$(PYTHON) -m bench.lines

format: $(VENV)/.dev  ## rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

tempest: $(VENV)/.dev  ## run Tempest's tests of Images v2 against the service and a Keystone
	$(BIN)/python -m tests.clients.tempest.run

bench: $(VENV)/.dev $(PLAIN)/.installed  ## measure speed and memory and print a table (BENCH=... adds arguments)
	$(BIN)/python bench/solo.py $(BENCH)

bench-worst: $(VENV)/.dev  ## measure the processor time of the worst request of each kind; rewrites docs/results/costs.md
	$(BIN)/python bench/worst.py $(BENCH)

bench-attacks: $(VENV)/.dev  ## measure how long another caller waits during attacks (BENCH='--against CHECKOUT --only D4')
	$(BIN)/python bench/attacks.py $(BENCH)

bench-peers: $(VENV)/.dev $(PLAIN)/.installed  ## measure us beside Glance, nginx and docker-registry; rewrites docs/results/peers.md (BENCH=--add adds a run)
	$(BIN)/python bench/compare.py $(BENCH)

bench-remote: $(VENV)/.dev $(PLAIN)/.installed  ## measure S3 and Swift through us and directly, and random reads; rewrites docs/results/remote.md
	$(BIN)/python bench/remote.py $(BENCH)

bench-servers: $(VENV)/.dev  ## measure the application under our server, gunicorn and plain waitress; rewrites docs/results/servers.md
	$(BIN)/python bench/servers.py $(BENCH)

bench-growth: $(VENV)/.dev $(PLAIN)/.installed  ## measure curves over connections and images, and continue where the last run stopped; rewrites docs/results/growth.md
	$(BIN)/python bench/growth.py $(BENCH)

bench-command: $(VENV)/.dev $(PLAIN)/.installed  ## measure the command `calotype` beside curl and aria2c; rewrites docs/results/command.md
	$(BIN)/python bench/command.py $(BENCH)

bench-listeners: $(VENV)/.dev  ## measure what 500 listeners and 200 waiters cost another caller, and their memory
	$(BIN)/python bench/listeners.py $(BENCH)

bench-uploads: $(VENV)/.dev $(PLAIN)/.installed  ## measure resumable uploads, in parallel over a long line and in parts; rewrites docs/results/uploads.md
	$(BIN)/python bench/resumable.py $(BENCH)

# Files in an archive get the time of the last commit, no owner and ordinary modes: the same commit makes the same bytes.
dist: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 315532800)
dist: $(VENV)/.dev  ## build a wheel and an sdist of every distribution into dist/ (DIST=...), and check them
	umask 022; for part in $(PARTS); do \
		$(BIN)/python -m build --quiet --no-isolation --outdir $(DIST) $$part || exit 1; \
	done
	cd $(DIST) && for name in $$(basename -s .tar.gz calotype*.tar.gz); do \
		tar -xzf $$name.tar.gz && tar --sort=name --mtime=@$$SOURCE_DATE_EPOCH --owner=0 --group=0 --numeric-owner \
			--mode=u=rwX,go=rX --format=gnu -c $$name | gzip -n > $$name.new && mv $$name.new $$name.tar.gz && rm -r $$name || exit 1; \
	done
	$(BIN)/python -m twine check --strict $(DIST)/calotype*.whl $(DIST)/calotype*.tar.gz

docs: $(VENV)/.dev  ## build the documentation into docs/_build
	$(BIN)/sphinx-build -W -q -b html docs docs/_build/html

clean:  ## remove what the other commands made, but not var/
	rm -rf $(VENV) $(PLAIN) $(VENV)-3.* docs/_build dist .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*

$(VENV)/.installed $(PLAIN)/.installed: requirements.txt server/pyproject.toml core/pyproject.toml client/pyproject.toml $(wildcard plugins/*/pyproject.toml)
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.dev: $(VENV)/.installed requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@
