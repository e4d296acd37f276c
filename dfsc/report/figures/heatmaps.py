"""Images, their ground truth and anomaly maps side by side: those named, the first by name, or the worst ranked."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dfsc.data.ground_truth import mask_files
from dfsc.data.images import decode_grey, decode_image
from dfsc.data.layout import ANOMALY_TYPES
from dfsc.errors import UserError
from dfsc.inference.image_scores import read_scores
from dfsc.inference.maps import read_maps
from dfsc.model.maps import pad_map, resize_map
from dfsc.report.figures.plotting import save_figure, say_not_measured
from dfsc.report.page.maps import scale_of


def first_examples(paths: list[str], per_type: int) -> list[str]:
    """The first `per_type` anomalous test images of each type, by name: chosen before any score is known.

    Of a category without anomalies, good ones; of `worst_examples`, too.
    """
    return [path for kind in _shown(paths) for path in sorted(_of_folder(paths, kind))[:per_type]]


def worst_examples(scores: Mapping[str, float], per_type: int) -> list[str]:
    """The `per_type` anomalous test images of each type of the lowest image scores; or good ones, of the highest."""
    kinds = _shown(scores)
    sign = -1 if kinds == ["good"] else 1
    return [
        path for kind in kinds for path in sorted(_of_folder(scores, kind), key=lambda x: sign * scores[x])[:per_type]
    ]


def _shown(paths: Mapping[str, float] | list[str]) -> list[str]:
    return [kind for kind in ANOMALY_TYPES if _of_folder(paths, kind)] or ["good"]


def _of_folder(paths: Mapping[str, float] | list[str], folder: str) -> list[str]:
    return [path for path in paths if path.startswith(f"test/{folder}/")]


def draw_heatmaps(
    category_folder: Path,
    maps: dict[str, Path],
    output: Path,
    *,
    per_type: int = 3,
    source: str = "",
    worst: Path | None = None,
    chosen: list[str] | None = None,
) -> Figure:
    """Rows of image, ground truth, and each method's anomaly map; colours shared along a column.

    `maps`: label of a method -> its archive of small maps. Rows are the images `chosen` ('test/<type>/<file>'), else
    those that the last method ranks lowest, by its image scores in the file `worst`, else the first of each type.
    Returns the figure as saved. Raises UserError naming an image that has no map.
    """
    archives = {label: read_maps(path) for label, path in maps.items()}
    last = list(archives.values())[-1].maps
    if worst and chosen:
        raise UserError("--worst: the images are named by --images; leave out one of the two")
    examples = chosen or (
        worst_examples(read_scores(worst), per_type) if worst else first_examples(list(last), per_type)
    )
    if not examples:
        raise UserError(f"{list(maps.values())[-1]}: has no map of a test image")
    for path in examples:
        if path not in last:
            raise UserError(f"{path}: has no anomaly map in {list(maps.values())[-1]}")
    columns = 2 + len(archives)
    figure, axes = plt.subplots(
        len(examples), columns, figsize=(2.2 * columns, 1.75 * len(examples)), squeeze=False, layout="constrained"
    )
    scales = {method: scale_of(archive.maps, archive.padding) for method, archive in archives.items()}
    for row, path in zip(axes, examples, strict=True):
        image = np.asarray(decode_image(category_folder / path))
        row[0].imshow(image)
        row[0].set_ylabel(str(Path(path).with_suffix("")).removeprefix("test/").replace("_anomalies", ""), fontsize=7)
        show_ground_truth(row[1], category_folder, path, image.shape[:2])
        for axis, (method, archive) in zip(row[2:], archives.items(), strict=True):
            full = resize_map(pad_map(archive.maps[path], archive.padding), *image.shape[:2])
            axis.imshow(image.mean(axis=2), cmap="gray")
            low, high = scales[method]
            axis.imshow(full, cmap="inferno", alpha=0.75, vmin=low, vmax=high)
    for axis, title in zip(axes[0], ["image", "ground truth", *archives], strict=True):
        axis.set_title(title, fontsize=9)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    end = "highest" if examples[0].startswith("test/good/") else "lowest"
    which = f"; ranked {end} by {list(archives)[-1]}" if worst else ""
    images = source and f" (pretraining images: {source})"
    figure.suptitle(f"{category_folder.name.replace('_', ' ')}{which}{images}", fontsize=9)
    save_figure(figure, output)
    return figure


def show_ground_truth(axis: Axes, category_folder: Path, path: str, shape: tuple[int, ...]) -> None:
    """Draw the union of the regions of a test image, [height, width]; say so if an anomalous one has no masks."""
    if Path(path).parent.name in ANOMALY_TYPES and not mask_files(
        category_folder, *Path(path).with_suffix("").parts[-2:]
    ):
        say_not_measured(axis)
        axis.set_box_aspect(shape[0] / shape[1])
        return
    axis.imshow(ground_truth(category_folder, path, shape), cmap="gray", vmin=0, vmax=1)


def ground_truth(category_folder: Path, path: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Union of the regions of a test image, [height, width]; empty for a good one."""
    kind, stem = Path(path).parent.name, Path(path).stem
    union = np.zeros(shape, bool)
    for mask in mask_files(category_folder, kind, stem):
        union |= decode_grey(mask) > 0
    return union
