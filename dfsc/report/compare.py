"""Tracked runs to one comparison: values over seeds, and the paired difference from the baseline with its interval.

Nothing is averaged over gaps: runs that are missing, double, unpaired, or made from other data, teacher, code or
settings than the rest are refused by name.
"""

import itertools
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfsc.config import BASELINE, ablation_of, quantile_of
from dfsc.data.layout import ANOMALY_TYPES
from dfsc.errors import UserError, listed
from dfsc.files import MADE_ANEW, read_json, reading
from dfsc.metrics.auroc import auroc
from dfsc.metrics.spro import FPR_LIMITS
from dfsc.metrics.statistics import RESAMPLES, image_counts, interval, resampled_auroc, wins
from dfsc.report.tracking import TRACK_AGAIN
from dfsc.settings.building import build
from dfsc.settings.leaves import Leaves

KEYS = ["size", "category", "method", "seed"]
COLUMNS = (*ANOMALY_TYPES, "mean")
ALL = "mean of categories"
# Columns of a comparison.
COMPARED = [
    *("metric", "size", "category", "method", "anomaly_type", "value", "value_std", "seeds", "pairs"),
    *("difference", "difference_std", "low", "high", "probability"),
]
METRICS = ("image_auroc", *(f"au_spro_{limit}" for limit in FPR_LIMITS))
# What runs must have in common, and within what.
SAME = {
    "data_digest": ["category"],
    "teacher_digest": ["size"],
    "code_digest": [],
    "pretraining_images": [],
    "penalty_digest": [],
}
OF_ONE_RUN = ("seed", "size", "seconds", "peak_memory_bytes")  # parameters that differ from run to run
Scores = Mapping[str, Mapping[str, float]]  # run id -> path -> image score


@dataclass(frozen=True)
class Grid(Leaves):
    """The runs that a benchmark consists of, and the DFSC method declared beforehand to be compared."""

    sizes: list[str]
    categories: list[str]
    methods: list[str]
    seeds: list[int]
    headline: str
    dataset: str  # the config's dataset.source

    @classmethod
    def from_text(cls, text: str) -> "Grid":
        """The grid from JSON text, as the workflow passes it, or from a JSON file. Raises UserError."""
        if not text.lstrip().startswith("{"):
            return build(cls, read_json(Path(text), "the grid of tables", MADE_ANEW), text)
        with reading(Path("--grid"), "JSON"):
            values = json.loads(text)
        return build(cls, values, "--grid")


def runs_frame(runs: Iterable[Mapping[str, Any]], grid: Grid, partial: bool = False) -> pd.DataFrame:
    """One row per tracked run: size, category, method, seed, quantile, its metrics, and what it was made from.

    Raises UserError naming the runs that are missing (unless `partial`), double, not of the grid, or that differ in
    data, teacher, code, pretraining images or settings from the rest.
    """
    rows = [
        {
            **{name: run["tags"][name] for name in ("size", "category", "method", "seed")},
            **run["metrics"],
            **{name: run["tags"].get(name, "") for name in (*SAME, "commit", "hardware")},
            "seconds": run["costs"].get("seconds"),
            "settings": _settings(run["parameters"]),
            "run_id": run["run_id"],
        }
        for run in runs
    ]
    if not rows:
        raise UserError("tables: no run is there yet")
    frame = pd.DataFrame(rows).astype({"seed": int})
    frame.insert(3, "quantile", frame["method"].map(quantile_of))
    frame.insert(4, "ablation", frame["method"].map(ablation_of))
    _refuse_doubles_and_gaps(frame, grid, partial)
    _refuse_unlike(frame)
    return frame.drop(columns="settings")


def _settings(parameters: Mapping[str, str]) -> str:
    shared = {key: value for key, value in parameters.items() if key not in OF_ONE_RUN and not key.startswith("dfsc")}
    return json.dumps(shared, sort_keys=True)


def _name(cell: Iterable[Any]) -> str:
    return "{}/{}/{}/seed{}".format(*cell)


def _refuse_doubles_and_gaps(frame: pd.DataFrame, grid: Grid, partial: bool) -> None:
    cells = list(frame[KEYS].itertuples(index=False, name=None))
    if doubles := sorted({cell for cell in cells if cells.count(cell) > 1}):
        raise UserError(f"tables: two runs of {_name(doubles[0])}; one is wanted")
    wanted = list(itertools.product(grid.sizes, grid.categories, grid.methods, grid.seeds))
    if strangers := [cell for cell in cells if cell not in wanted]:
        raise UserError(f"tables: run of {_name(strangers[0])} is not of the grid; leave its receipt out")
    missing = [_name(cell) for cell in wanted if cell not in cells]
    if missing and not partial:
        raise UserError(
            f"tables: {len(missing)} of {len(wanted)} runs are missing: {listed(missing)}; "
            "run the workflow to its end, or ask for --partial tables"
        )


