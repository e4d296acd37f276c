"""Table 6: what is found of each defect type, from the tracked metrics of the runs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfsc.data.layout import ANOMALY_TYPES
from dfsc.metrics.operating_point import HEADLINE_RATE
from dfsc.metrics.summary import HEADLINE_METRICS
from dfsc.report.compare import cells_of
from dfsc.report.frames import read_table
from dfsc.report.tables import (
    HEADINGS,
    NOT_MEASURED,
    RUNS_MISSING,
    TITLES,
    Context,
    Row,
    Table,
    declared_methods,
    gain,
    inactive_note,
    per_cent,
)
from dfsc.settings.grid import Grid, Method

NAME = "table6_defects"
FOUND = f"found.{HEADLINE_RATE}"
SHOWN = {
    FOUND: f"found at {100 * HEADLINE_RATE:g} %",
    HEADLINE_METRICS[0]: "image AUROC",
    HEADLINE_METRICS[1]: "AU-sPRO",
}
TEXT_COLUMNS = ["category", "anomaly_type", "defect", "method", "baseline", "metric"]
COLUMNS = [*TEXT_COLUMNS, "images", "value", "value_std", "seeds", "difference", "difference_std", "pairs"]


def defect_numbers(frame: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    """A row per category, defect type, method and metric (the keys of SHOWN); none of a category without masks.

    Columns beside those: images (with this defect), value and value_std (over `seeds` seeds), difference and
    difference_std (from the baseline, over `pairs` pairs). In 0..1; empty is what is not measured.
    """
    rows: list[dict[str, Any]] = []
    # One category at a time: the columns of its defects are empty in the runs of all others.
    for category, of_category in ((name, frame[frame["category"] == name]) for name in grid.categories):
        measured = of_category.dropna(axis="columns", how="all")
        runs = dict(zip(cells_of(of_category), measured.to_dict("records"), strict=True))
        for (kind, defect, images), method in product(_defects(measured), grid.methods):
            cells = list(dict.fromkeys(grid.cell(category, method, seed) for seed in grid.seeds))
            own = [runs[cell] for cell in cells if cell in runs]
            pairs = [
                (runs[grid.cell(category, method, seed)], runs[baseline])
                for seed in grid.seeds
                if (baseline := grid.cell(category, grid.method(method.pairs_with), seed)) in runs
                and grid.cell(category, method, seed) in runs
                and not method.is_baseline
            ]
            for metric in SHOWN if own else ():
                name = f"{metric}.{kind}.{defect}"
                values = [run.get(name, np.nan) for run in own]
                gains = [run.get(name, np.nan) - baseline.get(name, np.nan) for run, baseline in pairs]
                start = dict(
                    zip(TEXT_COLUMNS, (category, kind, defect, method.name, method.pairs_with, metric), strict=True)
                )
                rows.append(
                    {
                        **start,
                        "images": images,
                        "value": np.mean(values),
                        "value_std": _spread(values),
                        "seeds": len(own),
                    }
                    | {"difference": np.mean(gains) if gains else np.nan, "difference_std": _spread(gains)}
                    | {"pairs": len(gains)}
                )
    return pd.DataFrame(rows, columns=COLUMNS)


def _defects(of_category: pd.DataFrame) -> Iterator[tuple[str, str, int]]:
    """Anomaly type, defect, and how many images have it: those that every run of the category agrees on."""
    for kind in ANOMALY_TYPES:
        start = f"images.{kind}."
        for name in sorted(name for name in of_category if name.startswith(start)):
            yield kind, name.removeprefix(start), int(of_category[name].max())


def _spread(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def read_defect_numbers(folder: Path) -> pd.DataFrame:
    """The numbers of Table 6 in a folder of tables. Raises UserError naming what is missing or damaged."""
    numbers = [name for name in COLUMNS if name not in TEXT_COLUMNS]
    return read_table(folder / f"{NAME}.csv", "the numbers of each defect", COLUMNS, numbers)


def defect_table(
    numbers: pd.DataFrame, methods: Sequence[Method], context: Context, spread: bool = True
) -> pd.DataFrame:
    """What people read of `defect_numbers`: each baseline, the methods compared with it, and their difference.

    `spread`: with the standard deviations over seeds.
    """
    if not spread:
        numbers = numbers.assign(value_std=np.nan, difference_std=np.nan)
    rows = []
    columns = [*context.mark, "category", "defect", "images", "", *SHOWN.values()]
    for category in context.grid.categories:
        of_category = numbers[numbers["category"] == category]
        start = {**context.mark, "category": category}
        if of_category.empty:
            rows.append({**dict.fromkeys(columns, ""), **start, "defect": NOT_MEASURED})
        for (kind, defect, images), group in of_category.groupby(["anomaly_type", "defect", "images"], sort=False):
            for method in methods:
                measured = {row["metric"]: row for row in group[group["method"] == method.name].to_dict("records")}
                if not measured:
                    continue
                name = {"defect": f"{defect} ({HEADINGS[kind]})", "images": f"{images:g}"}
                lines = {context.label(method, category): per_cent} | (
                    {} if method.is_baseline else {"difference": gain}
                )
                for label, shown in lines.items():
                    texts = {heading: _text(measured[metric], shown) for metric, heading in SHOWN.items()}
                    rows.append({**start, **name, "": label, **texts})
    return pd.DataFrame(rows, columns=columns)


def _text(row: Mapping[Any, Any], shown: Callable[[Row], str]) -> str:
    return NOT_MEASURED if pd.isna(row["value"]) else shown({**row, "low": np.nan, "high": np.nan})


def defect_caption(context: Context, spread: bool = True) -> str:
    """What the numbers of Table 6 are, and how little sure; `spread` as in `defect_table`."""
    seeds = len(context.grid.seeds)
    mean = "mean ± standard deviation" if spread else "mean"
    of_seeds = f"{mean} over {seeds} seeds" if seeds > 1 else "one seed"
    return (
        "Per defect type, as the masks say what an image shows; an image with two types counts for both. Found: share "
        f"of its images that are rejected where {100 * HEADLINE_RATE:g} % false alarms are promised. Image AUROC: "
        f"its images against all good ones. {TITLES[HEADLINE_METRICS[1]]}: its regions alone. In per cent, {of_seeds}. "
        "Difference: the method minus its baseline in points, paired by category and seed. A type has few images: no "
        "interval is given, and single rows prove nothing. A type without masks has no row. What is found is measured "
        "only where the rate is promised. "
        f"Pretraining and penalty images: {context.pretraining_images}."
        + (f" {RUNS_MISSING}." if context.partial else "")
    )


def build_defect_table(numbers: pd.DataFrame, context: Context) -> Table:
    """Table 6: the declared methods and their baselines; its CSV has all methods."""
    return Table(
        NAME,
        "Table 6. Which defects are found?",
        defect_caption(context) + " The CSV file has all methods." + declared_methods(context) + inactive_note(context),
        defect_table(numbers, context.compared, context),
        numbers.assign(pretraining_images=context.pretraining_images, **context.mark),
    )
