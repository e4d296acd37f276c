# The grid, and where its files lie. Everything a run produces is below results/<benchmark>/:
#   manifests/<category>/{training, test, ground_truth}.csv   pretraining.index   teachers/<size>/   checkpoints/   kept/
#   <category>/<method>/seed<seed>/{model.pt, scores.csv, maps.npz, metrics.json, run.json...}   (dfsc.settings.grid)
#   tables/   figures/   page/index.html

import json
import sys
from contextlib import contextmanager
from pathlib import Path

from dfsc import provenance
from dfsc.environment import settle_environment
from dfsc.errors import RunFailed, UserError
from dfsc.report.page import drawn_with
from dfsc.settings import grid
from dfsc.settings.constraint import equal_models
from dfsc.settings.reading import check, normalised, read_yaml

settle_environment()  # of the jobs' commands too


@contextmanager
def stopping_in_one_line():
    """Ends the workflow with a line and an exit code, in place of a traceback."""
    try:
        yield
    except (UserError, RunFailed) as error:
        print(f"dfsc: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if workflow.is_main_process:  # a job's configuration was checked by the run that submitted it
    with stopping_in_one_line():
        for file in workflow.configfiles:  # Snakemake has read them, and is content with a key that stands twice
            read_yaml(Path(file))
        check(config)

config.update(normalised(config))

BENCHMARK = config["benchmark"]
RESULTS = f"results/{BENCHMARK}"
LOGS = f"logs/{BENCHMARK}"
KEPT = f"{RESULTS}/kept"  # decoded images and compiled code; no output of any rule, as it may be deleted at any time
DATASET = config["dataset"]["folder"]
GRID = grid.Grid.from_config(config)
if workflow.is_main_process:
    for warning in equal_models(GRID):
        print(f"dfsc: warning: {warning}", file=sys.stderr)
CATEGORIES, SEEDS = GRID.categories, GRID.seeds
SIZES = config["training"]["sizes"]
CELL = grid.Cell("{category}", "{method}", "{seed}").path
CELL_LOG = f"{LOGS}/{CELL}"
FILES = {  # of a cell, by what they hold
    name: f"{RESULTS}/{CELL}/{file}" for files in grid.CELL_FILES.values() for name, file in files.items()
}
TEACHER = f"{RESULTS}/{grid.teacher_path('{size}')}"
TEACHER_LOG = f"{LOGS}/{grid.teacher_path('{size}')}"


def code_digest(command):
    """A param: the digest of what a command runs; in a job's own Snakemake, that of the job's rule and no other."""
    if workflow.is_main_process:
        return provenance.code_digest(command)
    return lambda wildcards: provenance.code_digest(command)


def any_of(names):
    """A pattern of these names; with none, it matches nothing."""
    return "|".join(str(name).replace(".", r"\.") for name in names) or "(?!)"


TRAINED = [method.name for method in GRID.methods if method.origin == grid.TRAINED]
# These use models that are trained here, their own or their baseline's.
OF_MODELS = [method.name for method in GRID.methods if not method.is_outside]


wildcard_constraints:
    size=any_of(SIZES),
    category=any_of(CATEGORIES),
    method=any_of(GRID.names),
    declared=any_of(GRID.headlines),
    seed=any_of([*SEEDS, grid.NO_SEED]),


def made_by(rule):
    """The files of a cell that a rule makes, by what they hold."""
    return {name: FILES[name] for name in grid.CELL_FILES[rule]}


def of_model(name, wildcards):
    """This file of the training whose model a cell uses."""
    return FILES[name].format(**{**wildcards, "method": GRID.method(wildcards.method).model_of})


def of_pair(name):
    """An input function: this file of a declared method's baseline and of that method, of the first seed."""
    return lambda wildcards: [
        FILES[name].format(**vars(GRID.cell(wildcards.category, method, SEEDS[0])))
        for method in GRID.pair(wildcards.declared)
    ]


def labels(wildcards):
    """Options that name the methods of a pair."""
    return [f"--label={method.label}" for method in GRID.pair(wildcards.declared)]


def as_json(settings):
    """Settings of one stage, as its command takes them."""
    return json.dumps(settings, sort_keys=True)


# Ends the command of a long rule: shows its output and keeps it. Slurm sends the signal that ends a job to all of its
# processes; this one stays, as the training still writes while it saves its checkpoint.
SHOWN_AND_KEPT = "2>&1 | (trap '' INT TERM && tee {log})"
