"""Evaluation of anomaly maps by the official metrics of MVTec LOCO AD, exact and in bounded memory.

Maps are read twice: once for the scores in the regions, once to count the pixels outside them. Reading again costs
less time than sorting, and keeping the maps of a category would cost gigabytes.
"""

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfsc.data import ANOMALY_TYPES, TEST_FOLDERS, read_defects
from dfsc.errors import UserError
from dfsc.ground_truth import LabelledImage, list_test_images, read_regions
from dfsc.maps import pad_map, resize_map
from dfsc.metrics.auroc import auroc, roc_curve
from dfsc.metrics.spro import FPR_LIMITS, Curve, RegionScores, Scores, SproAccumulator, au_spro, region_scores, spro_at

Progress = Callable[[int, int], None]
NamedRegion = tuple[str, RegionScores]  # the defect's name, and the region's scores
Localization = tuple[dict[str, float], Curve]  # FPR limit -> AU-sPRO, and the curve

# Pixels held and sorted at once by all workers together, 1 GiB as float32. Every portion of the pixels outside the
# regions is searched for every score in them, so that few large portions take the least time.
PORTION_PIXELS = 2**28


@dataclass(frozen=True)
class Evaluation:
    """What is said of one method on one category.

    metrics: the official keys `classification.auc_roc.{logical_anomalies,structural_anomalies,mean}` and
        `localization.auc_spro.{logical_anomalies,structural_anomalies,mean}.{"0.01","0.05","0.1","0.3","1.0"}`;
        beside them `classification.auc_roc_pooled` (both types together against the good images: not the benchmark's
        number), `localization.auc_spro_per_defect.<anomaly type>.<defect name>.<limit>` and `counts`.
    roc_curves: anomaly type -> (FPR, TPR) over the images.
    spro_curves: anomaly type, or 'anomaly type/defect name' -> (FPR, mean sPRO), exact values at about a thousand
        rates, the limits among them.
    image_scores: 'test/good/000.png' -> maximum of its full-size map.
    """

    metrics: dict[str, Any]
    roc_curves: dict[str, Curve]
    spro_curves: dict[str, Curve]
    image_scores: dict[str, float]


def evaluate_official_maps(
    dataset: Path, category: str, maps: Path, *, workers: int = 1, progress: Progress = lambda done, total: None
) -> Evaluation:
    """Evaluate `<maps>/<category>/test/<folder>/<id>.tiff`: one real number per pixel, at the image's size.

    Runs in `workers` threads; `progress(done, total)` is called after each map read. Raises UserError naming the file
    for whatever is missing, surplus, damaged, of the wrong size or not finite; then nothing is evaluated.
    """
    images = list_test_images(dataset / category)
    folder = maps / category
    found = {path.relative_to(folder).as_posix() for path in (folder / "test").rglob("*.tif*")}
    _check_complete({image.path: image.path.removesuffix("png") + "tiff" for image in images}, found, folder)

    def load(image: LabelledImage) -> Scores:
        return read_official_map(folder / "test" / image.folder / f"{image.stem}.tiff")

    return evaluate(dataset / category, images, load, workers=workers, progress=progress)


def evaluate_small_maps(
    dataset: Path, category: str, maps: Mapping[str, NDArray[np.float32]], padding: str, *,
    workers: int = 1, progress: Progress = lambda done, total: None,
) -> Evaluation:  # fmt: skip
    """Evaluate a model's own maps, 'test/good/000.png' -> float32 [h, w] before padding, resized one at a time.

    `padding` is one of `dfsc.maps.PADDING_MODES`. The result is that of `evaluate_official_maps` on the same maps
    padded, resized and written as TIFFs. Otherwise as `evaluate_official_maps`.
    """
    images = list_test_images(dataset / category)
    _check_complete({image.path: image.path for image in images}, set(maps), Path("maps"))

    def load(image: LabelledImage) -> Scores:
        return resize_map(pad_map(maps[image.path], padding), image.height, image.width)

    return evaluate(dataset / category, images, load, workers=workers, progress=progress)


