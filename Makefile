# Everything from a fresh clone: python3 (3.11 or newer), make and git are all that must be there.
#   make demo    the whole pipeline on generated images, on a CPU: tables, figures, tracked runs
#   make test    formatting, types and tests

SHELL := bash
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo test lint format

demo: $(BIN)/dfsc
	snakemake --cores all --configfile config/demo.yaml --quiet rules host
	@dfsc show results/demo

test: $(BIN)/dfsc lint
	pytest

lint: $(BIN)/dfsc
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	mypy

format: $(BIN)/dfsc
	ruff check --fix .
	ruff format .
	snakefmt Snakefile workflow

$(BIN)/dfsc: pyproject.toml requirements.lock
	python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "python3 is %d.%d; 3.11 or newer is needed" % sys.version_info[:2])'
	python3 -m venv .venv
	$(BIN)/pip install --requirement requirements.lock
	$(BIN)/pip install --no-deps --no-build-isolation --editable .
	@touch $@
