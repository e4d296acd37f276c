"""Speed and memory of the exact sPRO evaluation, as ratios that hold on any machine.

Run as `python benchmarks/spro.py`; about ten minutes and 2.2 GB of temporary files at the default sizes.
Part one, maps held in memory: against one `numpy.sort` of all their pixels, and against an evaluator that samples
thresholds in the straightforward way. Part two, a category of native size, from small maps resized on the fly and from
TIFF files: against its own `numpy.sort`, each in a process of its own, whose peak resident memory is printed.
"""

import argparse
import itertools
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from dfsc.evaluate import evaluate, read_official_map
from dfsc.ground_truth import LabelledImage, read_regions
from dfsc.maps import pad_map, resize_map
from dfsc.metrics.spro import FPR_LIMITS, au_spro

DEFECTS = {
    255: {"defect_name": "missing", "saturation_threshold": 0.5, "relative_saturation": True, "pixel_value": 255},
    254: {"defect_name": "scratch", "saturation_threshold": 1.0, "relative_saturation": True, "pixel_value": 254},
}
SHARES = {"good": 0.44, "logical_anomalies": 0.3, "structural_anomalies": 0.26}  # as in pushpins


class Category:
    """Masks in a folder, and for each image a small map of noise from which its full-size map is made."""

    def __init__(self, folder: Path, number: int, width: int, height: int) -> None:
        bounds = np.cumsum([0.0, *SHARES.values()]).round(2) * number
        self.folder = folder
        self.images = [
            LabelledImage(name, f"{index:03d}", width, height)
            for name, (start, stop) in zip(SHARES, itertools.pairwise(bounds.astype(int)), strict=True)
            for index in range(stop - start)
        ]
        (folder / "defects_config.json").write_text(json.dumps(list(DEFECTS.values())))
        random = np.random.default_rng(0)
        self.small_maps: dict[LabelledImage, NDArray[np.float32]] = {}
        for image in self.images:
            small_map = random.normal(size=(56, 56)).astype(np.float32) * 0.1
            for region in range(0 if image.folder == "good" else int(random.integers(1, 3))):
                self._add_region(image, region, small_map, random)
            self.small_maps[image] = small_map

    def _add_region(
        self, image: LabelledImage, number: int, small_map: NDArray[np.float32], random: np.random.Generator
    ) -> None:
        """A rectangle of 20 % of the width and height, found by the map with luck."""
        top, left = random.uniform(0.1, 0.7, 2)
        mask = np.zeros((image.height, image.width), np.uint8)
        grey = 255 if image.folder == "logical_anomalies" else 254
        mask[
            int(top * image.height) : int((top + 0.2) * image.height),
            int(left * image.width) : int((left + 0.2) * image.width),
        ] = grey
        file = self.folder / "ground_truth" / image.folder / image.stem / f"{number:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(file)
        small_map[int(top * 56) : int((top + 0.2) * 56), int(left * 56) : int((left + 0.2) * 56)] += random.uniform(
            0, 0.5
        )

    def full_size_map(self, image: LabelledImage) -> NDArray[np.float32]:
        return resize_map(pad_map(self.small_maps[image], "zero"), image.height, image.width)


def sampled_evaluation(
    category: Category, maps: dict[LabelledImage, NDArray[np.float32]], number: int = 1000
) -> dict[str, dict[str, float]]:
    """AU-sPRO from `number` thresholds, at quantiles of the maps, with a boolean mask of each map at each threshold."""
    areas = {}
    for anomaly_type in ("logical_anomalies", "structural_anomalies"):
        chosen = [image for image in maps if image.folder in ("good", anomaly_type)]
        regions = {image: read_regions(category.folder, image, DEFECTS) for image in chosen}
        outside = {
            image: ~np.any([np.zeros(maps[image].shape, bool), *(region.mask for region in regions[image])], 0)
            for image in chosen
        }
        sample = np.concatenate([maps[image].ravel()[::97] for image in chosen])
        thresholds = np.quantile(sample, np.linspace(1, 0, number - 1))
        negatives = sum(int(np.count_nonzero(mask)) for mask in outside.values())
        fpr, spro = [0.0], [0.0]
        for threshold in [*thresholds, -np.inf]:
            false_positives, overlaps = 0, []
            for image in chosen:
                positive = maps[image] >= threshold
                false_positives += int(np.count_nonzero(positive & outside[image]))
                overlaps += [
                    min(np.count_nonzero(positive & region.mask) / region.saturation_area, 1)
                    for region in regions[image]
                ]
            fpr.append(false_positives / negatives)
            spro.append(float(np.mean(overlaps)))
        areas[anomaly_type] = {str(limit): au_spro(np.array(fpr), np.array(spro), limit) for limit in FPR_LIMITS}
    return areas


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def exact_evaluation(
    category: Category, load: Callable[[LabelledImage], NDArray[Any]], workers: int
) -> tuple[float, dict[str, dict[str, float]]]:
    """Seconds, and AU-sPRO."""
    seconds, evaluation = timed(
        lambda: evaluate(category.folder, category.images, load, workers=workers, progress=lambda done, total: None)
    )
    return seconds, evaluation.metrics["localization"]["auc_spro"]