def read_official_map(path: Path) -> Scores:
    """Read an anomaly map [h, w] from TIFF, as float32, or as float64 where float32 would not hold its values.

    Raises UserError naming the file if it is no TIFF, damaged, or holds other than one real number per pixel.
    """
    import tifffile

    try:
        anomaly_map = tifffile.imread(path)
    except Exception as error:  # damaged bytes surface as whatever the decoder stumbles over
        raise UserError(f"{path}: cannot be read as TIFF ({error}); write the map again") from error
    if anomaly_map.ndim != 2 or anomaly_map.dtype.kind not in "fiu":
        raise UserError(
            f"{path}: holds {anomaly_map.dtype} of shape {anomaly_map.shape}; a map has one real number "
            "per pixel, [height, width]"
        )
    return np.asarray(anomaly_map, np.result_type(anomaly_map.dtype, np.float32))


def evaluate(
    category_folder: Path, images: Sequence[LabelledImage], load: Callable[[LabelledImage], Scores], *,
    workers: int, progress: Progress,
) -> Evaluation:  # fmt: skip
    """Evaluate the maps that `load` gives, float [height, width] at the image's size, for `images` of a category.

    `load` is called from `workers` threads, once per good and twice per anomalous image. Raises UserError as
    `evaluate_official_maps` does.
    """
    defects = read_defects(category_folder / "defects_config.json")
    anomalous = [image for image in images if image.folder in ANOMALY_TYPES]
    tick = _ticker(len(images) + len(anomalous), progress)
    outside: dict[str, NDArray[np.uint8]] = {}

    def score_regions(image: LabelledImage) -> list[NamedRegion]:
        anomaly_map = _checked(load(image), image)
        regions = read_regions(category_folder, image, defects)
        outside[image.path] = np.packbits(~np.logical_or.reduce([region.mask for region in regions]))
        tick()
        return [
            (region.defect_name, region_scores(anomaly_map, region.mask, region.saturation_area)) for region in regions
        ]

    def count_negatives(portion: Sequence[LabelledImage]) -> dict[str, float]:
        negatives, filled = np.empty(_pixels(portion), np.float32), 0
        image_scores = {}
        for image in portion:
            pixels = _checked(load(image), image).ravel()
            image_scores[image.path] = float(pixels.max())
            if image.path in outside:
                pixels = pixels[np.unpackbits(outside[image.path], count=pixels.size).view(bool)]
            negatives = negatives.astype(np.result_type(negatives, pixels), copy=False)
            negatives[filled : filled + pixels.size] = pixels
            filled += pixels.size
            tick()
        negatives[:filled].sort()
        folder = portion[0].folder
        for anomaly_type in ANOMALY_TYPES if folder == "good" else (folder,):
            accumulators[anomaly_type].add(negatives[:filled])
        return image_scores

    with ThreadPoolExecutor(workers) as pool:
        regions: dict[str, list[NamedRegion]] = {anomaly_type: [] for anomaly_type in ANOMALY_TYPES}
        for image, scores in zip(anomalous, pool.map(score_regions, anomalous), strict=True):
            regions[image.folder] += scores
        unnamed = [[scores for _, scores in named] for named in regions.values()]
        accumulators = dict(zip(regions, pool.map(SproAccumulator, unnamed), strict=True))
        image_scores: dict[str, float] = {}
        for portion_scores in pool.map(count_negatives, _portions(images, workers)):
            image_scores |= portion_scores
        names = {anomaly_type: [name for name, _ in named] for anomaly_type, named in regions.items()}
        localizations = _localize(accumulators, names, pool)
    return _summary(image_scores, names, localizations)


def _localize(
    accumulators: Mapping[str, SproAccumulator], names: Mapping[str, Sequence[str]], pool: ThreadPoolExecutor
) -> dict[str, Localization]:
    """Areas and thinned curve of each anomaly type, and of each 'anomaly type/defect name'.

    The regions of one defect stand on the FPR axis of their anomaly type, so that the type's curve is the mean of its
    defects' curves, weighted by their numbers of regions.
    """
    rates = np.unique(np.concatenate([[0], np.geomspace(1e-6, 1, 500), np.linspace(0, 1, 501), FPR_LIMITS]))
    tasks: dict[str, tuple[str, list[int]]] = {}
    for anomaly_type, defects in names.items():
        tasks[anomaly_type] = anomaly_type, list(range(len(defects)))
        for name in sorted(set(defects)):
            chosen = [number for number, defect in enumerate(defects) if defect == name]
            tasks[f"{anomaly_type}/{name}"] = anomaly_type, chosen

    def localize(task: tuple[str, list[int]]) -> Localization:
        fpr, spro = accumulators[task[0]].curve(task[1])
        return {str(limit): au_spro(fpr, spro, limit) for limit in FPR_LIMITS}, (rates, spro_at(fpr, spro, rates))

    return dict(zip(tasks, pool.map(localize, tasks.values()), strict=True))


