# Everything runs in .venv, which is made on first use and renewed when pyproject.toml changes.

PYTHON ?= $(firstword $(shell command -v python3.11) python3)
BIN := .venv/bin
STAMP := .venv/.installed
# What `make fuzz` draws from, and how much.
SEED ?= 1
PROGRAMS ?= 2000

# Else a yosys on PATH would be taken silently.
export AMARANTH_USE_YOSYS := builtin

.DEFAULT_GOAL := help
.PHONY: help env demo test lint fuzz mutants prove xgboost-versions bench clean

help:
	@echo "make demo    a matrix product and handwritten digits, on the simulator and in the gates"
	@echo "make test    format, lint, types and all tests"
	@echo "make lint    format, lint and types alone"
	@echo "make fuzz    the random tests with many new examples"
	@echo "make mutants small mistakes put into a copy of the tree: each must turn a check red"
	@echo "make prove   what is proven of the gates, claim by claim, and the bugs that each proof finds"
	@echo "make xgboost-versions  the models of cost under the oldest xgboost that is allowed, too"
	@echo "make bench   the measurements"
	@echo "make clean   remove the environment and everything built"

env: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Tilewright needs Python 3.11 or later: make PYTHON=<python>"; exit 1; }
	$(PYTHON) -m venv .venv || \
		{ echo "The venv module is missing: sudo apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

demo: env
	@$(BIN)/tilewright doctor --for rtl --install >/dev/null || $(BIN)/tilewright doctor --for rtl
	@$(BIN)/python examples/matmul_demo.py
	@$(BIN)/python examples/digits_demo.py

lint: env
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# What the doctor could not bring is skipped by the tests that need it, with the reason.
test: env
	-@$(BIN)/tilewright doctor --for tests --install
	@$(MAKE) --no-print-directory lint
	@$(BIN)/pytest

fuzz: env
	$(BIN)/pytest -m hypothesis --hypothesis-profile=fuzz
	$(BIN)/python -m tests.cosim.fuzz --seed $(SEED) --programs $(PROGRAMS)
	$(BIN)/python -m tests.schedules.fuzz --seed $(SEED) --cases $(PROGRAMS)

mutants: env
	$(BIN)/python -m tests.mutants

prove: env
	$(BIN)/python -m tests.formal

# Beside .venv: the same Python, numpy and scipy, another xgboost.
OLDEST_XGBOOST := 3.0.0
xgboost-versions: env
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target .venv/xgboost-$(OLDEST_XGBOOST) 'xgboost-cpu==$(OLDEST_XGBOOST)'
	TILEWRIGHT_XGBOOST_PATHS=.venv/xgboost-$(OLDEST_XGBOOST) $(BIN)/pytest tests/tune/test_model_versions.py

bench: env
	@for script in $(sort $(wildcard bench/*.py)); do echo "$$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis obj_dir sim_build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
