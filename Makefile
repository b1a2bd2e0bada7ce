# `make search` and `make test` do all set-up themselves, from a bare clone with Python >= 3.11.
PYTHON ?= python3
ARGS ?=
EXTRAS ?= dev,demo,audit
BIN := .venv/bin

.PHONY: help install search test lint format

help:
	@echo "make search   find the best of three families for four spoken words (ARGS='--data FOLDER ...')"
	@echo "make test     lint, types, known holes and all tests (ARGS='tests/models -k lstm', ARGS=--cov)"
	@echo "make format   put the code into shape"

install: .venv/installed

# Torch goes first and alone: with it in place nothing else asks for a build with CUDA libraries.
.venv/installed: pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: no $(PYTHON) here; install Python 3.11 or newer, or say make PYTHON=..."; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 4))' || { echo "make: $(PYTHON) is older than 3.11.4; say make PYTHON=python3.11"; exit 2; }
	@echo "Installing into .venv (once; some minutes) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/pip install -qq --disable-pip-version-check 'torch>=2.13,<2.14'
	@$(BIN)/pip install -qq --disable-pip-version-check -e '.[$(EXTRAS)]'
	@touch $@

search: install
	@$(BIN)/python -m tune_audio.search --space speech4 $(ARGS)

test: install lint
	@$(BIN)/python -m pytest -n auto $(ARGS)

lint: install
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/python .ci/audit.py

format: install
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .
