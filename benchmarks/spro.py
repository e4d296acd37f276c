"""Speed and memory of the exact sPRO evaluation, as ratios that hold on any machine.

Run as `python -m benchmarks.spro`; about ten minutes and 2.2 GB of temporary files at the default sizes.
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
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from benchmarks.timing import CPU, Row, circumstances, seconds, table
from dfsc.data.ground_truth import LabelledImage, read_regions
from dfsc.data.layout import Defect
from dfsc.inference.evaluate import evaluate, read_official_map
from dfsc.metrics.spro import FPR_LIMITS, au_spro
from dfsc.model.maps import pad_map, resize_map

DEFECTS = {255: Defect("missing", 255, 0.5, True), 254: Defect("scratch", 254, 1.0, True)}
MEMORY_MAPS = 100, 1024, 1024  # number, width, height
NATIVE_MAPS = 312, 1700, 1000  # a test set such as pushpins'
SHARES = {"good": 0.44, "logical_anomalies": 0.3, "structural_anomalies": 0.26}  # as in pushpins


class Category:
    """Masks in a folder, and for each image a small map of noise from which its full-size map is made."""

    def __init__(self, folder: Path, number: int, width: int, height: int) -> None:
        bounds = np.cumsum([0.0, *SHARES.values()]).round(2) * number
        self.folder = folder
        self.images = [
            LabelledImage(name, f"{index:03d}.png", width, height, has_masks=name != "good")
            for name, (start, stop) in zip(SHARES, itertools.pairwise(bounds.astype(int)), strict=True)
            for index in range(stop - start)
        ]
        (folder / "defects_config.json").write_text(json.dumps(list(map(asdict, DEFECTS.values()))))
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


def exact_evaluation(
    category: Category, load: Callable[[LabelledImage], NDArray[Any]], workers: int
) -> tuple[float, dict[str, dict[str, float]]]:
    """Seconds, and AU-sPRO."""
    began = time.perf_counter()
    evaluation = evaluate(category.folder, category.images, load, workers=workers, progress=lambda done, total: None)
    return time.perf_counter() - began, evaluation.metrics["localization"]["auc_spro"]


def sort_all(category: Category) -> float:
    """Seconds of one sort of all pixels of all maps, in place, which is the fastest."""
    pixels = np.concatenate([category.full_size_map(image).ravel() for image in category.images])
    return seconds(pixels.sort)


def in_memory(category: Category, workers: int, repeats: int) -> list[Row]:
    """Against one sort, and against thresholds that are sampled."""
    maps = {image: category.full_size_map(image) for image in category.images}
    sorting, exact = [], []
    for _ in range(repeats):
        sorting.append(sort_all(category))
        took, areas = exact_evaluation(category, maps.__getitem__, workers)
        exact.append(took)
    began = time.perf_counter()
    sampled_areas = sampled_evaluation(category, maps)
    sampled = time.perf_counter() - began
    difference = max(
        abs(areas[name][limit] - area) for name in sampled_areas for limit, area in sampled_areas[name].items()
    )
    what = f"exact sPRO, {_size(category)}, in memory"
    return [
        Row(what, "1,000 sampled thresholds", [sampled] * repeats, exact, f"areas differ by at most {difference:.1e}"),
        Row(what, "`numpy.sort` of all pixels", sorting, exact),
    ]


def _size(category: Category) -> str:
    image = category.images[0]
    return f"{len(category.images)} maps of {image.width} x {image.height}"


def native(category: Category, workers: int, repeats: int) -> list[Row]:
    """From small maps, and from TIFF files, each in a process of its own."""
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
    return [
        Row(
            f"exact sPRO, {_size(category)}, from {name}",
            "`numpy.sort` of all pixels",
            *(sorting, exact[name]),
            f"peak memory {memory[name]:.2f} GiB",
        )
        for name in routes
    ]


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


def measure(
    memory_maps: tuple[int, int, int], native_maps: tuple[int, int, int], workers: int, repeats: int
) -> list[Row]:
    """Both parts; each of maps' number, width and height."""
    rows = []
    for part, (number, width, height) in ((in_memory, memory_maps), (native, native_maps)):
        with tempfile.TemporaryDirectory() as folder:
            rows += part(Category(Path(folder), number, width, height), workers, repeats)
    return rows


def main() -> None:
    """Run both parts, and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory-maps", type=int, nargs=3, default=MEMORY_MAPS, help="number, width, height")
    parser.add_argument("--native-maps", type=int, nargs=3, default=NATIVE_MAPS, help="number, width, height")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    rows = measure(tuple(chosen.memory_maps), tuple(chosen.native_maps), chosen.workers, chosen.repeats)
    print(f"{circumstances(CPU)}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
