"""Figures of numbers: image AUROC over the quantile, and score histograms. PDF and PNG, readable in grey."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from dfsc.data.layout import TEST_FOLDERS
from dfsc.metrics.summary import HEADLINE_METRICS
from dfsc.report.compare import ALL, COLUMNS, cells_of
from dfsc.report.figures.plotting import BLACK, BLUE, COLOURS, save_figure, say_not_measured
from dfsc.report.tables import CONSTRAINT_INACTIVE, HEADINGS, RUNS_MISSING, Context
from dfsc.settings.grid import Method

# A point per seed: small and hollow beside the mean's.
SINGLE: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 2.8, "mfc": "none", "color": "#777777"}
# Told apart without colour, too.
HISTOGRAMS: dict[str, dict[str, Any]] = {
    "good": {"histtype": "stepfilled"},
    "logical_anomalies": {"histtype": "step", "linewidth": 1.4},
    "structural_anomalies": {"histtype": "step", "linewidth": 1.4, "linestyle": "--"},
    "untyped_anomalies": {"histtype": "step", "linewidth": 1.4, "linestyle": ":"},
}


def footnote(figure: Figure, text: str, context: Context) -> None:
    """Write below a figure how to read it, what its runs were pretrained on, and whether runs are missing."""
    mark = f"{RUNS_MISSING}. " if context.partial else ""
    figure.supxlabel(f"{mark}{text}\npretraining images: {context.pretraining_images}", fontsize=8)


def draw_auroc_over_quantile(
    runs: pd.DataFrame, comparison: pd.DataFrame, context: Context, path: Path
) -> dict[str, Figure]:
    """Image AUROC over the quantile, and beneath it the paired difference on an axis of its own.

    A pair of rows per anomaly type and mean, a column per category. Small points are single seeds, lines and large
    points their mean. The bars are the 95 % interval of the paired difference; single seeds set the axis, so that bars
    of few seeds go on beyond it. One figure per baseline, `path` with '_<baseline>'; returns them as saved.
    """
    figures: dict[str, Figure] = {}
    for baseline in context.grid.baselines:
        paired = context.grid.paired_with(baseline.name)
        methods = [method for method in paired if not (method.changed or method.is_outside or method.protocol)]
        chosen = comparison["method"].isin([method.name for method in methods])
        shown = comparison[chosen & (comparison["metric"] == HEADLINE_METRICS[0])]
        if shown.empty and context.partial:
            continue
        of_quantile = {method.name: method.quantile for method in methods}
        shown = shown.assign(quantile=[of_quantile[name] for name in shown["method"]]).astype({"quantile": float})
        figure = _draw_over_quantile(shown, _seed_values(runs, context, methods), context)
        text = (
            "quantile τ' that splits similar from novel features; ringed: declared in the configuration; small: single "
            "seeds; bars: 95 % interval, which goes on beyond the axis where seeds are few"
        )
        footnote(figure, text, context)
        save_figure(figure, path.with_name(f"{path.name}_{baseline.name}"))
        figures[baseline.name] = figure
    return figures


def _seed_values(
    runs: pd.DataFrame, context: Context, methods: list[Method]
) -> dict[tuple[str, str, str], list[float]]:
    """(category or ALL, method, anomaly type or mean) -> image AUROC in per cent by seed of the grid; NaN without."""
    grid, metric = context.grid, HEADLINE_METRICS[0]
    of_cell = dict(zip(cells_of(runs), runs.to_dict("records"), strict=True))
    found: dict[tuple[str, str, str], list[float]] = {}
    for method, kind in product(methods, COLUMNS):
        by_category = [
            [
                100 * of_cell.get(grid.cell(category, method, seed), {}).get(f"{metric}.{kind}", np.nan)
                for seed in grid.seeds
            ]
            for category in grid.categories
        ]
        found |= {(name, method.name, kind): one for name, one in zip(grid.categories, by_category, strict=True)}
        found[ALL, method.name, kind] = [float(np.mean(of_seed)) for of_seed in zip(*by_category, strict=True)]
    return found


def _draw_over_quantile(
    shown: pd.DataFrame, seeds: Mapping[tuple[str, str, str], list[float]], context: Context
) -> Figure:
    categories = list(dict.fromkeys(shown["category"])) or context.grid.categories
    names = [name for name in COLUMNS if (shown["anomaly_type"] == name).any()] or ["mean"]
    quantiles = sorted(shown["quantile"].dropna().unique())
    figure, axes = plt.subplots(
        2 * len(names), len(categories), figsize=(1.4 + 2.3 * len(categories), 3.1 * len(names)),
        sharex=True, sharey="row", squeeze=False, layout="constrained", height_ratios=[3, 2] * len(names),
    )  # fmt: skip
    for values, gains, name in zip(axes[::2], axes[1::2], names, strict=True):
        of_type = shown[shown["anomaly_type"] == name]
        for above, below, category in zip(values, gains, categories, strict=True):
            panel = of_type[of_type["category"] == category]
            of_panel = {method: seeds[category, method, name] for method in panel["method"]}
            _draw_panel(above, panel, of_panel, quantiles, context)
            _draw_differences(below, panel, of_panel, quantiles)
        values[0].set_ylabel(f"{HEADINGS[name]}\nimage AUROC (%)")
        gains[0].set_ylabel("difference\n(points)")
        _limit(gains)
    for axis, category in zip(axes[0], categories, strict=True):
        axis.set_title(str(category).replace("_", " "), fontsize=10)
    handles = {label: line for axis in axes.flat for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    if handles:
        axes[0][0].legend(handles.values(), handles.keys(), fontsize=7, loc="best")
    return figure


def _limit(row: NDArray[np.object_]) -> None:
    """Limits of a row of differences: around 0, by what its points are; bars may go on beyond."""
    points = [abs(value) for axis in row for line in axis.get_lines() for value in np.ravel(line.get_ydata())]
    largest = max([value for value in points if np.isfinite(value)], default=0)
    row[0].set_ylim(-1.25 * (largest or 1), 1.25 * (largest or 1))


def _spread(places: ArrayLike, count: int) -> NDArray[np.float64]:
    """Where the points of `count` seeds stand, to the right of their places, [places, seeds]."""
    return np.asarray(places, np.float64)[:, None] + 0.12 + 0.25 * np.arange(count) / max(count - 1, 1)


def _draw_panel(
    axis: Axes, summary: pd.DataFrame, seeds: Mapping[str, list[float]], quantiles: list[float], context: Context
) -> None:
    """A panel; `quantiles` are those of all panels, which share their axis, also where a partial grid lacks one."""
    axis.set_xticks(range(len(quantiles)), [f"{quantile:g}" for quantile in quantiles], fontsize=8)
    axis.set_xlim(-0.5, max(len(quantiles), 1) - 0.5)
    if summary.empty:
        say_not_measured(axis)
        return
    is_baseline = summary["method"] == summary["baseline"]
    for value in 100 * summary.loc[is_baseline, "value"]:
        label = context.grid.method(summary["baseline"].iloc[0]).family
        axis.axhline(value, color=BLACK, linestyle="--", linewidth=1, label=label)
    compared = summary[~is_baseline].sort_values("quantile")
    places = np.searchsorted(quantiles, compared["quantile"])
    value = 100 * compared["value"]
    for name in compared["method"].iloc[:1]:
        axis.plot(places, value, color=BLUE, marker="o", markersize=5, label=context.grid.method(name).family)
        single = np.array([seeds[method] for method in compared["method"]])
        axis.plot(_spread(places, single.shape[1]).ravel(), single.ravel(), label="single seeds", **SINGLE)
    declared = np.flatnonzero(compared["method"].isin(context.grid.headlines))
    axis.plot(
        places[declared], value.iloc[declared], linestyle="none", marker="o", markersize=10, mfc="none", color=BLACK
    )
    inactive = [
        place
        for place, (method, category) in enumerate(zip(compared["method"], compared["category"], strict=True))
        if (category, method) in context.inactive
    ]
    if inactive:
        style: dict[str, Any] = {"linestyle": "none", "marker": "x", "markersize": 11, "color": BLACK}
        axis.plot(places[inactive], value.iloc[inactive], label=CONSTRAINT_INACTIVE, **style)
    axis.grid(axis="y", linewidth=0.3)


def _draw_differences(
    axis: Axes, summary: pd.DataFrame, seeds: Mapping[str, list[float]], quantiles: list[float]
) -> None:
    """The paired difference of each quantile with its interval, and that of each seed."""
    compared = summary[summary["method"] != summary["baseline"]].sort_values("quantile").dropna(subset=["difference"])
    if compared.empty:
        say_not_measured(axis)
        return
    places = np.searchsorted(quantiles, compared["quantile"])
    gain, low, high = (100 * compared[name] for name in ("difference", "low", "high"))
    axis.axhline(0, color=BLACK, linestyle="--", linewidth=1)
    axis.errorbar(places, gain, yerr=[gain - low, high - gain], fmt="o", color=BLUE, markersize=5, linewidth=1)
    baseline = np.array(seeds.get(summary["baseline"].iloc[0], []))
    if baseline.size:
        single = np.array([seeds[method] for method in compared["method"]]) - baseline
        axis.plot(_spread(places, single.shape[1]).ravel(), single.ravel(), **SINGLE)
    axis.grid(axis="y", linewidth=0.3)


def draw_score_histograms(scores: pd.DataFrame, context: Context, path: Path) -> dict[str, Figure]:
    """Image scores of good, logical and structural test images, each baseline above its declared method.

    `scores` has columns category, method, seed, path, image_score; seeds are drawn together. One figure per declared
    method, `path` with '_<method>'; returns them by method, as saved. Every hundredth of the highest scores lies beyond
    the axis.
    """
    figures: dict[str, Figure] = {}
    scores = scores[scores["path"].str.startswith("test/")]
    scores = scores.assign(folder=scores["path"].str.split("/").str[1])
    for pair in context.grid.pairs:
        of_pair = scores[scores["method"].isin([method.name for method in pair])]
        if of_pair.empty:
            continue
        categories = list(dict.fromkeys(of_pair["category"]))
        figure, axes = plt.subplots(
            2, len(categories), figsize=(1 + 2.6 * len(categories), 4.6), sharex="col", squeeze=False,
            layout="constrained",
        )  # fmt: skip
        for column, category in zip(axes.T, categories, strict=True):
            of_category = of_pair[of_pair["category"] == category]
            bins = np.linspace(of_category["image_score"].min(), of_category["image_score"].quantile(0.99), 31)
            for axis, method in zip(column, pair, strict=True):
                for folder in TEST_FOLDERS:
                    chosen = of_category[(of_category["method"] == method.name) & (of_category["folder"] == folder)]
                    style = {"color": COLOURS[folder], "label": folder.replace("_anomalies", ""), **HISTOGRAMS[folder]}
                    if chosen.empty:
                        continue
                    axis.hist(chosen["image_score"], bins, density=True, log=True, **style)
                axis.set_yticks([])
                if (str(category), method.name) in context.inactive:
                    axis.set_title(CONSTRAINT_INACTIVE, fontsize=7, loc="right", y=0.88)
            column[0].set_title(str(category).replace("_", " "), fontsize=10)
        for axis, method in zip(axes[:, 0], pair, strict=True):
            axis.set_ylabel(f"{method.label}\ndensity (log)")
        axes[0][0].legend(fontsize=7)
        footnote(figure, "image score (maximum of the anomaly map), test images, all seeds", context)
        save_figure(figure, path.with_name(f"{path.name}_{pair[1].name}"))
        figures[pair[1].name] = figure
    return figures