def _refuse_unlike(frame: pd.DataFrame) -> None:
    for tag, within in {**SAME, "settings": []}.items():
        for _, group in frame.groupby(within) if within else [((), frame)]:
            first = group.iloc[0]
            for _, other in group[group[tag] != first[tag]].iterrows():
                raise UserError(
                    f"tables: {_name(other[KEYS])} and {_name(first[KEYS])} differ in "
                    f"{_difference(tag, first, other)}; only runs made alike are compared: run the workflow again"
                )


def _difference(tag: str, first: "pd.Series[Any]", other: "pd.Series[Any]") -> str:
    if tag != "settings":
        return f"{tag} ({str(other[tag])[:24]}, {str(first[tag])[:24]})"
    one, two = json.loads(first[tag]), json.loads(other[tag])
    key = next(key for key in sorted({*one, *two}) if one.get(key) != two.get(key))
    return f"setting {key} ({two.get(key)}, {one.get(key)})"


def check_scores(frame: pd.DataFrame, scores: Scores) -> None:
    """Raise UserError naming the runs whose image scores are of other images, or do not give their tracked AUROC."""
    paths: dict[str, list[str]] = {}
    faults = []
    for run in frame.to_dict("records"):
        found, name = scores[run["run_id"]], _name(run[key] for key in KEYS)
        if sorted(found) != paths.setdefault(run["category"], sorted(found)):
            faults.append(f"{name}: its scores are of other test images")
        elif not _gives_tracked_auroc(split_scores(found), run):
            faults.append(f"{name}: its image scores do not give its tracked AUROC")
    if faults:
        raise UserError(f"tables: {listed(faults)}; {TRACK_AGAIN}")


def _gives_tracked_auroc(by_folder: Mapping[str, NDArray[np.float64]], run: Mapping[str, Any]) -> bool:
    if not len(by_folder["good"]):
        return False
    for kind in ANOMALY_TYPES:
        tracked = run.get(f"image_auroc.{kind}", np.nan)
        if not len(by_folder[kind]):
            if not np.isnan(tracked):
                return False
        elif not abs(auroc(by_folder["good"], by_folder[kind]) - tracked) <= 1e-9:
            return False
    return True


def split_scores(scores: Mapping[str, float]) -> dict[str, NDArray[np.float64]]:
    """'good' and the anomaly types -> image scores, in the order of the paths."""
    folders: dict[str, list[float]] = {folder: [] for folder in ("good", *ANOMALY_TYPES)}
    for path, score in sorted(scores.items()):
        folders.setdefault(Path(path).parts[1], []).append(score)
    return {folder: np.array(values) for folder, values in folders.items()}


def resample_differences(frame: pd.DataFrame, scores: Scores) -> dict[tuple[Any, ...], NDArray[np.float64]]:
    """(size, category, method, seed) -> the run's AUROC minus its baseline's under resampled images.

    float64 [RESAMPLES, 3], the columns COLUMNS; NaN of an anomaly type that the category lacks, and the mean is of
    those it has. All runs of a category see the same resamples, drawn from a seed that only the category's name gives.
    """
    identities = frame.set_index(KEYS)["run_id"]
    gained: dict[tuple[Any, ...], NDArray[np.float64]] = {}
    for category, of_category in frame.groupby("category"):
        images = split_scores(scores[of_category["run_id"].iloc[0]])
        random = np.random.default_rng(zlib.crc32(str(category).encode()))
        drawn = {folder: len(of_folder) for folder, of_folder in images.items() if len(of_folder)}
        counts = {folder: image_counts(count, RESAMPLES, random) for folder, count in drawn.items()}
        won = {}
        for size, method, seed in of_category[["size", "method", "seed"]].itertuples(index=False, name=None):
            split = split_scores(scores[identities[size, category, method, seed]])
            won[size, method, seed] = {
                kind: wins(split["good"], split[kind]) for kind in ANOMALY_TYPES if kind in drawn
            }
        for size, method, seed in won:
            if (paired := won.get((size, BASELINE, seed))) is None:
                continue
            by_type = {
                kind: resampled_auroc(mine - paired[kind], counts[kind], counts["good"])
                for kind, mine in won[size, method, seed].items()
            }
            lacking = np.full(RESAMPLES, np.nan)
            by_type["mean"] = np.mean(list(by_type.values()) or [lacking], axis=0)
            gained[size, category, method, seed] = np.stack([by_type.get(name, lacking) for name in COLUMNS], axis=1)
    return gained


