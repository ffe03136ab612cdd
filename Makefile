# vedette on a fresh machine: Python 3.11 or newer and make are all it takes. `make help` says what there is.

PYTHON ?= python3
ARGS ?=
WHAT ?= rollouts

VENV := .venv
ENGINES := .venv-engines
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SOURCES := pyproject.toml README.md LICENSE $(shell find src -type f ! -path '*/__pycache__/*' ! -name '.*')

JAVA := $(if $(JAVA_HOME),$(JAVA_HOME)/bin/java,java)
define needs_java
command -v $(JAVA) > /dev/null || { \
	echo 'error: Spark needs Java and there is no $(JAVA); install a runtime, 17 or newer, or set JAVA_HOME;' >&2; \
	echo '       on Debian and Ubuntu: apt install openjdk-17-jre-headless' >&2; exit 1; }
endef

.DELETE_ON_ERROR:
.PHONY: help demo test test-engines bench clean

help: ## what there is to make
	@echo 'vedette: new model versions earn their traffic; bad ones are taken back.'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'
	@echo
	@echo '  PYTHON=python3.12 takes another Python; ARGS="--serve --seed 7" goes to the demo, the tests or the benchmark.'

demo: $(VENV)/demo.stamp ## watch versions be promoted and taken back on real data; ARGS=--serve leaves it up
	@$(BIN)/vedette demo $(ARGS)

test: $(VENV)/test.stamp ## lint, types, layers, and every test against the installed wheel
	@echo '· ruff' && $(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet .
	@echo '· layers' && $(BIN)/lint-imports
	@echo '· pytest, and mypy beside it'
	@( $(BIN)/mypy > $(VENV)/mypy.log 2>&1 || { code=$$?; cat $(VENV)/mypy.log; exit $$code; } ) & types=$$!; \
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS); tests=$$?; \
	wait $$types || { echo 'error: mypy is not satisfied: see above, or $(VENV)/mypy.log' >&2; exit 1; }; \
	exit $$tests

test-engines: $(ENGINES)/test.stamp ## stored outcomes counted by a Spark cluster and by ClickHouse's engine; needs Java 17
	@$(call needs_java)
	@echo '· pytest, with Spark and chDB' && $(ENGINES)/bin/pytest -m engines tests/lake $(ARGS)

bench: $(VENV)/test.stamp ## our figures beside those of others; WHAT=rollouts, validity, record, ingest …: see bench/
	@$(BIN)/python bench/$(WHAT).py $(ARGS)

clean: ## remove what was made: the environment, the wheel, the caches
	rm -rf $(VENV) $(ENGINES) dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(VENV)/made.stamp:
	@command -v $(PYTHON) > /dev/null || { \
		echo 'error: there is no $(PYTHON); install Python 3.11 or newer, or name one: make PYTHON=/path/to/python' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: vedette needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) -V); try make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2> /dev/null || { \
		echo 'error: $(PYTHON) cannot make environments; on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
	@echo '· making $(VENV) with $(PYTHON)'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install --quiet --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/wheel.stamp: $(VENV)/made.stamp $(SOURCES)
	@echo '· building the wheel'
	@rm -rf dist
	@$(PIP) wheel --quiet --no-deps --wheel-dir dist .
	@touch $@

# An installed wheel of the same version counts as up to date, so the old one goes first.
$(VENV)/demo.stamp: $(VENV)/wheel.stamp
	@echo '· installing vedette with what the demo needs (a minute or two the first time)'
	@$(PIP) uninstall --quiet --yes vedette 2> /dev/null
	@$(PIP) install --quiet "$$(echo dist/*.whl)[demo]"
	@touch $@

$(VENV)/test.stamp: $(VENV)/wheel.stamp
	@echo '· installing vedette with everything the tests need (a minute or two the first time)'
	@$(PIP) uninstall --quiet --yes vedette 2> /dev/null
	@$(PIP) install --quiet "$$(echo dist/*.whl)[all]" --group test --group lint
	@touch $@ $(VENV)/demo.stamp

# An environment of its own: Spark and chDB weigh more than a gigabyte, which `make test` need not carry.
$(ENGINES)/test.stamp: $(VENV)/wheel.stamp
	@$(call needs_java)
	@echo '· installing vedette with Spark and chDB into $(ENGINES) (some minutes the first time)'
	@test -x $(ENGINES)/bin/python || $(PYTHON) -m venv $(ENGINES)
	@$(ENGINES)/bin/python -m pip --disable-pip-version-check install --quiet --upgrade 'pip>=25.1'
	@$(ENGINES)/bin/python -m pip --disable-pip-version-check uninstall --quiet --yes vedette 2> /dev/null
	@$(ENGINES)/bin/python -m pip --disable-pip-version-check install --quiet \
		"$$(echo dist/*.whl)[postgres,spark]" --group engines
	@touch $@
