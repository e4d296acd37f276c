"""What changed from a baseline to a method: anomalies that one of them finds and the other misses, chosen by a rule."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dfsc.data.images import decode_image
from dfsc.errors import UserError
from dfsc.inference.image_scores import of_split
from dfsc.inference.maps import SmallMaps, read_maps
from dfsc.inference.overlay import overlay
from dfsc.inference.threshold import promised_thresholds
from dfsc.metrics.operating_point import HEADLINE_RATE, rejected
from dfsc.model.maps import pad_map, resize_map
from dfsc.report.compare import scores_by_cell
from dfsc.report.figures.heatmaps import show_ground_truth
from dfsc.report.figures.plotting import save_figure
from dfsc.report.page.maps import scale_of
from dfsc.report.tables import Context
from dfsc.settings.grid import Method

SHOWN = 3  # images each way
RULE = f"{100 * HEADLINE_RATE:g} % false alarms promised"


class Changed(NamedTuple):
    """An anomalous test image, and with how many of `seeds` seeds method and baseline find it."""

    path: str
    method: int
    baseline: int
    seeds: int


def changed_images(scores: pd.DataFrame, context: Context, category: str, name: str) -> list[Changed]:
    """The anomalies of a category that a method finds with more seeds than its baseline, or with fewer.

    At each run's own threshold of HEADLINE_RATE; seeds of which both have a run. First those with the largest
    difference, then by path. scores: as `dfsc.report.paper.read_image_scores`. Empty where no rate is promised.
    """
    grid = context.grid
    baseline, method = grid.pair(name)
    by_cell = scores_by_cell(scores[scores["category"] == category])
    pairs = [[grid.cell(category, one, seed) for one in (method, baseline)] for seed in grid.seeds]
    found = [[_found(by_cell[cell]) for cell in pair] for pair in pairs if all(cell in by_cell for cell in pair)]
    if not found or not all(verdicts for pair in found for verdicts in pair):
        return []
    counts = [
        Changed(path, sum(mine[path] for mine, _ in found), sum(other[path] for _, other in found), len(found))
        for path in found[0][0]
    ]
    changed = [one for one in counts if one.method != one.baseline]
    return sorted(changed, key=lambda one: (-abs(one.method - one.baseline), one.path))


def _found(scores: Mapping[str, float]) -> dict[str, bool]:
    """Anomalous test image -> whether it is rejected; empty where the validation images promise no such rate."""
    threshold = promised_thresholds([*of_split(scores, "validation").values()]).get(HEADLINE_RATE)
    if threshold is None:
        return {}
    tested = {path: score for path, score in of_split(scores, "test").items() if not path.startswith("test/good/")}
    return {path: bool(rejected(score, threshold)) for path, score in sorted(tested.items())}


def draw_what_changed(
    category_folder: Path, maps: list[Path], scores: pd.DataFrame, context: Context, name: str, output: Path
) -> Figure:
    """Rows of image, ground truth, and the maps of baseline and method: SHOWN that the method finds, SHOWN it misses.

    maps: the archives of the baseline and of the method `name`, of one seed; each on one scale for all images. Returns
    the figure as saved. Raises UserError as `read_maps` does, and if the images are not there.
    """
    if not category_folder.is_dir():
        raise UserError(f"{category_folder}: is not there; the figure shows its images: see --dataset")
    archives = [read_maps(path) for path in maps]
    category = category_folder.name
    pair = context.grid.pair(name)
    changed = changed_images(scores, context, category, name)
    better = [one for one in changed if one.method > one.baseline]
    worse = [one for one in changed if one.method < one.baseline]
    rows = [*better[:SHOWN], *worse[:SHOWN]]
    title = (
        f"{category.replace('_', ' ')}: {pair[1].label} finds {len(better)} anomalies with more seeds than "
        f"{pair[0].label}, and {len(worse)} with fewer\n{RULE}; pretraining images: {context.pretraining_images}"
    )
    if not rows:
        return _empty(title, output)
    figure, axes = plt.subplots(
        len(rows), 4, figsize=(9.6, 1.85 * len(rows) + 0.6), squeeze=False, layout="constrained"
    )
    for row, one in zip(axes, rows, strict=True):
        _draw_row(row, category_folder, one, archives)
        row[0].set_ylabel("found" if one.method > one.baseline else "missed", fontsize=9, fontweight="bold")
        _say_counts(row[2:], one, pair)
    for axis, heading in zip(axes[0], ["image", "ground truth"], strict=False):
        axis.set_title(heading, fontsize=8)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    figure.suptitle(title, fontsize=9)
    save_figure(figure, output)
    return figure


def _draw_row(row: NDArray[np.object_], folder: Path, one: Changed, archives: list[SmallMaps]) -> None:
    decoded = decode_image(folder / one.path)
    image = np.asarray(decoded)
    row[0].imshow(image)
    row[0].set_xlabel(one.path.removeprefix("test/").replace("_anomalies", ""), fontsize=6)
    show_ground_truth(row[1], folder, one.path, image.shape[:2])
    for axis, archive in zip(row[2:], archives, strict=True):
        low, high = scale_of(archive.maps, archive.padding)
        full = resize_map(pad_map(archive.maps[one.path], archive.padding), *image.shape[:2])
        axis.imshow(np.asarray(overlay(decoded, full - np.float32(low), high - low)))


def _say_counts(axes: NDArray[np.object_], one: Changed, pair: tuple[Method, Method]) -> None:
    for axis, method, count in zip(axes, pair, (one.baseline, one.method), strict=True):
        found = "missed" if not count else "found" if count == one.seeds else f"found, {count} of {one.seeds} seeds"
        axis.set_title(f"{method.label}: {found}", fontsize=7)


def _empty(title: str, output: Path) -> Figure:
    """A figure that says that there is none to show."""
    figure, axis = plt.subplots(figsize=(9.6, 1.4), layout="constrained")
    said = "no anomaly is judged differently, or no threshold promises this rate"
    axis.text(0.5, 0.5, said, ha="center", va="center", fontsize=9)
    axis.set_axis_off()
    figure.suptitle(title, fontsize=9)
    save_figure(figure, output)
    return figure
