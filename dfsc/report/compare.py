"""Tracked runs to one comparison: values over seeds, and the paired difference from the baseline with its interval.

Nothing is averaged over gaps: runs that are missing, double, unpaired, or made from other data, teacher, code or
settings than the rest are refused by name.
"""

import json
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfsc.data.layout import ANOMALY_TYPES
from dfsc.errors import UserError, listed
from dfsc.files import digest_of
from dfsc.inference.image_scores import of_split
from dfsc.metrics.auroc import auroc
from dfsc.metrics.statistics import RESAMPLES, image_counts, interval, resampled_auroc, wins
from dfsc.metrics.summary import HEADLINE_METRICS, METRICS
from dfsc.report.runs import SHARE_INSIDE
from dfsc.report.tracking import TRACK_AGAIN
from dfsc.settings.grid import Cell, Grid, Method, seed_of

KEYS = ["category", "method", "seed"]  # of a cell
COLUMNS = (*ANOMALY_TYPES, "mean")
ALL = "mean of categories"
# Columns of a comparison.
TEXT_COLUMNS = ["metric", "baseline", "category", "method", "anomaly_type"]
COMPARED = [
    *(*TEXT_COLUMNS, "value", "value_std", "seeds", "pairs"),
    *("difference", "difference_std", "low", "high", "probability", "inside_margin"),
]
# What runs must have in common, and within what: the methods trained here together, each one from outside by itself;
# those with penalty images of their own by themselves.
SAME = {
    "data_digest": ["category"],
    "teacher_digest": ["made_by", "size"],
    "code_digest": ["made_by"],
    "pretraining_images": ["made_by", "penalty"],
    "penalty_digest": ["made_by", "penalty"],
}
SETTINGS = "settings_digest"  # of the settings that runs share: what tables keep of them
OF_ONE_RUN = ("seed", "size", "seconds", "peak_memory_bytes")  # parameters that differ from run to run
Scores = Mapping[str, Mapping[str, float]]  # run id -> path -> image score


def receipts_below(results: Path, grid: Grid) -> list[Path]:
    """The receipts of a grid's cells below `results` (results/<benchmark>). Raises UserError if there is none."""
    found = [path for path in grid.receipts(results) if path.exists()]
    if not found:
        raise UserError(f"{results}: holds no receipt of {grid.benchmark}'s runs; run the workflow first")
    return found


