"""What a benchmark takes: models, steps, hours and disk, from a few steps of each kind of training measured here."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from dfsc.inference.speed import processor
from dfsc.planning.disk import checkpoint_bytes, filled_by, missing_cells, trained_cells
from dfsc.planning.fetched import pretrained_sizes
from dfsc.planning.pace import Budget, Pace, model_pace, teacher_pace
from dfsc.planning.stand_ins import penalty_images, teacher_weights, training_images
from dfsc.settings.building import build
from dfsc.settings.grid import TRAINED, Grid, Method, teacher_settings, training_settings
from dfsc.settings.outside import OutsideMethod
from dfsc.settings.teacher import TeacherSettings
from dfsc.settings.training import TrainingSettings
from dfsc.training.device import describe_device

TEACHER_THREADS = 2  # that rule `pretrain_teacher` computes with on a CPU; all other trainings compute with one


class Kind(NamedTuple):
    """Trainings whose steps take as long: models of one network size, with DFSC's constraint or without; a teacher."""

    label: str
    trainings: int
    steps: int  # of each
    pace: Pace

    @property
    def hours(self) -> float:
        """Hours of all of them, one after the other."""
        return self.trainings * (self.pace.start_seconds + self.steps * self.pace.step_seconds) / 3600


class Estimate(NamedTuple):
    """What was measured, and with what."""

    kinds: list[Kind]
    stand_ins: list[str]  # what the steps were measured with in place of the benchmark's own
    device: torch.device


def measure(config: Mapping[str, Any], device: torch.device, budget: Budget) -> Estimate:
    """Measure a few steps of each kind of training that a configuration asks for.

    Raises UserError for images or a teacher that are there and damaged, RunFailed if a training fails.
    """
    with tempfile.TemporaryDirectory() as work:
        images, own_images = training_images(config)
        penalty, own_penalty = penalty_images(config, Path(work))
        own = {"training images": own_images, "penalty images": own_penalty}
        kinds = []
        for method, trainings in kinds_of_models(Grid.from_config(config)):
            settings = build(TrainingSettings, training_settings(config, method, config["training"]["seeds"][0]))
            weights, own[f"teacher {method.size}"] = teacher_weights(config, method.size)
            pace = model_pace(settings, images, penalty, weights, device, budget)
            kinds.append(Kind(method.family, trainings, settings.steps, pace))
        if device.type == "cpu":
            torch.set_num_threads(TEACHER_THREADS)
        for size in pretrained_sizes(config):
            recipe = build(TeacherSettings, teacher_settings(config, size))
            kinds.append(Kind(f"teacher {size}", 1, recipe.steps, teacher_pace(recipe, penalty, device, budget)))
    return Estimate(kinds, [what for what, is_own in own.items() if not is_own], device)


def kinds_of_models(grid: Grid) -> Iterator[tuple[Method, int]]:
    """A method of each kind, and the number of that kind's trainings."""
    kinds: dict[tuple[str, bool], list[Method]] = {}
    for method in grid.methods:
        if method.origin == TRAINED:
            kinds.setdefault((method.size, method.dfsc is None), []).append(method)
    for (size, _), methods in kinds.items():
        names = {method.name for method in methods}
        yield methods[0], sum(cell.method in names for cell in trained_cells(grid, size))


def print_estimate(config: Mapping[str, Any], estimate: Estimate) -> None:
    """Print models, steps, hours and disk; and what they were measured with."""
    from rich.console import Console
    from rich.table import Table

    console, kinds = Console(), estimate.kinds
    steps = sum(kind.trainings * kind.steps for kind in kinds)
    title = f"{config['benchmark']}: {sum(kind.trainings for kind in kinds):,} trainings, {steps:,} steps"
    table = Table(title=title, title_justify="left")
    table.add_column("kind")
    unit = "GPU hours" if estimate.device.type == "cuda" else "CPU hours"
    for column in ("trainings", "steps of each", "steps measured", "ms a step", "start, s", unit):
        table.add_column(column, justify="right")
    for kind in kinds:
        pace = (f"{kind.pace.steps}", f"{1000 * kind.pace.step_seconds:,.1f}", f"{kind.pace.start_seconds:.1f}")
        table.add_row(kind.label, f"{kind.trainings}", f"{kind.steps:,}", *pace, _hours(kind.hours))
    table.add_row("all", "", "", "", "", "", _hours(sum(kind.hours for kind in kinds)))
    console.width = max(console.width, console.measure(table, options=console.options.update(max_width=10_000)).maximum)
    console.print(table)
    for line in (*_circumstances(config, estimate), *_outside(config), *_disk(config)):
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2f}"


def _circumstances(config: Mapping[str, Any], estimate: Estimate) -> Iterator[str]:
    on_gpu = estimate.device.type == "cuda"
    precision = config["training"]["precision"] if on_gpu else "float32"
    yield f"measured on: {describe_device(estimate.device) if on_gpu else processor()}, {precision}"
    yield (
        "hours are of one training after the other: divide them by the number of trainings that run at once; decoding, "
        "scoring, evaluation and figures come on top"
    )
    if not on_gpu:
        threads = f"a model computes with one thread, a teacher with {TEACHER_THREADS}"
        yield f"without a GPU ({threads}): for the hours of a GPU, measure on the machine that will train"
    if estimate.stand_ins:
        yield (
            f"measured with random weights or drawn images in place of: {', '.join(estimate.stand_ins)}; no time "
            "depends on what they hold, only a penalty image's on its size"
        )


def _outside(config: Mapping[str, Any]) -> Iterator[str]:
    grid = Grid.from_config(config)
    for name, section in config.get("methods", {}).items():
        if section.get("command") is not None:
            runs = sum(cell.method == name for cell in grid.cells())
            minutes = section.get("runtime", OutsideMethod.runtime)
            yield f"{name}: {runs} runs from outside, not measured; each is stopped after {minutes} minutes"


def _disk(config: Mapping[str, Any]) -> Iterator[str]:
    grid, image_size = Grid.from_config(config), config["training"]["image_size"]
    for size in config["training"]["sizes"]:
        filled, cells, missing = filled_by(config, size), trained_cells(grid, size), missing_cells(config, size)
        each = filled.results + filled.store
        how = "measured of a model that is there" if filled.measured else "computed; curves, heatmaps and maps add some"
        yield (
            f"disk, models of size {size}: {_gigabytes(len(cells) * each)}: {len(cells)} of {each / 1e6:,.1f} MB, of "
            f"which the tracking store {filled.store / 1e6:,.1f} ({how})"
        )
        yield f"  and {checkpoint_bytes(size, image_size) / 1e6:,.1f} MB for the checkpoint of each training that runs"
        if len(missing) < len(cells):
            yield f"  {len(cells) - len(missing)} of them are trained: `dfsc status` tells how long the others take"


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.2f} GB"
