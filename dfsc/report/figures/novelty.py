"""What the margin constraint acts on: the feature distance of teacher and autoencoder, and the novel sets in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from dfsc.data.images import decode_image, image_files, load_images
from dfsc.data.layout import ANOMALY_TYPES
from dfsc.errors import UserError
from dfsc.model.trained import load_model
from dfsc.report.figures.heatmaps import show_ground_truth
from dfsc.report.figures.plotting import save_figure
from dfsc.report.runs import read_curve
from dfsc.settings.training import INSIDE_MARGIN, NOVEL_THRESHOLD
from dfsc.training.feature_distance import feature_distance, novel_share, read_distances, read_logged_image

GREYS = "Greys"


def draw_novelty(
    models: Mapping[str, Path],
    category_folder: Path,
    quantiles: list[float],
    output: Path,
    source: str,
    curves: Mapping[str, Path] | None = None,
) -> Figure:
    """Draw a training image and a test image of each type: image, ground truth, feature distance, novel sets.

    `models`: label of a method -> its model.pt, a row each per image. `curves`: label -> its training curve, of which
    the end is written beside the row, see `constraint_at`. Darker is more; the distance's grey runs from 0 to its
    largest channel mean in any model, the novel share's to its own largest.
    Returns the figure as saved.
    """
    folders = ["train/good", *(f"test/{kind}" for kind in ANOMALY_TYPES)]
    paths = [f"{folder}/{file.name}" for folder in folders for file in image_files(category_folder / folder)[:1]]
    if not paths:
        raise UserError(f"{category_folder}: holds no image in {', '.join(folders)}")
    loaded = [load_model(path).network for path in models.values()]
    images = load_images([category_folder / path for path in paths], loaded[0].image_size, 1)
    distances = [feature_distance(model, images) for model in loaded]
    rows, columns = len(paths) * len(models), 3 + len(quantiles)
    figure, axes = plt.subplots(
        rows, columns, figsize=(1.6 * columns, 1.55 * rows), squeeze=False, layout="constrained"
    )
    for number, path in enumerate(paths):
        shape = np.asarray(decode_image(category_folder / path)).shape[:2]
        highest = max(float(of_model[number].mean(dim=0).max()) for of_model in distances)
        for which, (label, of_model) in enumerate(zip(models, distances, strict=True)):
            row = axes[len(models) * number + which]
            row[0].imshow(images[number])
            row[0].set_ylabel(f"{label}\n{Path(path).parent}{constraint_at(curves, label)}", fontsize=7)
            show_ground_truth(row[1], category_folder, path, shape)
            row[2].imshow(of_model[number].mean(dim=0).numpy(), cmap=GREYS, vmin=0, vmax=highest)
            for axis, quantile in zip(row[3:], quantiles, strict=True):
                axis.imshow(novel_share(of_model[number], quantile), cmap=GREYS, vmin=0)
    _finish(axes, ["image", "ground truth", "(T' − A)²", *(f"novel, τ'={quantile:g}" for quantile in quantiles)])
    category = category_folder.name.replace("_", " ")
    figure.suptitle(f"{category.replace('_', ' ')}, after training (pretraining images: {source})", fontsize=9)
    save_figure(figure, output)
    return figure


def draw_novelty_over_training(
    logs: Mapping[str, Path], quantiles: list[float], output: Path, title: str, curves: Mapping[str, Path] | None = None
) -> Figure:
    """Draw what `DistanceLog` kept of a training image: a row per method and step, as in `draw_novelty`.

    `logs`: label of a method -> what was kept of its training; `curves`: its training curve, of which the step is
    written beside the row, see `constraint_at`. Each row's distance runs from 0 to its own largest.
    Returns the figure as saved.
    """
    kept = [(name, step, squared) for name, path in logs.items() for step, squared in read_distances(path).items()]
    image = read_logged_image(next(iter(logs.values())))
    columns = 2 + len(quantiles)
    figure, axes = plt.subplots(
        len(kept), columns, figsize=(1.6 * columns, 1.55 * len(kept)), squeeze=False, layout="constrained"
    )
    for row, (name, step, squared) in zip(axes, kept, strict=True):
        elements = torch.from_numpy(squared).float()
        row[0].imshow(image)
        row[0].set_ylabel(f"{name}\nstep {step}{constraint_at(curves, name, step)}", fontsize=7)
        for axis, shown in zip(
            row[1:],
            [elements.mean(dim=0).numpy(), *(novel_share(elements, quantile) for quantile in quantiles)],
            strict=True,
        ):
            axis.imshow(shown, cmap=GREYS, vmin=0)
    _finish(axes, ["image", "(T' − A)²", *(f"novel, τ'={quantile:g}" for quantile in quantiles)])
    figure.suptitle(title.replace("_", " "), fontsize=9)
    save_figure(figure, output)
    return figure


def constraint_at(curves: Mapping[str, Path] | None, label: str, step: int | None = None) -> str:
    """A line with the share of novel elements inside the margin and the novel set's threshold at a step, or the last.

    Of the steps since the curve's point before. Empty for a baseline, whose curve has no such columns, and without
    `curves`. Raises UserError naming the curve.
    """
    rows = read_curve(curves[label]) if curves else [{"step": 0.0}]
    row = next((row for row in rows if step is not None and row["step"] >= step), rows[-1])
    if INSIDE_MARGIN not in row:
        return ""
    return f"\ninside margin {row[INSIDE_MARGIN]:.1%}\nnovel from {row[NOVEL_THRESHOLD]:.2g}"


def _finish(axes: Any, titles: list[str]) -> None:
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=8)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