def runs_frame(runs: Iterable[Mapping[str, Any]], grid: Grid, partial: bool = False) -> pd.DataFrame:
    """One row per tracked run: its cell, size and quantile, its metrics, and what it was made from.

    Raises UserError naming the runs that are missing (unless `partial`), double, not of the grid, or that differ in
    data, teacher, code, pretraining images or settings from the rest.
    """
    rows = [
        {
            **{name: run["tags"][name] for name in KEYS},
            "size": run["tags"].get("size", ""),  # a server may keep no empty ones
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
    frame = pd.DataFrame(rows)
    frame["seed"] = [seed_of(text) for text in frame["seed"]]
    check_runs(frame, grid, partial, ["settings"])
    frame[SETTINGS] = [digest_of(settings) for settings in frame["settings"]]
    frame.insert(4, "quantile", [grid.method(name).quantile for name in frame["method"]])
    frame.insert(5, "ablation", [grid.method(name).changed for name in frame["method"]])
    return frame.drop(columns="settings")


def check_runs(frame: pd.DataFrame, grid: Grid, partial: bool, more: Iterable[str] = ()) -> None:
    """Refuse runs that are missing (unless `partial`), double, not of the grid, or unlike in SAME or columns `more`."""
    _refuse_duplicates_and_gaps(frame, grid, partial)
    refuse_unlike(frame, [*SAME, *more], other_penalty(grid))


def other_penalty(grid: Grid) -> list[str]:
    """The methods that are trained with penalty images of their own."""
    return [method.name for method in grid.methods if "penalty_images" in (method.protocol or {})]


def _settings(parameters: Mapping[str, str]) -> str:
    shared = {
        key: value
        for key, value in parameters.items()
        if key not in OF_ONE_RUN and not key.startswith(("dfsc", "protocol"))
    }
    return json.dumps(shared, sort_keys=True)


def cells_of(frame: pd.DataFrame) -> list[Cell]:
    """The cell of each row of `runs_frame`, or of another frame with KEYS."""
    return [Cell(*cell) for cell in frame[KEYS].itertuples(index=False, name=None)]


def scores_by_cell(scores: pd.DataFrame) -> dict[Cell, dict[str, float]]:
    """Of image scores as `dfsc.report.paper.read_image_scores` gives them, those of each cell: path -> score."""
    groups = (group for _, group in scores.groupby(KEYS, sort=False))
    return {cells_of(of[:1])[0]: dict(zip(of["path"], of["image_score"].tolist(), strict=True)) for of in groups}


def _refuse_duplicates_and_gaps(frame: pd.DataFrame, grid: Grid, partial: bool) -> None:
    found, wanted = Counter(cells_of(frame)), dict.fromkeys(grid.cells())
    if duplicates := sorted(cell.path for cell, number in found.items() if number > 1):
        raise UserError(f"tables: two runs of {duplicates[0]}; one is wanted")
    if strangers := [cell for cell in found if cell not in wanted]:
        raise UserError(
            f"tables: run of {strangers[0].path} is not of the grid; its receipt lies in the folder of another cell"
        )
    missing = [cell.path for cell in wanted if cell not in found]
    if missing and not partial:
        raise UserError(
            f"tables: {len(missing)} of {len(wanted)} runs are missing: {listed(missing)}; "
            "run the workflow to its end, or ask for --partial tables"
        )


def refuse_unlike(frame: pd.DataFrame, tags: Iterable[str], other_penalty: Collection[str] = ()) -> None:
    """Raise UserError naming two runs that differ in a tag of SAME, or in their settings, where they must not.

    Methods that are trained here must agree among each other, one from outside, which has no size, by itself. So must,
    in their penalty images, the methods `other_penalty`.
    """
    tags = list(tags)
    frame = frame[[*KEYS, "size", *tags]].assign(
        made_by=frame["method"].where(frame["size"] == "", ""), penalty=frame["method"].isin(other_penalty)
    )
    for tag in tags:
        for _, group in frame.groupby(SAME.get(tag, ["made_by"])):
            first = group.iloc[0]
            for _, other in group[group[tag] != first[tag]].iterrows():
                raise UserError(
                    f"tables: {Cell(*other[KEYS]).path} and {Cell(*first[KEYS]).path} differ in "
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
    # Not all columns: each defect of each category has some, so that there may be thousands.
    tracked = frame.reindex(columns=[*KEYS, "run_id", *(f"image_auroc.{kind}" for kind in ANOMALY_TYPES)])
    for run in tracked.to_dict("records"):
        found, name = scores[run["run_id"]], Cell(*(run[key] for key in KEYS)).path
        tested = sorted(of_split(found, "test"))
        if tested != paths.setdefault(run["category"], tested):
            faults.append(f"{name}: its scores are of other test images")
        elif not _gives_tracked_auroc(split_scores(found), run):
            faults.append(f"{name}: its image scores do not give its tracked AUROC")
    if faults:
        raise UserError(f"tables: {listed(faults)}; {TRACK_AGAIN}")


def _gives_tracked_auroc(by_folder: Mapping[str, NDArray[np.float64]], run: Mapping[str, Any]) -> bool:
    if not len(by_folder["good"]):
        return False
    for kind in ANOMALY_TYPES:
        tracked = run[f"image_auroc.{kind}"]
        if not len(by_folder[kind]):
            if not np.isnan(tracked):
                return False
        elif not abs(auroc(by_folder["good"], by_folder[kind]) - tracked) <= 1e-9:
            return False
    return True


def split_scores(scores: Mapping[str, float]) -> dict[str, NDArray[np.float64]]:
    """'good' and the anomaly types -> image scores of the test images, in the order of the paths."""
    folders: dict[str, list[float]] = {folder: [] for folder in ("good", *ANOMALY_TYPES)}
    for path, score in sorted(of_split(scores, "test").items()):
        folders.setdefault(path.split("/")[1], []).append(score)
    return {folder: np.array(values) for folder, values in folders.items()}


def resample_differences(frame: pd.DataFrame, scores: Scores, grid: Grid) -> dict[Cell, NDArray[np.float64]]:
    """Cell -> its run's AUROC minus its baseline's under resampled images; of cells whose baseline has a run.

    The one run of a method without seeds is compared with each of its baseline's, and stands under the seed of that.
    float64 [RESAMPLES, 3], the columns COLUMNS; NaN of an anomaly type that the category lacks, and the mean is of
    those it has. All runs of a category see the same resamples, drawn from a seed that only the category's name gives.
    """
    gained: dict[Cell, NDArray[np.float64]] = {}
    for category, of_category in frame.groupby("category"):
        images = split_scores(scores[of_category["run_id"].iloc[0]])
        counts = drawn_images(str(category), images)
        won = {}
        for cell, run_id in zip(cells_of(of_category), of_category["run_id"], strict=True):
            split = split_scores(scores[run_id])
            won[cell] = {kind: wins(split["good"], split[kind]) for kind in ANOMALY_TYPES if kind in counts}
        for cell, of_cell in won.items():
            for paired in [paired for paired in grid.paired_cells(cell) if paired in won]:
                by_type = {
                    kind: resampled_auroc(mine - won[paired][kind], counts[kind], counts["good"])
                    for kind, mine in of_cell.items()
                }
                lacking = np.full(RESAMPLES, np.nan)
                by_type["mean"] = np.mean(list(by_type.values()) or [lacking], axis=0)
                of_pair = np.stack([by_type.get(name, lacking) for name in COLUMNS], axis=1)
                gained[replace(cell, seed=paired.seed)] = of_pair
    return gained


def drawn_images(category: str, images: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float32]]:
    """How often each image of a folder is drawn in each resample, [RESAMPLES, images]; of `split_scores`' folders.

    Folders without images have none.
    """
    random = np.random.default_rng(zlib.crc32(category.encode()))
    drawn = {folder: len(of_folder) for folder, of_folder in images.items() if len(of_folder)}
    return {folder: image_counts(count, RESAMPLES, random) for folder, count in drawn.items()}


def compare(frame: pd.DataFrame, scores: Scores, grid: Grid) -> pd.DataFrame:
    """The comparison, one row per (metric, category or mean of them, method, anomaly type or mean of both).

    Columns beside those: baseline (that the method is paired with), value and value_std (over `seeds` seeds),
    difference, difference_std, low, high and probability (over `pairs` pairs, as `dfsc.metrics.statistics.interval`;
    empty for the baseline), inside_margin (share of DFSC's novel elements inside the margin over training, mean over
    the runs). Metrics in 0..1.
    A mean of categories is over all of the grid's, and of the seeds that all of them have. What was not measured has no
    row: an anomaly type that a category lacks, and its mean of categories.
    """
    check_scores(frame, scores)
    resampled = resample_differences(frame, scores, grid)
    inside = dict(zip(cells_of(frame), frame.reindex(columns=[SHARE_INSIDE])[SHARE_INSIDE], strict=True))
    rows: list[dict[str, Any]] = []
    for metric in METRICS:
        measured = frame.reindex(columns=[f"{metric}.{column}" for column in COLUMNS]).to_numpy(float)
        values = dict(zip(cells_of(frame), measured, strict=True))
        images = resampled if metric == "image_auroc" else None
        for baseline in dict.fromkeys(method.pairs_with for method in grid.methods):
            for name in (*grid.categories, ALL):
                categories = grid.categories if name == ALL else [name]
                for method in grid.paired_with(baseline):
                    row = {"metric": metric, "baseline": baseline, "category": name, "method": method.name}
                    shares = [inside.get(Cell(each, method.name, seed)) for each in categories for seed in grid.seeds]
                    row["inside_margin"] = pd.Series(shares, dtype=float).mean()
                    summary = summarised(values, images, categories, method, grid)
                    rows += [row | {"anomaly_type": kind} | numbers for kind, numbers in summary.items()]
    return pd.DataFrame(rows, columns=COMPARED)


def summarised(
    values: Mapping[Cell, NDArray[np.float64]],
    resampled: Mapping[Cell, NDArray[np.float64]] | None,
    categories: list[str],
    method: Method,
    grid: Grid,
) -> dict[str, dict[str, Any]]:
    """Of COLUMNS, those that were measured in all `categories` with some seed, each with its row.

    values: of each run, the columns COLUMNS. resampled: as `resample_differences` gives it; None: no images are drawn.
    """

    def mean(source: Mapping[Cell, NDArray[np.float64]], cells: list[Cell]) -> NDArray[np.float64]:
        return np.asarray(np.mean([source[cell] for cell in cells], axis=0), np.float64)

    def cells(of: Method, seed: int) -> list[Cell]:
        return [grid.cell(category, of, seed) for category in categories]

    def present(of: Method) -> list[int]:
        return [seed for seed in grid.seeds if all(cell in values for cell in cells(of, seed))]

    baseline, own = grid.method(method.pairs_with), present(method)
    paired = [] if method.is_baseline else [seed for seed in present(baseline) if seed in own]
    own = own if method.seeded else own[:1]
    pairs = [[Cell(category, method.name, seed) for category in categories] for seed in paired]
    by_seed = np.array([mean(values, cells(method, seed)) for seed in own])
    gains = [mean(values, cells(method, seed)) - mean(values, cells(baseline, seed)) for seed in paired]
    by_image = [mean(resampled, of_seed) for of_seed in pairs] if resampled else []
    rows = {}
    for column, name in enumerate(COLUMNS):
        if not own or np.isnan(by_seed[:, column]).any():
            continue
        row: dict[str, Any] = {
            "value": by_seed[:, column].mean(),
            "value_std": by_seed[:, column].std(ddof=1) if len(own) > 1 else np.nan,
            "seeds": len(own),
            "pairs": len(paired),
        }
        if paired:
            drawn = np.stack([of_pair[:, column] for of_pair in by_image], axis=1) if by_image else None
            found = interval([gain[column] for gain in gains], drawn)
            row |= {"difference": found.mean, "difference_std": found.std, "low": found.low, "high": found.high}
            row |= {"probability": found.probability}
        rows[name] = row
    return rows


def paired_differences(frame: pd.DataFrame, grid: Grid) -> dict[str, tuple[str, dict[str, float]]]:
    """Run id -> (run id of its paired baseline, {metric: difference}): image AUROC and AU-sPRO to 0.05.

    The run of a method without seeds is compared with the mean of its baseline's; their ids stand with commas.
    """
    wanted = (f"{metric}.{column}" for metric in HEADLINE_METRICS for column in COLUMNS)
    names = [name for name in wanted if name in frame]
    runs = dict(zip(cells_of(frame), frame[["run_id", *names]].to_dict("records"), strict=True))
    found = {}
    for cell, run in runs.items():
        if paired := [runs[other] for other in grid.paired_cells(cell) if other in runs and other != cell]:
            gained = {name: run[name] - float(np.mean([baseline[name] for baseline in paired])) for name in names}
            baselines = ",".join(baseline["run_id"] for baseline in paired)
            found[run["run_id"]] = baselines, {name: by for name, by in gained.items() if not np.isnan(by)}
    return found
