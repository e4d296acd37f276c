"""Evaluation of anomaly maps by the official metrics of MVTec LOCO AD, exact and in bounded memory.

Maps of anomalous images are read twice: once for the scores in the regions, once to count the pixels outside them.
Reading again costs less time than sorting, and keeping the maps of a category would cost gigabytes. What is held grows
with the pixels of the regions, by less than 100 bytes for each that can change the sPRO, and not with the images.
"""

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from dfsc.data.ground_truth import LabelledImage, list_test_images, read_regions
from dfsc.data.images import is_hidden
from dfsc.data.layout import ANOMALY_TYPES, read_defects
from dfsc.errors import UserError
from dfsc.inference.maps import SmallMaps, check_maps
from dfsc.inference.threshold import promised_thresholds
from dfsc.metrics.spro import RegionScores, Scores, SproAccumulator, region_scores
from dfsc.metrics.summary import Evaluation, summarise
from dfsc.model.maps import pad_map, resize_map

Progress = Callable[[int, int], None]

# Pixels held and sorted at once by all workers together, 1 GiB as float32. Every portion of the pixels outside the
# regions is searched for every score in them, so that few large portions take the least time.
PORTION_PIXELS = 2**28


def evaluate_official_maps(
    dataset: Path, category: str, maps: Path, *, workers: int = 1, progress: Progress = lambda done, total: None
) -> Evaluation:
    """Evaluate `<maps>/<category>/test/<folder>/<id>.tiff`: one real number per pixel, at the image's size.

    Runs in `workers` threads; `progress(done, total)` is called after each map read. Raises UserError naming the file
    for whatever is missing, surplus, damaged, of the wrong size or not finite; then nothing is evaluated.
    """
    images = list_test_images(dataset / category)
    folder = maps / category
    found = _official_maps(folder)
    names = {image.path: _map_name(image.path) for image in images}
    _check_complete(names, set(found), folder)

    def load(image: LabelledImage) -> Scores:
        return read_official_map(found[names[image.path]])

    return evaluate(dataset / category, images, load, workers=workers, progress=progress)


def evaluate_small_maps(
    dataset: Path, category: str, small: SmallMaps, *,
    scores: Mapping[str, float] | None = None, validation: Sequence[float] = (), workers: int = 1,
    progress: Progress = lambda done, total: None,
) -> Evaluation:  # fmt: skip
    """Evaluate maps as `dfsc score` writes them, padded and resized one at a time.

    `scores`: 'test/good/000.png' -> image score; without, the maximum of the resized map. `validation`: the scores of
    the validation images, which thresholds come from; without, no operating point is measured.
    The result is that of `evaluate_official_maps` on the same maps padded, resized and written as TIFFs. Otherwise as
    `evaluate_official_maps`.
    """
    images = list_test_images(dataset / category)
    expected = {image.path: image.path for image in images}
    _check_complete(expected, set(small.maps), Path("maps"))
    if scores is not None:
        _check_complete(expected, set(scores), Path("scores"), "image score")
    check_maps(small)

    def load(image: LabelledImage) -> Scores:
        return resize_map(pad_map(small.maps[image.path], small.padding), image.height, image.width)

    return evaluate(
        dataset / category, images, load, scores=scores, validation=validation, workers=workers, progress=progress
    )


def _official_maps(folder: Path) -> dict[str, Path]:
    """The TIFFs below `folder`/test, of any case and spelling of the ending, by the name that they should have."""
    found: dict[str, Path] = {}
    for file in sorted((folder / "test").rglob("*")):
        path = file.relative_to(folder)
        if file.suffix.lower() in (".tif", ".tiff") and not any(map(is_hidden, path.parts)):
            other = found.setdefault(_map_name(path.as_posix()), file)
            if other is not file:
                raise UserError(f"{file}: is a second map beside {other.name}; remove one of them")
    return found


