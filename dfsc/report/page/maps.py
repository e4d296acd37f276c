"""Small anomaly maps for the browser: one byte a cell, all maps of a run on one scale."""

import base64
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfsc.inference.maps import read_maps
from dfsc.model.maps import pad_map

LARGEST_SIDE = 64  # cells: as ours have, padded; larger maps from outside are reduced to it
TOP_QUANTILE, TOP = 0.999, 3  # a scale ends at 3 times what all but a thousandth of the cells of good images stay below
STEPS = 255


def packed_maps(path: Path, images: Sequence[str]) -> dict[str, Any]:
    """A run's maps of `images` ('test/good/000.png') as the page loads them.

    scale: [lowest, highest] value that is told apart, see `scale_of`. shapes: [h, w] of each map. bytes: the levels
    0..255 of all maps, row by row, one after the other; gzip, base64. Raises UserError as `read_maps` does.
    """
    small = read_maps(path)
    maps = {name: reduced(pad_map(small.maps[name], small.padding)) for name in images}
    low, high = scale_of(maps)
    levels = b"".join(levels_of(one, low, high).tobytes() for one in maps.values())
    shapes = [list(one.shape) for one in maps.values()]
    text = base64.b64encode(gzip.compress(levels, compresslevel=9, mtime=0)).decode()
    return {"scale": [low, high], "shapes": shapes, "bytes": text}


def reduced(anomaly_map: NDArray[np.float32]) -> NDArray[np.float32]:
    """A map [h, w] with at most LARGEST_SIDE cells a side; each is the maximum of those it stands for."""
    for axis in (0, 1):
        size = anomaly_map.shape[axis]
        if size > LARGEST_SIDE:
            starts = np.arange(LARGEST_SIDE) * size // LARGEST_SIDE
            anomaly_map = np.maximum.reduceat(anomaly_map, starts, axis=axis)
    return anomaly_map


def scale_of(maps: Mapping[str, NDArray[np.float32]]) -> tuple[float, float]:
    """The scale of all maps of a run: from the middle of those of its good test images to well above nearly all.

    As in the figures of heatmaps. Of maps that are flat there (an oracle's), to the highest value of any map.
    """
    good = np.concatenate([one.ravel() for path, one in maps.items() if path.startswith("test/good/")])
    low, nearly_all = (float(value) for value in np.quantile(good, [0.5, TOP_QUANTILE]))
    high = low + TOP * (nearly_all - low)
    if high <= low:
        high = max(float(one.max()) for one in maps.values())
    return low, high if high > low else low + 1.0


def levels_of(anomaly_map: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """Each cell's place on the scale, 0 (lowest or below) to 255 (highest or above)."""
    place = np.clip((anomaly_map.astype(np.float64) - low) / (high - low), 0, 1)
    return (STEPS * place).round().astype(np.uint8)