def _summary(
    image_scores: dict[str, float], names: Mapping[str, Sequence[str]], localizations: Mapping[str, Localization]
) -> Evaluation:
    by_folder = {
        folder: np.array([score for path, score in image_scores.items() if f"/{folder}/" in path])
        for folder in TEST_FOLDERS
    }
    good, anomalous = by_folder["good"], [by_folder[anomaly_type] for anomaly_type in ANOMALY_TYPES]
    auc_roc = {anomaly_type: auroc(good, by_folder[anomaly_type]) for anomaly_type in ANOMALY_TYPES}
    areas = {key: area for key, (area, _) in localizations.items()}
    per_type = {anomaly_type: areas[anomaly_type] for anomaly_type in ANOMALY_TYPES}
    metrics = {
        "classification": {
            "auc_roc": auc_roc | {"mean": float(np.mean(list(auc_roc.values())))},
            "auc_roc_pooled": auroc(good, np.concatenate(anomalous)),
        },
        "localization": {
            "auc_spro": per_type
            | {
                "mean": {
                    limit: float(np.mean([area[limit] for area in per_type.values()])) for limit in map(str, FPR_LIMITS)
                }
            },
            "auc_spro_per_defect": {
                anomaly_type: {name: areas[f"{anomaly_type}/{name}"] for name in sorted(set(found))}
                for anomaly_type, found in names.items()
            },
        },
        "counts": {
            "images": {folder: scores.size for folder, scores in by_folder.items()},
            "regions": {anomaly_type: dict(sorted(Counter(found).items())) for anomaly_type, found in names.items()},
        },
    }
    roc_curves = {anomaly_type: roc_curve(good, by_folder[anomaly_type]) for anomaly_type in ANOMALY_TYPES}
    return Evaluation(metrics, roc_curves, {key: curve for key, (_, curve) in localizations.items()}, image_scores)


def _portions(images: Sequence[LabelledImage], workers: int) -> list[list[LabelledImage]]:
    """Groups of images of one folder, of about `PORTION_PIXELS / workers` pixels at most."""
    portions = []
    for _, group in itertools.groupby(images, key=lambda image: image.folder):
        members = list(group)
        number = min(len(members), workers * -(-_pixels(members) // PORTION_PIXELS))
        bounds = np.linspace(0, len(members), number + 1).astype(int)
        portions += [members[start:stop] for start, stop in itertools.pairwise(bounds)]
    return portions


def _pixels(images: Sequence[LabelledImage]) -> int:
    return sum(image.width * image.height for image in images)


def _checked(anomaly_map: Scores, image: LabelledImage) -> Scores:
    if anomaly_map.shape != (image.height, image.width):
        raise UserError(
            f"map of {image.path}: is {anomaly_map.shape[1]} x {anomaly_map.shape[0]} pixels, but the "
            f"image and its masks are {image.width} x {image.height}"
        )
    if not (np.isfinite(anomaly_map.min()) and np.isfinite(anomaly_map.max())):
        raise UserError(f"map of {image.path}: holds NaN or infinite values; every pixel needs a finite score")
    return anomaly_map


def _check_complete(expected: Mapping[str, str], found: set[str], where: Path) -> None:
    """`expected`: image path -> name of its map."""
    missing = [image for image, name in expected.items() if name not in found]
    if missing:
        raise UserError(
            f"{where / expected[missing[0]]}: the map of {missing[0]} is missing ({len(missing)} of "
            f"{len(expected)} maps are)"
        )
    surplus = sorted(found - set(expected.values()))
    if surplus:
        raise UserError(f"{where / surplus[0]}: there is no test image of that name ({len(surplus)} surplus maps)")


def _ticker(total: int, progress: Progress) -> Callable[[], None]:
    """A function for any thread that reports one more of `total` maps as read."""
    done, lock = itertools.count(1), threading.Lock()

    def tick() -> None:
        with lock:
            progress(next(done), total)

    return tick
