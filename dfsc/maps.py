"""Anomaly maps as arrays and files: padding, resizing to the image's size, and the archive of small maps."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dfsc.errors import UserError
from dfsc.files import written_whole

PADDING = 4  # cells on each side, of 4 pixels each: what valid convolutions of the PDN cut off (EfficientAD)
PADDING_MODES = ("zero", "minimum", "replicate")


def pad_map(anomaly_map: NDArray[np.float32], mode: str) -> NDArray[np.float32]:
    """Pad a map [h, w] by 4 cells on each side.

    `zero` is what published numbers were made with; `minimum` (the map's own) and `replicate` avoid zeros that
    outrank the negative part of a normalised map.
    """
    if mode == "replicate":
        return np.pad(anomaly_map, PADDING, mode="edge")
    value = {"zero": 0.0, "minimum": float(anomaly_map.min())}[mode]
    return np.pad(anomaly_map, PADDING, constant_values=np.float32(value))


def resize_map(anomaly_map: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Resize a padded map [h, w] bilinearly to [height, width], pixel centres aligned at half a pixel.

    Same as torch's `interpolate(mode="bilinear", align_corners=False)`, as two small matrix products.
    """
    rows = _interpolation_matrix(anomaly_map.shape[0], height)
    columns = _interpolation_matrix(anomaly_map.shape[1], width)
    return np.asarray(rows @ anomaly_map @ columns.T, np.float32)


@lru_cache(maxsize=64)
def _interpolation_matrix(source: int, target: int) -> NDArray[np.float32]:
    position = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    lower = np.floor(position).astype(int)
    upper = np.minimum(lower + 1, source - 1)
    fraction = position - lower
    matrix = np.zeros((target, source))
    matrix[np.arange(target), lower] += 1 - fraction
    matrix[np.arange(target), upper] += fraction
    return matrix.astype(np.float32)


def write_maps(path: Path, maps: Mapping[str, NDArray[np.float32]]) -> None:
    """Write small maps, keyed by image path ('test/good/000.png'), as one .npz archive, whole or not at all."""
    with written_whole(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **dict(maps))


def read_maps(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read what `write_maps` wrote. Raises UserError naming the file."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: cannot be read as an archive of anomaly maps ({error})") from error
