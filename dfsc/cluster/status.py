"""How far a grid is: from the configuration and the files on disk alone, while Snakemake runs or not."""

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean
from typing import Any

from dfsc.files import reading
from dfsc.plain import plain
from dfsc.settings.grid import CELL_FILES, REJUDGED, TRAINED, Cell, Grid, Method, teacher_path

# Each rule of a cell, which is its log's name, and the last of its files.
LAST_FILES = {rule: list(files.values())[-1] for rule, files in CELL_FILES.items()}
# The rule that makes a cell, and those that it lacks, by its method's origin; other methods are from outside.
MADE_BY = {TRAINED: ("train", ("run_method",)), REJUDGED: ("score", ("train", "run_method"))}
SILENT_AFTER = 600  # seconds without news, after which a training is no longer called running
LAST_WORDS = ("dfsc: ", "Traceback (most recent call last)")  # how a command of ours, or Python, tells of a failure
COLOURS = {"done": "green", "running": "cyan", "stopped": "yellow", "silent": "yellow", "failed": "red"}


@dataclass
class Model:
    """A cell's model, or a teacher: done, trained, running, stopped, silent, failed or waiting."""

    category: str  # empty for a teacher
    method: str  # or the teacher and its size; a method from outside has maps in place of a model
    state: str
    share: float = 0.0  # of the training's steps
    seconds_left: float | None = None  # of the training
    seconds: float | None = None  # that the training took
    words: list[str] = field(default_factory=list)  # of a failure: the log's path and last lines


def read_grid(config: Mapping[str, Any]) -> list[Model]:
    """The state of every model of the grid, in the grid's order."""
    grid, benchmark = Grid.from_config(config), config["benchmark"]
    refused = {category: _refused_images(benchmark, category) for category in grid.categories}
    models = [_read_model(benchmark, cell, grid.method(cell.method)) for cell in grid.cells()]
    return [
        replace(model, state="failed", words=refused[model.category])
        if model.state in ("waiting", "trained") and refused[model.category]
        else model
        for model in models
    ]


def read_teachers(config: Mapping[str, Any]) -> list[Model]:
    """The state of each size's teacher, which all models of that size wait for."""
    benchmark, teachers = config["benchmark"], []
    for size in config["training"]["sizes"]:
        name, log = ("", f"teacher {size}"), Path("logs", benchmark, teacher_path(size), "teacher.log")
        done = Path("results", benchmark, teacher_path(size), "teacher.pt").exists()
        teachers.append(Model(*name, "done", 1) if done else _read_training(name, log))
    return teachers


def _refused_images(benchmark: str, category: str) -> list[str]:
    """The last words of the first job that found fault with a category's images, if one did: its models wait."""
    logs, manifests = Path("logs", benchmark), Path("results", benchmark, "manifests", category)
    found = sorted(log for rule in ("arrange", "manifests") for log in (logs / rule / category).glob("*.log"))
    words = (_last_words(log) for log in found if not (manifests / f"{log.stem}.csv").exists())
    return next(filter(None, words), [])


def _read_model(benchmark: str, cell: Cell, method: Method) -> Model:
    name = (cell.category, cell.method)
    results, logs = (Path(place, benchmark, cell.path) for place in ("results", "logs"))
    made_by, others = MADE_BY.get(method.origin, ("run_method", ("train", "score")))
    rules = [rule for rule in LAST_FILES if rule not in others]
    missing = [rule for rule in rules if not (results / LAST_FILES[rule]).exists()]
    seconds = 0.0  # of a training, of which one that is judged again has none
    if made_by in missing:
        found = (_read_training if made_by == "train" else _read_run)(name, logs / f"{made_by}.log")
        return replace(found, seconds=seconds) if method.origin == REJUDGED else found
    if method.origin != REJUDGED:
        record = results / LAST_FILES[made_by]
        with reading(record, "the record of a training", "delete it and run snakemake again"):
            seconds = float(json.loads(record.read_text(encoding="utf-8"))["seconds"])
    for rule in missing:
        if words := _last_words(logs / f"{rule}.log"):
            return Model(*name, "failed", 1, seconds=seconds, words=words)
    return Model(*name, "trained" if missing else "done", 1, seconds=seconds)