def sort_all(category: Category) -> float:
    """Seconds of one sort of all pixels of all maps, in place, which is the fastest."""
    pixels = np.concatenate([category.full_size_map(image).ravel() for image in category.images])
    return timed(pixels.sort)[0]


def in_memory(category: Category, workers: int, repeats: int) -> None:
    maps = {image: category.full_size_map(image) for image in category.images}
    sorting, exact = [], []
    for _ in range(repeats):
        sorting.append(sort_all(category))
        seconds, areas = exact_evaluation(category, maps.__getitem__, workers)
        exact.append(seconds)
    sampled, sampled_areas = timed(lambda: sampled_evaluation(category, maps))
    difference = max(
        abs(areas[name][limit] - area) for name in sampled_areas for limit, area in sampled_areas[name].items()
    )
    print(f"numpy.sort, s            {spread(sorting)}")
    print(f"sampled thresholds, s    {sampled:.1f}")
    print(f"exact, s                 {spread(exact)}")
    print(f"  sampled / exact        {spread([sampled / seconds for seconds in exact])}, to be at least 30")
    print(f"  exact / numpy.sort     {spread(ratios(exact, sorting))}, to be at most 4")
    print(f"  largest difference     {difference:.1e}, to be at most 1e-3", flush=True)


def native(category: Category, workers: int, repeats: int) -> None:
    for image in category.images:
        file = category.folder / "maps" / image.path
        file.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(file, category.full_size_map(image))

    def read(image: LabelledImage) -> NDArray[Any]:
        return read_official_map(category.folder / "maps" / image.path)

    def seconds_from(load: Callable[[LabelledImage], NDArray[Any]]) -> float:
        return exact_evaluation(category, load, workers)[0]

    routes = {"small maps": partial(seconds_from, category.full_size_map), "TIFF files": partial(seconds_from, read)}
    sorting: list[float] = []
    exact: dict[str, list[float]] = {name: [] for name in routes}
    memory = dict.fromkeys(routes, 0.0)
    for _ in range(repeats):
        sorting.append(in_own_process(lambda: sort_all(category))[0])
        for name, route in routes.items():
            seconds, peak = in_own_process(route)
            exact[name].append(seconds)
            memory[name] = max(memory[name], peak)
    print(f"numpy.sort, s            {spread(sorting)}")
    for name in routes:
        print(f"exact from {name}, s   {spread(exact[name])}")
        print(f"  exact / numpy.sort     {spread(ratios(exact[name], sorting))}, to be at most 4")
        print(f"  peak memory, GiB       {memory[name]:.2f}, to be at most 4", flush=True)


def in_own_process(function: Callable[[], float]) -> tuple[float, float]:
    """What `function` returns in a forked process, and that process's peak resident memory in GiB."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def child() -> None:
        result = function()
        sender.send((result, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20))

    process = context.Process(target=child)
    process.start()
    sender.close()  # so that a child that dies is noticed
    result: tuple[float, float] = receiver.recv()
    process.join()
    return result


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    return [numerator / denominator for numerator, denominator in zip(numerators, denominators, strict=True)]


def spread(values: Sequence[float]) -> str:
    return f"{np.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=int, default=100)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--native-maps", type=int, default=312)
    parser.add_argument("--native-width", type=int, default=1700)
    parser.add_argument("--native-height", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    for part, number, width, height in (
        (in_memory, options.maps, options.size, options.size),
        (native, options.native_maps, options.native_width, options.native_height),
    ):
        print(f"{number} maps of {width} x {height}, {options.workers} workers; median (least to most)", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            part(Category(Path(folder), number, width, height), options.workers, options.repeats)


if __name__ == "__main__":
    main()
