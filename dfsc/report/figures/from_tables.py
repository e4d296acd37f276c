"""Figures of numbers: image AUROC over the quantile, and score histograms. PDF and PNG, readable in grey."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dfsc.data.layout import TEST_FOLDERS
from dfsc.metrics.summary import HEADLINE_METRICS
from dfsc.report.compare import COLUMNS
from dfsc.report.figures.plotting import BLACK, BLUE, COLOURS, save_figure, say_not_measured
from dfsc.report.tables import CONSTRAINT_INACTIVE, HEADINGS, RUNS_MISSING, Context

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


def draw_auroc_over_quantile(comparison: pd.DataFrame, context: Context, path: Path) -> dict[str, Figure]:
    """Image AUROC over the quantile: a row of panels per anomaly type and mean, a column per category.

    The band is the 95 % interval of the paired difference, drawn around DFSC: it leaves out the baseline's line where
    the difference's interval leaves out 0. One figure per baseline, `path` with '_<baseline>'; returns
    them by baseline, as saved.
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
        categories = list(dict.fromkeys(shown["category"])) or context.grid.categories
        names = [name for name in COLUMNS if (shown["anomaly_type"] == name).any()] or ["mean"]
        quantiles = sorted(shown["quantile"].dropna().unique())
        figure, axes = plt.subplots(
            len(names), len(categories), figsize=(1.4 + 2.3 * len(categories), 2.2 * len(names)),
            sharex=True, sharey="row", squeeze=False, layout="constrained",
        )  # fmt: skip
        for row, name in zip(axes, names, strict=True):
            of_type = shown[shown["anomaly_type"] == name]
            for axis, category in zip(row, categories, strict=True):
                _draw_panel(axis, of_type[of_type["category"] == category], quantiles, context)
            values = 100 * of_type["value"]
            if len(values):
                row[0].set_ylim(max(0, values.min() - 6), min(101, values.max() + 6))
            row[0].set_ylabel(f"{HEADINGS[name]}\nimage AUROC (%)")
        for axis, category in zip(axes[0], categories, strict=True):
            axis.set_title(str(category).replace("_", " "), fontsize=10)
        handles = {
            label: line for axis in axes.flat for line, label in zip(*axis.get_legend_handles_labels(), strict=True)
        }
        if handles:
            axes[0][0].legend(handles.values(), handles.keys(), fontsize=7, loc="best")
        text = "quantile τ' that splits similar from novel features; ringed: declared before the run; "
        footnote(figure, text + "bands go on beyond the axis where seeds are few", context)
        save_figure(figure, path.with_name(f"{path.name}_{baseline.name}"))
        figures[baseline.name] = figure
    return figures


def _draw_panel(axis: Axes, summary: pd.DataFrame, quantiles: list[float], context: Context) -> None:
    """A panel; `quantiles` are those of all panels, which share their axis, also where a partial grid lacks one."""
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
    start = value - 100 * compared["difference"]
    low, high = start + 100 * compared["low"], start + 100 * compared["high"]
    for name in compared["method"].iloc[:1]:
        axis.plot(places, value, color=BLUE, marker="o", markersize=4, label=context.grid.method(name).family)
    axis.errorbar(places, value, yerr=[value - low, high - value], fmt="none", color=BLUE, linewidth=0.7)
    axis.fill_between(places, low, high, color=BLUE, alpha=0.18, linewidth=0, label="95 % of the difference")
    declared = np.flatnonzero(compared["method"].isin(context.grid.headlines))
    axis.plot(
        places[declared], value.iloc[declared], linestyle="none", marker="o", markersize=9, mfc="none", color=BLACK
    )
    inactive = [
        place
        for place, (method, category) in enumerate(zip(compared["method"], compared["category"], strict=True))
        if (category, method) in context.inactive
    ]
    if inactive:
        style: dict[str, Any] = {"linestyle": "none", "marker": "x", "markersize": 10, "color": BLACK}
        axis.plot(places[inactive], value.iloc[inactive], label=CONSTRAINT_INACTIVE, **style)
    axis.set_xticks(range(len(quantiles)), [f"{quantile:g}" for quantile in quantiles], fontsize=8)
    axis.set_xlim(-0.5, max(len(quantiles), 1) - 0.5)
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
