"""From a model's anomaly map to an image score: padding, resizing to the image's size, the maximum."""

from functools import lru_cache
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from dfsc.settings.scoring import Padding

PADDING = 4  # cells on each side, of 4 pixels each: what valid convolutions of the PDN cut off (EfficientAD)
ROWS_AT_ONCE = 64  # of a resized map: they stay in the cache
PADDING_MODES: tuple[str, ...] = get_args(Padding)
NOT_PADDED = "none"  # of maps from outside, and of these alone


def image_score(anomaly_map: NDArray[np.float32], mode: str, height: int, width: int) -> float:
    """The maximum of a map [h, w], padded as `mode` says and resized to the image's own size in pixels."""
    return float(resize_map(pad_map(anomaly_map, mode), height, width).max())


def pad_map(anomaly_map: NDArray[np.float32], mode: str) -> NDArray[np.float32]:
    """Pad a map [h, w] by 4 cells on each side.

    `zero` is what published numbers were made with; `minimum` (the map's own) and `replicate` avoid zeros that
    outrank the negative part of a normalised map. `none` leaves it as it is, for maps from outside.
    """
    if mode == NOT_PADDED:
        return anomaly_map
    if mode == "replicate":
        return np.pad(anomaly_map, PADDING, mode="edge")
    value = {"zero": 0.0, "minimum": float(anomaly_map.min())}[mode]
    return np.pad(anomaly_map, PADDING, constant_values=np.float32(value))


def resize_map(anomaly_map: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Resize a padded map [h, w] bilinearly to [height, width], pixel centres aligned at half a pixel.

    Same as torch's `interpolate(mode="bilinear", align_corners=False)`, to rounding. Element by element, so that the
    bits depend on nothing else: a matrix product's would depend on its threads. A map of that size stays as it is.
    """
    if anomaly_map.shape == (height, width):
        return anomaly_map
    return _resized_rows(_resized_rows(anomaly_map.T, width).T, height)


def _resized_rows(rows: NDArray[np.float32], target: int) -> NDArray[np.float32]:
    """[h, w] to [target, w]."""
    lower, fraction = _interpolation(len(rows), target)
    step = np.diff(rows, axis=0, append=rows[-1:])
    resized = np.empty((target, rows.shape[1]), np.float32)
    for start in range(0, target, ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        np.multiply(step[lower[part]], fraction[part], out=resized[part])
        resized[part] += rows[lower[part]]
    return resized


@lru_cache(maxsize=64)
def _interpolation(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """For each target row, the source row above it, and how far below that it lies, [target, 1] in 0..1."""
    position = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    lower = np.floor(position).astype(np.intp)
    return lower, (position - lower).astype(np.float32)[:, None]
