"""Table 7: what the deviations of public code change of EfficientAD's numbers.

One of them needs no cell of its own: the AUROC of both anomaly types pooled comes from the baseline's own image scores.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfsc.data.layout import ANOMALY_TYPES
from dfsc.metrics.auroc import auroc
from dfsc.metrics.spro import HEADLINE_LIMIT
from dfsc.metrics.statistics import resampled_auroc, wins
from dfsc.metrics.summary import HEADLINE_METRICS
from dfsc.report.compare import (
    ALL,
    COLUMNS,
    COMPARED,
    TEXT_COLUMNS,
    Scores,
    cells_of,
    drawn_images,
    other_penalty,
    split_scores,
    summarised,
)
from dfsc.report.frames import read_table
from dfsc.report.tables import (
    HEADINGS,
    Context,
    Table,
    caption,
    gain,
    method_numbers,
    not_measured,
    of_mean,
    per_cent,
    without_unmeasured,
)
from dfsc.settings.grid import Cell, Grid, Method

NAME = "table7_protocols"
TITLE = "Table 7. Why is my number another? Deviations from the published protocol, each alone"
AUROC, SPRO = HEADLINE_METRICS
MEAN = COLUMNS.index("mean")


def build_protocol_table(
    comparison: pd.DataFrame, frame: pd.DataFrame, scores: Scores, context: Context
) -> list[Table]:
    """Table 7, of `dfsc.report.compare.compare`'s comparison and its arguments; none if no method deviates."""
    if not any(method.protocol for method in context.grid.methods):
        return []
    grid = with_pooled(context.grid)
    compared = protocol_numbers(comparison, frame, scores, grid)
    text = protocol_caption(frame, context) + not_measured(comparison, AUROC, context)
    numbers = compared.assign(pretraining_images=context.pretraining_images, **context.mark)
    return [Table(NAME, TITLE, text, protocol_table(compared, grid, context), numbers)]


def with_pooled(grid: Grid) -> Grid:
    """The grid of the baselines that deviations are compared with and of these; and each baseline with types pooled."""
    names = {method.pairs_with for method in grid.methods if method.protocol}
    methods: list[Method] = []
    for baseline in (grid.method(name) for name in grid.names if name in names):
        label = f"{baseline.label}, AUROC of both types pooled"
        pooled = replace(baseline, name=f"{baseline.name}-pooled_types", label=label, protocol={"pooled_types": True})
        deviating = [method for method in grid.methods if method.protocol and method.pairs_with == baseline.name]
        methods += [baseline, *deviating, pooled]
    return replace(grid, methods=methods, headlines=[])


def protocol_numbers(comparison: pd.DataFrame, frame: pd.DataFrame, scores: Scores, grid: Grid) -> pd.DataFrame:
    """The rows of a comparison that are of the methods of `with_pooled`'s grid, and those of types pooled."""
    rows = []
    values, resampled = _pooled(frame, scores, grid)
    for method in _pooled_methods(grid):
        for name in (*grid.categories, ALL):
            categories = grid.categories if name == ALL else [name]
            found = summarised(values, resampled, categories, method, grid)
            row = {"metric": AUROC, "baseline": method.pairs_with, "category": name, "method": method.name}
            rows += [row | {"anomaly_type": kind} | numbers for kind, numbers in found.items() if kind == "mean"]
    known = comparison[comparison["method"].isin(grid.names)]
    return pd.concat([known, pd.DataFrame(rows, columns=COMPARED).astype(known.dtypes)], ignore_index=True)


def _pooled_methods(grid: Grid) -> list[Method]:
    return [method for method in grid.methods if "pooled_types" in (method.protocol or {})]


