"""Table 5: false alarms and missed anomalies at the thresholds that promise a false-alarm rate.

The numbers come from the tracked image scores: a threshold from a run's validation images, verdicts on its test images.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfsc.data.layout import ANOMALY_TYPES
from dfsc.inference.image_scores import of_split
from dfsc.inference.threshold import promised_thresholds
from dfsc.metrics.operating_point import RATES, compare_verdicts, exact_interval, rejected
from dfsc.report.compare import ALL, Scores, cells_of, split_scores
from dfsc.report.frames import read_table
from dfsc.report.tables import (
    HEADINGS,
    NOT_MEASURED,
    RUNS_MISSING,
    Context,
    Table,
    declared_methods,
    inactive_note,
    without_unmeasured,
)
from dfsc.settings.grid import Cell, Grid, Method

NAME = "table5_operating_points"
POOLED = "all categories"
ANOMALIES = "anomalies"  # of all types together
FOLDERS = {"good": "false alarms", **{kind: f"missed {HEADINGS[kind]}" for kind in ANOMALY_TYPES}}  # -> heading
AGAINST = "better : worse than baseline"
TEXT_COLUMNS = ["category", "method", "baseline", "folder", "counts"]
COLUMNS = [
    *("category", "method", "baseline", "promised", "validation", "folder", "images", "seeds", "counts", "wrong"),
    *("rate", "low", "high", "pairs", "better", "worse", "p_value"),
]
Verdicts = dict[str, NDArray[np.bool_]]  # folder, or ANOMALIES -> whether each image is judged right


def operating_points(frame: pd.DataFrame, scores: Scores, grid: Grid) -> pd.DataFrame:
    """A row per category (or POOLED), promised rate, method and folder ('good', an anomaly type, or ANOMALIES).

    Columns beside those: validation (images, that the threshold comes from), images, seeds, counts (wrong verdicts of
    each seed, as text), wrong (their mean), rate (wrong / images) with low and high (as `exact_interval`); over `pairs`
    pairs, better, worse and p_value (as `compare_verdicts`), empty for a baseline. Rates in 0..1. Empty is what is not
    measured, and what so few validation images cannot promise.
    """
    runs = dict(zip(cells_of(frame), (scores[run] for run in frame["run_id"]), strict=True))
    images = {cell: _with_all_types(split_scores(found)) for cell, found in runs.items()}
    validation = {cell: [*of_split(found, "validation").values()] for cell, found in runs.items()}
    thresholds = {cell: promised_thresholds(values) for cell, values in validation.items()}
    at_rate = {
        rate: {cell: _judged(images[cell], of_cell[rate]) for cell, of_cell in thresholds.items() if rate in of_cell}
        for rate in RATES
    }
    rows: list[dict[str, Any]] = []
    for category, (rate, judged) in product((*grid.categories, POOLED), at_rate.items()):
        for method in grid.methods:
            own, pairs, baselines = _cells_of(method, category, runs, grid)
            for folder in (*FOLDERS, ANOMALIES) if own else ():
                known = all(folder in images[cell] for cell in own[0])
                rows.append(
                    {"category": category, "method": method.name, "baseline": method.pairs_with, "promised": rate}
                    | {"validation": min(len(validation[cell]) for cell in own[0]), "folder": folder}
                    | {"images": sum(images[cell][folder].size for cell in own[0]) if known else np.nan}
                    | _numbers(_stacked(judged, own, folder))
                    | _against(_stacked(judged, pairs, folder), _stacked(judged, baselines, folder))
                )
    return pd.DataFrame(rows, columns=COLUMNS)


def _with_all_types(by_folder: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """The folders that have images; and ANOMALIES, if there are any."""
    found = {folder: values for folder, values in by_folder.items() if values.size}
    anomalous = [values for folder, values in found.items() if folder != "good"]
    return found | ({ANOMALIES: np.concatenate(anomalous)} if anomalous else {})


def _judged(images: Mapping[str, NDArray[np.float64]], threshold: float) -> Verdicts:
    return {folder: rejected(values, threshold) == (folder != "good") for folder, values in images.items()}


def _cells_of(
    method: Method, category: str, runs: Mapping[Cell, Any], grid: Grid
) -> tuple[list[list[Cell]], list[list[Cell]], list[list[Cell]]]:
    """A method's cells of a category or of all, by seed; and those with a baseline, of the method and of the baseline.

    A seed counts if all of its cells have a run. A method without seeds has one, and a pair per seed of its baseline.
    """
    categories = grid.categories if category == POOLED else [category]
    baseline = grid.method(method.pairs_with)
    by_seed = [[[grid.cell(one, of, seed) for one in categories] for of in (method, baseline)] for seed in grid.seeds]
    own = [mine for mine, _ in by_seed if all(cell in runs for cell in mine)]
    both = [pair for pair in by_seed if all(cell in runs for cells in pair for cell in cells)]
    both = [] if method.is_baseline else both
    return own if method.seeded else own[:1], [mine for mine, _ in both], [other for _, other in both]


def _stacked(judged: Mapping[Cell, Verdicts], cells: list[list[Cell]], folder: str) -> NDArray[np.bool_] | None:
    """Verdicts [seeds, images of all categories] from the cells of each seed; None if any was not judged."""
    if not cells or not all(folder in judged.get(cell, {}) for of_seed in cells for cell in of_seed):
        return None
    return np.stack([np.concatenate([judged[cell][folder] for cell in of_seed]) for of_seed in cells])


def _numbers(right: NDArray[np.bool_] | None) -> dict[str, Any]:
    if right is None:
        return {}
    counts, images = (~right).sum(axis=1), right.shape[1]
    wrong = float(counts.mean())
    low, high = exact_interval(wrong, images)
    of_seeds = {"seeds": len(counts), "counts": " ".join(map(str, counts)), "wrong": wrong}
    return of_seeds | {"rate": wrong / images, "low": low, "high": high}


def _against(right: NDArray[np.bool_] | None, baseline: NDArray[np.bool_] | None) -> dict[str, Any]:
    if right is None or baseline is None:
        return {}
    return {"pairs": len(right), **compare_verdicts(right, baseline)._asdict()}


def read_operating_points(folder: Path) -> pd.DataFrame:
    """The numbers of Table 5 in a folder of tables. Raises UserError naming what is missing or damaged."""
    numbers = [name for name in COLUMNS if name not in TEXT_COLUMNS]
    return read_table(folder / f"{NAME}.csv", "the operating points", COLUMNS, numbers)


def operating_table(
    points: pd.DataFrame,
    methods: Sequence[Method],
    context: Context,
    rates: Sequence[float] = RATES,
    spread: bool = True,
) -> pd.DataFrame:
    """What people read of `operating_points`: of each method a row, and one that compares it with its baseline.

    `spread`: with the interval of each rate.
    """
    rows = []
    for category, rate in product((*context.grid.categories, POOLED), rates):
        of_rate = points[(points["category"] == category) & (points["promised"] == rate)]
        for method in methods:
            of_method = of_rate[of_rate["method"] == method.name].set_index("folder")
            if of_method.empty:
                continue
            label = context.label(method, ALL if category == POOLED else category)
            lines = {label: [count_text(of_method.loc[folder], spread) for folder in FOLDERS]}
            if of_method["pairs"].notna().any():
                lines[AGAINST] = [pairs_text(of_method.loc[folder]) for folder in FOLDERS]
            start = {**context.mark, "category": category, "promised": f"{100 * rate:g} %"}
            rows += [
                {**start, "": name, **dict(zip(FOLDERS.values(), cells, strict=True))} for name, cells in lines.items()
            ]
    return without_unmeasured(pd.DataFrame(rows), list(FOLDERS.values())[1:])


def count_text(row: pd.Series, spread: bool = True) -> str:
    """The number of wrong verdicts, of how many images, and the share in per cent with its interval."""
    if pd.isna(row["images"]) or not row["validation"]:
        return NOT_MEASURED
    if pd.isna(row["wrong"]):
        return f"not promised: {row['validation']:g} images"
    wrong = f"{row['wrong']:.1f}".removesuffix(".0")
    bounds = f" [{100 * row['low']:.1f}, {100 * row['high']:.1f}]" if spread else ""
    return f"{wrong} of {row['images']:g}: {100 * row['rate']:.1f}{bounds}"


def pairs_text(row: pd.Series) -> str:
    """The images judged better and worse than by the baseline, and the p-value; empty where nothing is paired."""
    if pd.isna(row["better"]):
        return ""
    chance = f"p={row['p_value']:.3f}" if row["p_value"] >= 0.001 else "p<0.001"
    return f"{row['better']:g} : {row['worse']:g}, {chance}"


def operating_caption(context: Context, spread: bool = True) -> str:
    """What the numbers of Table 5 are, how sure, and what they rest on; `spread` as in `operating_table`."""
    exact = " and its exact 95 % interval (Clopper-Pearson) over the test images that could have been taken"
    interval = exact if spread else ""
    seeds = len(context.grid.seeds)
    mean = f"a mean over {seeds} seeds" if seeds > 1 else "of one seed"
    return (
        "At the threshold that promises a false-alarm rate, from the validation images alone: good test images that "
        f"are rejected (false alarms), and anomalous ones that are accepted (missed). Each number is {mean}; behind it "
        f"the share in per cent{interval}. An image counts once, however many seeds there are; nothing is said of "
        "other seeds. "
        f"{AGAINST.capitalize()}: images that the method judges right with more, and with fewer, of the seeds than its "
        "baseline does, each at its own threshold; p: exact sign test of these images (with one seed, McNemar's exact "
        "test), one test per cell. Not promised: so few validation images promise no such rate. "
        f"Pretraining and penalty images: {context.pretraining_images}."
        + (f" {RUNS_MISSING}." if context.partial else "")
    )


def build_operating_table(points: pd.DataFrame, context: Context) -> Table:
    """Table 5: the declared methods and their baselines; its CSV has all methods, and the counts of each seed."""
    more = " The CSV file has all methods, all anomalies together, and the counts of each seed."
    return Table(
        NAME,
        "Table 5. How many false alarms and missed anomalies at a promised false-alarm rate?",
        operating_caption(context) + more + declared_methods(context) + inactive_note(context),
        operating_table(points, context.compared, context),
        points.assign(pretraining_images=context.pretraining_images, **context.mark),
    )
