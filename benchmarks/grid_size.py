"""Grids of up to 2,000 models: what each command that reads the whole grid takes of processor time and memory.

python -m benchmarks.grid_size --write; about forty minutes on two cores, and 2 GB of temporary files. Nothing is
trained: `benchmarks.large_grid` makes what the commands read. With --server it is two grids of up to 500 models that
are tracked on a real MLflow server with PostgreSQL (installed where missing, as root).

All costs are linear in the models but one, small so far: in runs.csv each defect of each category has columns of its
own, which are empty in the runs of all other categories.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import chdir, nullcontext
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.ticker import ScalarFormatter

from benchmarks.large_grid import PER_CATEGORY, SEEDS, TEST, LargeGrid
from benchmarks.results import RESULTS, keep
from benchmarks.timing import CPU, circumstances
from dfsc.files import written_whole
from dfsc.report.figures.plotting import BLACK, BLUE, GREEN, GREY, METADATA, ORANGE
from support.tracking_server import new_server

CATEGORIES = (10, 25, 50, 100)
ON_SERVER = (10, 25)
GOALS_AT = 2000  # models
FIGURE = RESULTS.with_name("grid_size.png")
GIBIBYTE = 2**20  # in kB
# A small process between: of a process, Linux reports no less memory than that of the one that started it.
MEASURED = """
import json, resource, subprocess, sys
run = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([run.returncode, run.stdout[-3000:], used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""


class Spent(NamedTuple):
    """What a command took, with all that it started."""

    processor: float  # seconds
    memory: float  # GiB, of the largest process
    wall: float  # seconds


class Command(NamedTuple):
    """What is measured, and what it may take; None where no goal was set."""

    label: str
    seconds: float | None
    gibibytes: float | None
    colour: str
    marker: str


PLAN, PLAN_DONE, START, EMPTY, TABLES, PAIR, STATUS, STATUS_DONE = COMMANDS = (
    Command("`snakemake -n`, nothing trained", 20, None, BLUE, "o"),
    Command("`snakemake -n`, all done", 20, None, BLUE, "s"),
    Command("start of a training's job, Snakemake's two", 3, None, ORANGE, "^"),
    Command("two starts of an empty Snakemake, beside it", None, None, GREY, "x"),
    Command("`dfsc tables`", 60, 2, BLACK, "D"),
    Command("`dfsc pair`", None, None, GREY, "v"),
    Command("`dfsc status`, all running", 2, None, GREEN, "<"),
    Command("`dfsc status`, all done", 2, None, GREEN, ">"),
)
Measured = dict[Command, list[Spent]]  # one of each number of models


def spend(*command: str) -> Spent:
    """Run a command in the working folder, and say what it took. Ends with its last words if it fails."""
    began = time.perf_counter()
    run = subprocess.run([sys.executable, "-c", MEASURED, *command], check=True, capture_output=True, text=True)
    code, said, processor, memory = json.loads(run.stdout)
    if code != 0:
        raise SystemExit(f"{' '.join(command)}:\n{said}")
    return Spent(processor, memory / GIBIBYTE, time.perf_counter() - began)


def dfsc(name: str, grid: LargeGrid, *more: str) -> Spent:
    """Run a subcommand on the whole grid."""
    return spend(sys.executable, "-m", "dfsc.cli", name, "--configfile", grid.file.name, *more)


def start_of_job(grid: LargeGrid) -> Spent:
    """Snakemake as Slurm's job starts it for a training, up to the training itself; in a job it starts twice."""
    cell = next(grid.grid.cells())
    target = f"train:category={cell.category},method={cell.method},seed={cell.seed}"
    command = ["snakemake", "--snakefile", "Snakefile", "--target-jobs", target, "--allowed-rules", "train"]
    command += ["--cores", "1", "--attempt", "1", "--force-use-threads", "--force", "--nocolor", "--notemp"]
    command += ["--no-hooks", "--nolock", "--ignore-incomplete", "--configfiles", grid.file.name]
    return twice(*command)


def twice(*command: str) -> Spent:
    """What two such Snakemakes take, each in the place of a job's own."""
    once = spend(*command, "--mode", "remote", "--dry-run")
    return Spent(2 * once.processor, once.memory, 2 * once.wall)


def measure(grid: LargeGrid) -> Iterator[tuple[Command, Spent]]:
    """Make a grid in three steps, and measure in between what reads it so."""
    plan = ("snakemake", "-n", "--configfile", grid.file.name)
    with chdir(grid.root):
        grid.begin()
        yield PLAN, spend(*plan)
        yield STATUS, dfsc("status", grid)
        grid.finish()
        yield TABLES, dfsc("tables", grid)
        yield PAIR, dfsc("pair", grid, "--output", str(grid.results / "pairs.json"))
        grid.complete()
        yield PLAN_DONE, spend(*plan)
        yield START, start_of_job(grid)
        Path("empty").mkdir()
        Path("empty/Snakefile").write_text("rule nothing:\n    output:\n        'nothing',\n")
        with chdir("empty"):
            yield EMPTY, twice("snakemake", "--cores", "1", "--target-jobs", "nothing:")
        yield STATUS_DONE, dfsc("status", grid)


def measure_tracked(grid: LargeGrid) -> Iterator[tuple[Command, Spent]]:
    """The commands that read MLflow alone."""
    with chdir(grid.root):
        grid.finish()
        yield TABLES, dfsc("tables", grid)
        yield PAIR, dfsc("pair", grid, "--output", str(grid.results / "pairs.json"))


def measure_all(categories: Sequence[int], uri: str | None) -> Measured:
    """Every command at each number of categories; those that read MLflow alone if it is on a server at `uri`."""
    found: Measured = {}
    for number in categories:
        with tempfile.TemporaryDirectory() as folder:
            grid = LargeGrid(Path(folder), number, uri) if uri else LargeGrid(Path(folder), number)
            for command, spent in (measure_tracked if uri else measure)(grid):
                print(f"{number * PER_CATEGORY} models: {command.label}: {_said(spent)}", file=sys.stderr, flush=True)
                found.setdefault(command, []).append(spent)
    return {command: found[command] for command in COMMANDS if command in found}


def _said(spent: Spent) -> str:
    return f"{spent.processor:.1f} s, {spent.memory:.2f} GiB, {spent.wall:.1f} s of wall time"


def report(found: Measured, categories: Sequence[int]) -> str:
    """A row per command: processor time at each size, growth from the last but one to the last, and the goal."""
    head = ["processor time", *(f"{number * PER_CATEGORY} models" for number in categories)]
    head += ["growth", "memory at most", "goal", ""]
    rows = [head, ["---"] * len(head)]
    for command, spents in found.items():
        before, last = (spent.processor for spent in spents[-2:])
        goals = [(last, command.seconds, "s"), (spents[-1].memory, command.gibibytes, "GiB")]
        asked = [(value, goal, unit) for value, goal, unit in goals if goal is not None]
        met = "met" if all(value < goal for value, goal, _ in asked) else "**missed**"
        row = [command.label, *(f"{spent.processor:.1f} s" for spent in spents)]
        row += [f"{last / before:.2f}", f"{spents[-1].memory:.2f} GiB"]
        row.append(", ".join(f"{goal:g} {unit}" for _, goal, unit in asked))
        row.append(met if asked and categories[-1] * PER_CATEGORY == GOALS_AT else "")
        rows.append(row)
    images = sum(TEST.values())
    return (
        f"{PER_CATEGORY} models of each category ({len(SEEDS)} seeds), {images} test images a model. Growth: the last "
        f"size over the one before; linear is {categories[-1] / categories[-2]:g}. Goals are for {GOALS_AT:,} "
        "models.\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)
    )


def draw(found: Measured, categories: Sequence[int], path: Path) -> None:
    """Processor time over the number of models, both logarithmic; a command's goal is a bar at the largest."""
    models = [number * PER_CATEGORY for number in categories]
    figure, axis = plt.subplots(figsize=(6.4, 4))
    for command, spents in found.items():
        axis.plot(models, [spent.processor for spent in spents], color=command.colour, marker=command.marker,
                  markersize=4, linewidth=1, label=command.label.replace("`", ""))  # fmt: skip
        if command.seconds:
            axis.plot(models[-1], command.seconds, color=command.colour, marker="_", markersize=16, mew=2)
    axis.set(xscale="log", yscale="log", xlabel="models", ylabel="processor time, s", xticks=models)
    for each in (axis.xaxis, axis.yaxis):
        each.set_major_formatter(ScalarFormatter())
    axis.minorticks_off()
    axis.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), title="bar: goal")
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100, bbox_inches="tight", metadata=METADATA["png"])
    plt.close(figure)


def main() -> None:
    """Measure, print, and keep if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--categories", type=int, nargs="+", help="Numbers of categories, two or more, that grow.")
    parser.add_argument("--server", action="store_true", help="Track on a server with PostgreSQL, not in SQLite.")
    parser.add_argument("--figure", type=Path, help=f"Draw into this file; with --write, {FIGURE.name}.")
    parser.add_argument("--write", action="store_true", help=f"also replace {RESULTS.name}'s part for these grids")
    chosen = parser.parse_args()
    categories = chosen.categories or (ON_SERVER if chosen.server else CATEGORIES)
    with new_server() if chosen.server else nullcontext() as server:
        if server:
            server.start()
        found = measure_all(categories, server.uri if server else None)
    text = f"{circumstances(CPU)}\n\n{report(found, categories)}\n"
    print(text)
    if chosen.server:
        if chosen.write:
            keep("grid size on a server", text)
        return
    if path := FIGURE if chosen.write else chosen.figure:
        draw(found, categories, path)
    if chosen.write:
        keep("grid size", f"{text}\n![Processor time over the number of models]({FIGURE.name})\n")


if __name__ == "__main__":
    main()