def _read_training(name: tuple[str, str], log: Path) -> Model:
    path = log.with_suffix(".progress.json")
    if not path.exists():
        words = _last_words(log)
        return Model(*name, "failed" if words else "waiting", words=words)
    with reading(path, "the progress of a training", "delete it"):
        told = json.loads(path.read_text(encoding="utf-8"))
        state, left = str(told["state"]), told["seconds_left"]
        share = float(told["step"]) / float(told["steps"]) if told["steps"] else 0.0
        # Where steps are slow, so are reports.
        patience = max(SILENT_AFTER, 3 * float(told["seconds_between_reports"] or 0))
        words = [str(log), str(told["words"])] if state == "failed" else []
    if state == "done":  # and was taken away since: what it wrote is not there
        return Model(*name, "waiting")
    if state == "running":
        if time.time() - path.stat().st_mtime > patience:
            return Model(*name, "silent", share)
        return Model(*name, "running", share, seconds_left=left)
    return Model(*name, state, share, words=words)


def _read_run(name: tuple[str, str], log: Path) -> Model:
    """Of a method from outside, which reports no steps: running while its log is there and tells of no failure."""
    if not log.exists():
        return Model(*name, "waiting")
    words = _last_words(log)
    if words and words[-1].startswith(LAST_WORDS[0]):
        return Model(*name, "failed", words=words)
    return Model(*name, "silent" if time.time() - log.stat().st_mtime > SILENT_AFTER else "running")


def _last_words(log: Path) -> list[str]:
    """The path and last lines of a log that tells of a failure, or has words, a warning's too, and no news for long."""
    lines = _lines(log)
    if not lines:
        return []
    failed = lines[-1].startswith(LAST_WORDS[0]) or any(line.startswith(LAST_WORDS[1]) for line in lines)
    return [str(log), *map(plain, lines[-3:])] if failed or time.time() - log.stat().st_mtime > SILENT_AFTER else []


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1] if path.exists() else []


def seconds_left(models: list[Model]) -> float | None:
    """Seconds until all trainings end, if as many run at once as do now; None if all did, or before a pace is known."""
    told = [model.seconds_left for model in models if model.seconds_left is not None]  # of those that run
    paces = [model.seconds for model in models if model.seconds]
    paces += [left / (1 - model.share) for model in models if (left := model.seconds_left) and model.share < 1]
    if not paces:
        return None
    others = [1 - model.share for model in models if model.seconds is None and model.seconds_left is None]
    if not told and not others:
        return None
    at_once = sum(model.state == "running" for model in models)
    return (sum(told) + mean(paces) * sum(others)) / max(1, at_once)


def _duration(seconds: float) -> str:
    return f"about {seconds / 3600:.1f} hours" if seconds > 5400 else f"about {seconds / 60:.0f} minutes"


def print_status(config: Mapping[str, Any]) -> None:
    """Print the grid, a cell per model; what failed, with its log's last lines; and how long it will still take."""
    from rich.console import Console
    from rich.table import Table

    teachers, models, console = read_teachers(config), read_grid(config), Console()
    table = Table(title=f"{config['benchmark']}: {len(models)} models", title_justify="left")
    for column in ("category", "method", *(f"seed {seed}" for seed in config["training"]["seeds"])):
        table.add_column(column)
    cells: dict[tuple[str, str], list[str]] = {}
    for model in (*teachers, *models):
        share = f" {model.share:.0%}" if 0 < model.share < 1 else ""
        colour = COLOURS.get(model.state, "default")
        cells.setdefault((model.category, model.method), []).append(f"[{colour}]{model.state}{share}[/]")
    for cell, states in cells.items():
        table.add_row(*cell, *states)
    # On a narrow terminal lines break, and no cell is cut.
    needed = console.measure(table, options=console.options.update(max_width=10_000)).maximum
    console.width = max(console.width, needed)
    console.print(table)
    console.print(", ".join(f"{number} {state}" for state, number in Counter(model.state for model in models).items()))
    for log, *lines in dict.fromkeys(tuple(model.words) for model in (*teachers, *models) if model.words):
        console.print(f"failed: {log}", style="red", highlight=False, soft_wrap=True)
        console.print(*(f"  {line}" for line in lines), sep="\n", markup=False, soft_wrap=True)
    for teacher in teachers:
        if teacher.seconds_left:
            console.print(f"{teacher.method}: {_duration(teacher.seconds_left)} left")
    if left := seconds_left(models):
        console.print(f"trainings: {_duration(left)} left, if as many run at once as now")