def compare(frame: pd.DataFrame, scores: Scores, grid: Grid) -> pd.DataFrame:
    """The comparison, one row per (metric, size, category or mean of them, method, anomaly type or mean of both).

    Columns beside those: value and value_std (over `seeds` seeds), difference, difference_std, low, high and
    probability (over `pairs` pairs, as `dfsc.metrics.statistics.interval`; empty for the baseline). Metrics in 0..1.
    A mean of categories is over all of the grid's, and of the seeds that all of them have. What was not measured has no
    row: an anomaly type that a category lacks, and its mean of categories.
    """
    check_scores(frame, scores)
    resampled = resample_differences(frame, scores)
    rows: list[dict[str, Any]] = []
    for metric in METRICS:
        measured = frame.reindex(columns=[f"{metric}.{column}" for column in COLUMNS]).to_numpy(float)
        values = dict(zip(_cells(frame), measured, strict=True))
        images = resampled if metric == "image_auroc" else None
        for size in grid.sizes:
            for name in (*grid.categories, ALL):
                categories = grid.categories if name == ALL else [name]
                for method in grid.methods:
                    cell = {"metric": metric, "size": size, "category": name, "method": method}
                    summary = _summary(values, images, size, categories, method, grid.seeds)
                    rows += [cell | {"anomaly_type": name} | row for name, row in summary.items()]
    return pd.DataFrame(rows, columns=COMPARED)


def _cells(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(frame[KEYS].itertuples(index=False, name=None))


def _summary(
    values: Mapping[tuple[Any, ...], NDArray[np.float64]],
    resampled: Mapping[tuple[Any, ...], NDArray[np.float64]] | None,
    size: str,
    categories: list[str],
    method: str,
    seeds: list[int],
) -> dict[str, dict[str, Any]]:
    """Of COLUMNS, those that were measured in all `categories` with some seed, each with its row."""

    def mean(source: Mapping[tuple[Any, ...], NDArray[np.float64]], method: str, seed: int) -> NDArray[np.float64]:
        chosen = [source[size, category, method, seed] for category in categories]
        return np.asarray(np.mean(chosen, axis=0), np.float64)

    def present(method: str) -> list[int]:
        return [seed for seed in seeds if all((size, category, method, seed) in values for category in categories)]

    own = present(method)
    paired = [seed for seed in present(BASELINE) if seed in own and method != BASELINE]
    rows = {}
    for column, name in enumerate(COLUMNS):
        measured = np.array([mean(values, method, seed)[column] for seed in own])
        if not own or np.isnan(measured).any():
            continue
        row: dict[str, Any] = {
            "value": measured.mean(),
            "value_std": measured.std(ddof=1) if len(own) > 1 else np.nan,
            "seeds": len(own),
            "pairs": len(paired),
        }
        if paired:
            gain = [(mean(values, method, seed) - mean(values, BASELINE, seed))[column] for seed in paired]
            by_image = [mean(resampled, method, seed)[:, column] for seed in paired] if resampled else []
            found = interval(gain, np.stack(by_image, axis=1) if by_image else None)
            row |= {"difference": found.mean, "difference_std": found.std, "low": found.low, "high": found.high}
            row |= {"probability": found.probability}
        rows[name] = row
    return rows


def paired_differences(frame: pd.DataFrame) -> dict[str, tuple[str, dict[str, float]]]:
    """DFSC run id -> (run id of its paired baseline, {metric: difference}): image AUROC and AU-sPRO to 0.05."""
    wanted = (f"{metric}.{column}" for metric in ("image_auroc", "au_spro_0.05") for column in COLUMNS)
    names = [name for name in wanted if name in frame]
    runs = dict(zip(_cells(frame), frame.to_dict("records"), strict=True))
    found = {}
    for (size, category, method, seed), run in runs.items():
        baseline = runs.get((size, category, BASELINE, seed))
        if method != BASELINE and baseline is not None:
            gained = {name: run[name] - baseline[name] for name in names}
            found[run["run_id"]] = baseline["run_id"], {name: by for name, by in gained.items() if not np.isnan(by)}
    return found
