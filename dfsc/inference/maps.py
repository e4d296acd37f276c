"""The archive of a model's small anomaly maps."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfsc.errors import UserError
from dfsc.files import open_archive, reading, written_whole
from dfsc.model.maps import NOT_PADDED, PADDING_MODES

PADDING_KEY = "padding"  # in an archive, where no image has this path


class SmallMaps(NamedTuple):
    """A model's anomaly maps before padding, 'test/good/000.png' -> [h, w]; and how they are padded."""

    maps: Mapping[str, NDArray[np.float32]]
    padding: str  # of PADDING_MODES, or NOT_PADDED


def write_maps(path: Path, small: SmallMaps) -> None:
    """Write small maps as one .npz archive, whole or not at all."""
    with written_whole(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **{**small.maps, PADDING_KEY: np.array(small.padding)})


def read_maps(path: Path) -> SmallMaps:
    """Read what `write_maps` wrote. Raises UserError naming the file, also for what `check_maps` refuses."""
    what = "an archive of anomaly maps"
    with reading(path, what, "write it with `dfsc score`"), open_archive(path) as archive:
        maps = {name: archive[name] for name in archive.files}
        small = SmallMaps(maps, str(maps.pop(PADDING_KEY)))
    try:
        check_maps(small)
    except UserError as fault:
        raise UserError(f"{path}: {fault}") from fault
    return small


def check_maps(small: SmallMaps) -> None:
    """Raise UserError for a padding that is unknown, and naming the first map that is not [h, w] of finite numbers."""
    modes = (*PADDING_MODES, NOT_PADDED)
    if small.padding not in modes:
        raise UserError(f"padding {small.padding!r} is none of {', '.join(modes)}")
    for name, small_map in small.maps.items():
        if small_map.ndim != 2 or small_map.dtype.kind not in "fiu" or not np.isfinite(small_map).all():
            raise UserError(f"map of {name}: a map has one finite number per cell, [height, width]")
