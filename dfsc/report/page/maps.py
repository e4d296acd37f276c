"""Small anomaly maps for the browser: a level of 64 for each cell, all maps of a run on one scale."""

import base64
import gzip
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfsc.inference.maps import read_maps
from dfsc.model.maps import pad_map

LARGEST_SIDE = 64  # cells: as ours have, padded; larger maps from outside are reduced to it
TOP_QUANTILE, TOP = 0.999, 3  # a scale ends at 3 times what all but a thousandth of the cells of good images stay below
HIGHEST = 63  # level: steps that no eye tells apart; half as many bytes as 255 would take
BLOCK = 8  # images whose maps are loaded together, of all methods: what one card needs is one small file


def packed_maps(archives: Mapping[str, Path], images: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The maps of `images` ('test/good/000.png'), BLOCK of them at a time, of all runs of one category and seed.

    archives: key of a run -> its maps. shapes: key -> [h, w] of each map. bytes: the levels 0..HIGHEST of all maps, run
    by run, image by image, row by row; gzip, base64. Raises UserError as `read_maps` does.
    """
    levels = {key: _levels(path, images) for key, path in archives.items()}
    for start in range(0, len(images), BLOCK):
        block = {key: of_run[start : start + BLOCK] for key, of_run in levels.items()}
        raw = b"".join(one.tobytes() for of_run in block.values() for one in of_run)
        shapes = {key: [list(one.shape) for one in of_run] for key, of_run in block.items()}
        yield {"shapes": shapes, "bytes": base64.b64encode(gzip.compress(raw, compresslevel=6, mtime=0)).decode()}


def _levels(path: Path, images: Sequence[str]) -> list[NDArray[np.uint8]]:
    small = read_maps(path)
    low, high = scale_of({name: reduced(small.maps[name]) for name in images}, small.padding)
    return [levels_of(reduced(pad_map(small.maps[name], small.padding)), low, high) for name in images]


def reduced(anomaly_map: NDArray[np.float32]) -> NDArray[np.float32]:
    """A map [h, w] with at most LARGEST_SIDE cells a side; each is the maximum of those it stands for."""
    for axis in (0, 1):
        size = anomaly_map.shape[axis]
        if size > LARGEST_SIDE:
            starts = np.arange(LARGEST_SIDE) * size // LARGEST_SIDE
            anomaly_map = np.maximum.reduceat(anomaly_map, starts, axis=axis)
    return anomaly_map


def scale_of(maps: Mapping[str, NDArray[np.float32]], padding: str) -> tuple[float, float]:
    """The scale of all maps of a run: from the middle of those of its good test images to well above nearly all.

    maps: before padding. A border of zeros may lie above that middle, and is no anomaly: then the scale begins at 0. Of
    maps that are flat there (an oracle's), to the highest value of any map. The figures have the page's scale.
    """
    good = np.concatenate([one.ravel() for path, one in maps.items() if path.startswith("test/good/")])
    low, nearly_all = (float(value) for value in np.quantile(good, [0.5, TOP_QUANTILE]))
    low = max(low, 0.0) if padding == "zero" else low
    high = low + TOP * (nearly_all - low)
    if high <= low:
        high = max(float(one.max()) for one in maps.values())
    return low, high if high > low else low + 1.0


def levels_of(anomaly_map: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """Each cell's place on the scale, 0 (lowest or below) to HIGHEST (highest or above)."""
    place = np.clip((anomaly_map.astype(np.float64) - low) / (high - low), 0, 1)
    return (HIGHEST * place).round().astype(np.uint8)