def _map_name(path: str) -> str:
    return PurePosixPath(path).with_suffix(".tiff").as_posix()


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
    workers: int, progress: Progress, scores: Mapping[str, float] | None = None, validation: Sequence[float] = (),
) -> Evaluation:  # fmt: skip
    """Evaluate the maps that `load` gives, float [height, width] at the image's size, for `images` of a category.

    `scores`: path -> image score; without, the maximum of the map. `validation`: as `evaluate_small_maps`.
    `load` is called from `workers` threads, once per image and once more per image with masks. An anomaly type without
    masks is not localised. Raises UserError as `evaluate_official_maps` does.
    """
    anomaly_types = [name for name in ANOMALY_TYPES if any(image.folder == name for image in images)]
    marked = [image for image in images if image.has_masks]
    localised = [name for name in anomaly_types if any(image.folder == name for image in marked)]
    defects = read_defects(category_folder / "defects_config.json") if marked else {}
    tick = _ticker(len(images) + len(marked), progress)
    outside: dict[str, NDArray[np.uint8]] = {}

    def score_regions(image: LabelledImage) -> list[tuple[str, RegionScores]]:
        anomaly_map = _checked(load(image), image)
        regions = read_regions(category_folder, image, defects)
        outside[image.path] = np.packbits(~np.logical_or.reduce([region.mask for region in regions]))
        tick()
        return [
            (region.defect_name, region_scores(anomaly_map, region.mask, region.saturation_area)) for region in regions
        ]

    def count_negatives(portion: Sequence[LabelledImage]) -> dict[str, float]:
        negatives, filled = np.zeros(_pixels(portion), np.float32), 0
        image_scores = {}
        for image in portion:
            pixels = _checked(load(image), image).ravel()
            image_scores[image.path] = float(pixels.max()) if scores is None else scores[image.path]
            if image.path in outside:
                pixels = pixels[np.unpackbits(outside[image.path], count=pixels.size).view(bool)]
            negatives = negatives.astype(np.result_type(negatives, pixels), copy=False)
            negatives[filled : filled + pixels.size] = pixels
            filled += pixels.size
            tick()
        negatives[:filled].sort()
        folder = portion[0].folder
        for anomaly_type in localised if folder == "good" else {folder} & {*localised}:
            accumulators[anomaly_type].add(negatives[:filled])
        return image_scores

    with ThreadPoolExecutor(workers) as pool:
        regions: dict[str, list[tuple[str, RegionScores]]] = {anomaly_type: [] for anomaly_type in localised}
        images_with: dict[str, dict[str, list[str]]] = {anomaly_type: {} for anomaly_type in localised}
        for image, named in zip(marked, pool.map(score_regions, marked), strict=True):
            regions[image.folder] += named
            for name in {name for name, _ in named}:
                images_with[image.folder].setdefault(name, []).append(image.path)
        defect_names = {anomaly_type: [name for name, _ in named] for anomaly_type, named in regions.items()}
        unnamed = [[scores for _, scores in named] for named in regions.values()]
        accumulators = dict(zip(regions, pool.map(SproAccumulator, unnamed), strict=True))

        image_scores: dict[str, dict[str, float]] = {folder: {} for folder in ("good", *anomaly_types)}
        portions = _portions(images, workers)
        for portion, of_portion in zip(portions, pool.map(count_negatives, portions), strict=True):
            image_scores[portion[0].folder] |= of_portion
        return summarise(image_scores, accumulators, defect_names, images_with, promised_thresholds(validation), pool)


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


def _check_complete(expected: Mapping[str, str], found: set[str], where: Path, what: str = "map") -> None:
    """`expected`: image path -> name of its map."""
    missing = [image for image, name in expected.items() if name not in found]
    if missing:
        raise UserError(
            f"{where / expected[missing[0]]}: the {what} of {missing[0]} is missing ({len(missing)} of "
            f"{len(expected)} {what}s are)"
        )
    surplus = sorted(found - set(expected.values()))
    if surplus:
        raise UserError(f"{where / surplus[0]}: there is no test image of that name ({len(surplus)} surplus {what}s)")


def _ticker(total: int, progress: Progress) -> Callable[[], None]:
    """A function for any thread that reports one more of `total` maps as read."""
    done, lock = itertools.count(1), threading.Lock()

    def tick() -> None:
        with lock:
            progress(next(done), total)

    return tick
