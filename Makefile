# Everything from a fresh clone: python3 (3.11.4 to 3.13), make and git are all that must be there.
#   make demo    the whole pipeline on generated images, on a CPU: tables, figures, tracked runs
#   make test    formatting, types and tests
#   make benchmark                 speed, as ratios in one table: benchmarks/RESULTS.md
#   make stand-in                  the study of DFSC's readings on generated images, an hour or two: docs/stand_in.md
#   make lock                      requirements.lock from pyproject.toml, by uv; CONTRIBUTING.md
#   make mutants                   which faults the tests would notice; hours: benchmarks/RESULTS.md
#   make tracking-server           MLflow on PostgreSQL, for a team; docs/cluster.md
#   make test-slurm, test-server   the tests on a real Slurm, and on a real tracking server

SHELL := bash
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo stand-in test lint format lock benchmark mutants tracking-server test-slurm test-server

demo: $(BIN)/dfsc
	snakemake --cores all --configfile config/demo.yaml --quiet rules host
	@dfsc show results/demo

# Trains what docs/stand_in lacks, adds it there, and writes docs/stand_in.md. After an interruption, give it again.
STUDY := --configfile config/stand_in.yaml
stand-in: $(BIN)/dfsc
	missing=$$(dfsc study --missing $(STUDY)) && snakemake --cores all $(STUDY) --quiet rules host -- $$missing
	dfsc tables --partial $(STUDY)
	dfsc study $(STUDY)

# Each file's tests in one process, which computes on one core. One process more than cores, as some tests wait.
test: export OMP_NUM_THREADS := 1
test: $(BIN)/dfsc lint
	pytest --numprocesses $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --dist loadfile tests/unit $(wildcard tests/test_*.py)

# Each installs what it needs by apt-get, where that is missing, and stops all that it starts.
test-slurm: $(BIN)/dfsc
	pytest tests/slurm

test-server: $(BIN)/dfsc
	pytest tests/tracking_server

benchmark: $(BIN)/dfsc
	python -m benchmarks --write

# mutmut lies apart: it is no part of the environment that results come from. On one thread, as torch hangs after a fork.
mutants: export PYTHONPATH := .mutmut
mutants: export OMP_NUM_THREADS := 1
mutants: export MKL_NUM_THREADS := 1
mutants: $(BIN)/dfsc
	pip install --quiet --target .mutmut --upgrade mutmut==3.8.1
	rm -f mutants/mutmut-stats.json  # what fixtures keep is of the same process
	python -m mutmut run
	python -m benchmarks.mutants

tracking-server: $(BIN)/dfsc
	scripts/tracking_server

lint: $(BIN)/dfsc
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	mypy --num-workers auto

format: $(BIN)/dfsc
	ruff check --fix .
	ruff format .
	snakefmt Snakefile workflow

# Needs no .venv: that is installed from the lock.
lock:
	scripts/lock

# Compiled on all cores, where pip uses one: many machines forbid Python to keep what it compiles when it imports
# (PYTHONDONTWRITEBYTECODE), and each job would compile torch anew.
$(BIN)/dfsc: pyproject.toml requirements.lock dfsc/__init__.py
	python3 -c 'import sys; v = sys.version_info[:3]; sys.exit(not (3, 11, 4) <= v < (3, 14) and "python3 is %d.%d.%d; 3.11.4 to 3.13 is needed" % v)'
	python3 -m venv .venv
	@echo "installing about 260 packages (5 GB) into .venv; this takes a few minutes"
	$(BIN)/pip install --quiet --require-hashes --no-deps --no-compile --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q -j 0 -x '/tests?/' .venv/lib
	@touch $@