def _pooled(
    frame: pd.DataFrame, scores: Scores, grid: Grid
) -> tuple[dict[Cell, NDArray[np.float64]], dict[Cell, NDArray[np.float64]]]:
    """Values and resampled differences as `summarised` takes them, of baselines and of types pooled."""
    runs = dict(zip(cells_of(frame), frame.to_dict("records"), strict=True))
    values: dict[Cell, NDArray[np.float64]] = {}
    resampled: dict[Cell, NDArray[np.float64]] = {}
    for method in _pooled_methods(grid):
        for cell, run in runs.items():
            if cell.method == method.pairs_with:
                measured = np.array([run.get(f"{AUROC}.{column}", np.nan) for column in COLUMNS], float)
                together, gained = pooled_auroc(cell.category, split_scores(scores[run["run_id"]]))
                twin = replace(cell, method=method.name)
                values |= {cell: measured, twin: np.array([*measured[:MEAN], together])}
                resampled[twin] = np.stack([*[np.zeros_like(gained)] * MEAN, gained], axis=1)
    return values, resampled


def pooled_auroc(category: str, images: dict[str, NDArray[np.float64]]) -> tuple[float, NDArray[np.float64]]:
    """The AUROC of all anomalous images together; and, of each resample, that minus the mean over the types."""
    counts = drawn_images(category, images)
    won = {kind: wins(images["good"], images[kind]) for kind in ANOMALY_TYPES if kind in counts}
    if not won:
        return float("nan"), np.full(len(counts["good"]), np.nan)
    of_all = np.concatenate([counts[kind] for kind in won], axis=1)
    together = resampled_auroc(np.concatenate(list(won.values())), of_all, counts["good"])
    apart = np.mean([resampled_auroc(win, counts[kind], counts["good"]) for kind, win in won.items()], axis=0)
    return auroc(images["good"], np.concatenate([images[kind] for kind in won])), together - apart


def read_protocol_numbers(folder: Path) -> pd.DataFrame:
    """The numbers of Table 7 in a folder of tables. Raises UserError naming what is missing or damaged."""
    numbers = [name for name in COMPARED if name not in TEXT_COLUMNS]
    return read_table(folder / f"{NAME}.csv", "the numbers of the protocols", COMPARED, numbers)


def protocol_table(compared: pd.DataFrame, grid: Grid, context: Context, spread: bool = True) -> pd.DataFrame:
    """What people read of `protocol_numbers`: of each baseline its own row, then one per deviation.

    `spread`: with the standard deviation of each difference.
    """
    table = pd.DataFrame(_rows(compared, grid, context, spread))
    return without_unmeasured(table, [HEADINGS[kind] for kind in ANOMALY_TYPES])


def _rows(compared: pd.DataFrame, grid: Grid, context: Context, spread: bool) -> Iterator[dict[str, Any]]:
    def gained(row: pd.Series) -> str:
        return gain(row, spread)

    for baseline in grid.baselines:
        for category in (*grid.categories, ALL):
            for method in grid.paired_with(baseline.name):
                rows = compared[(compared["method"] == method.name) & (compared["category"] == category)]
                if rows.empty and context.partial:
                    continue
                of_auroc, of_spro = (rows[rows["metric"] == metric] for metric in (AUROC, SPRO))
                numbers = method_numbers(of_auroc, per_cent)
                if method in _pooled_methods(grid):  # the types by themselves are as they were
                    numbers = {**dict.fromkeys(numbers, ""), HEADINGS["mean"]: numbers[HEADINGS["mean"]]}
                yield {
                    **context.mark,
                    "category": category,
                    "": method.label,
                    **numbers,
                    "difference of mean [95 %]": of_mean(of_auroc, gained),
                    "AU-sPRO": of_mean(of_spro, per_cent),
                    "difference of AU-sPRO [95 %]": of_mean(of_spro, gained),
                }


def protocol_caption(frame: pd.DataFrame, context: Context) -> str:
    """What the numbers of Table 7 are, and that none of its rows but the first of each size is EfficientAD's result."""
    others = frame[frame["method"].isin(other_penalty(context.grid))]["pretraining_images"].unique()
    text = (
        f"{caption(AUROC, context)} Each row changes one thing of EfficientAD's protocol, as public code does; the "
        "first row of each size is EfficientAD as published, and no other is a result of it. "
        f"AU-sPRO: mean, up to FPR {HEADLINE_LIMIT}; the interval of its difference is "
        + ("Student's t over seeds." if len(context.grid.seeds) > 1 else "not known from one seed.")
    )
    return text + (f" Other penalty images: {', '.join(sorted(others))}." if len(others) else "")
