"""Figures: heatmaps of chosen images, and image AUROC over DFSC's quantile. Vector PDF and PNG, readable in grey."""

from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dfsc.config import BASELINE
from dfsc.data import ANOMALY_TYPES, decode_image
from dfsc.files import written_whole
from dfsc.maps import pad_map, read_maps, resize_map
from dfsc.tables import COLUMNS, HEADINGS, display_name, summarise

matplotlib.use("agg")

# The metadata's dates would make equal figures differ.
METADATA: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "png": {"Software": None}}
MARKERS = {"logical_anomalies": "o", "structural_anomalies": "s", "mean": "D"}
COLOURS = {"logical_anomalies": "#0072b2", "structural_anomalies": "#d55e00", "mean": "#000000"}  # Okabe and Ito


def save_figure(figure: Figure, path: Path) -> None:
    """Save as `path`.pdf and `path`.png, each whole, and close the figure."""
    for ending, metadata in METADATA.items():
        with written_whole(path.with_suffix(f".{ending}")) as temporary:
            figure.savefig(temporary, format=ending, dpi=150, bbox_inches="tight", metadata=metadata)
    plt.close(figure)


def draw_auroc_over_quantile(frame: pd.DataFrame, path: Path) -> None:
    """Image AUROC over DFSC's quantile, a panel per category, spread over seeds as bars, the baseline as a line."""
    summary = summarise(frame, "image_auroc")
    for size, of_size in summary.groupby("size"):
        categories = list(dict.fromkeys(of_size["category"]))
        figure, axes = plt.subplots(
            1, len(categories), figsize=(3.1 * len(categories), 3.2), sharey=True, squeeze=False, layout="constrained"
        )
        for axis, category in zip(axes[0], categories, strict=True):
            _draw_sweep(axis, of_size[of_size["category"] == category])
            axis.set_title(category.replace("_", " "), fontsize=10)
        axes[0][0].set_ylabel("image AUROC (%)")
        axes[0][0].legend(fontsize=7, loc="best")
        sources = ", ".join(sorted(frame["pretraining_images"].unique()))
        figure.supxlabel(
            f"quantile τ' that splits similar from novel features; lines: EfficientAD; pretraining images: {sources}",
            fontsize=8,
        )
        save_figure(figure, path.with_name(f"{path.name}_{size}"))


def _draw_sweep(axis: Axes, summary: pd.DataFrame) -> None:
    dfsc = summary[summary["method"] != BASELINE]
    quantiles = sorted({float(name.removeprefix("dfsc-q")) for name in dfsc["method"]})
    for offset, name in zip((-0.06, 0.0, 0.06), COLUMNS, strict=True):
        baseline = summary[(summary["method"] == BASELINE) & (summary["anomaly_type"] == name)].iloc[0]
        axis.axhline(
            100 * baseline["value"],
            color=COLOURS[name],
            linewidth=0.9,
            linestyle={"logical_anomalies": "--", "structural_anomalies": ":"}.get(name, "-"),
        )
        rows = dfsc[dfsc["anomaly_type"] == name].set_index("method")
        rows = rows.loc[[f"dfsc-q{quantile}" for quantile in quantiles]]
        axis.errorbar(
            np.arange(len(quantiles)) + offset,
            100 * rows["value"],
            yerr=100 * rows["value_std"].fillna(0),
            marker=MARKERS[name],
            color=COLOURS[name],
            linestyle="none",
            markersize=5,
            capsize=3,
            label=f"DFSC, {HEADINGS[name]}",
        )
    axis.set_xticks(range(len(quantiles)), [f"{quantile:g}" for quantile in quantiles])
    axis.set_xlim(-0.5, len(quantiles) - 0.5)
    axis.grid(axis="y", linewidth=0.3)


def choose_examples(masks: list[str], per_type: int) -> list[str]:
    """The first `per_type` anomalous test images of each type, by name: chosen before any score is known."""
    return [
        path
        for kind in ANOMALY_TYPES
        for path in sorted(name for name in masks if name.startswith(f"test/{kind}/"))[:per_type]
    ]


def draw_heatmaps(
    category_folder: Path, maps: dict[str, Path], padding: str, output: Path, per_type: int = 3, source: str = ""
) -> None:
    """Rows of image, ground truth, and each method's anomaly map; colours shared along a column.

    `maps`: method -> its archive of small maps.
    """
    archives = {method: read_maps(path) for method, path in maps.items()}
    examples = choose_examples(list(next(iter(archives.values()))), per_type)
    columns = 2 + len(archives)
    figure, axes = plt.subplots(
        len(examples), columns, figsize=(2.2 * columns, 1.75 * len(examples)), squeeze=False, layout="constrained"
    )
    limits = {
        method: np.quantile(
            np.concatenate([archive[path].ravel() for path in archive if "/good/" in path]), [0.5, 0.999]
        )
        for method, archive in archives.items()
    }
    for row, path in zip(axes, examples, strict=True):
        image = np.asarray(decode_image(category_folder / path, "RGB"))
        row[0].imshow(image)
        row[0].set_ylabel(path.removeprefix("test/").removesuffix(".png").replace("_anomalies", ""), fontsize=7)
        row[1].imshow(_ground_truth(category_folder, path, image.shape[:2]), cmap="gray", vmin=0, vmax=1)
        for axis, (method, archive) in zip(row[2:], archives.items(), strict=True):
            full = resize_map(pad_map(archive[path], padding), *image.shape[:2])
            axis.imshow(image.mean(axis=2), cmap="gray")
            axis.imshow(full, cmap="inferno", alpha=0.75, vmin=limits[method][0], vmax=3 * limits[method][1])
    for axis, title in zip(axes[0], ["image", "ground truth", *map(display_name, archives)], strict=True):
        axis.set_title(title, fontsize=9)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    figure.suptitle(
        f"{category_folder.name.replace('_', ' ')}{source and f' (pretraining images: {source})'}", fontsize=9
    )
    save_figure(figure, output)


def _ground_truth(category_folder: Path, path: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    kind, stem = Path(path).parent.name, Path(path).stem
    union = np.zeros(shape, bool)
    for mask in sorted((category_folder / "ground_truth" / kind / stem).glob("*.png")):
        union |= np.asarray(decode_image(mask, "L")) > 0
    return union
