"""The images that the teacher is pretrained on and that the penalty loss draws from (ImageNet in the real run).

A set is an index file: its source's name, its folder, and one relative path per line. Whoever trains reads the index
and opens images one by one, so that 1.28 million files are listed once and never held in memory.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dfsc.data import decode_image
from dfsc.errors import UserError
from dfsc.files import read_lines, reading, written_whole

DIGEST = "sha256 of paths and sizes: "  # begins the index's last line
ENDINGS = {".jpeg", ".jpg", ".png"}
CACHE_BYTES = 2**30  # sets whose crops fit are decoded once and kept
Item = TypeVar("Item")


def write_index(folder: Path, source: str, output: Path) -> int:
    """List every image below `folder` (recursively, sorted) in `output`; return how many there are.

    Raises UserError naming the folder if it is missing or holds no image.
    """
    digest = hashlib.sha256()
    count = 0
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of pretraining images; check `pretraining.folder`")
    with written_whole(output) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write(f"{source}\n{folder.resolve()}\n")
        for path, size in _walk(folder, ""):
            digest.update(f"{path}\0{size}\n".encode())
            stream.write(f"{path}\n")
            count += 1
        if not count:
            raise UserError(f"{folder}: holds no JPEG or PNG image; check `pretraining.folder`")
        stream.write(f"{DIGEST}{digest.hexdigest()}\n")
    return count


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, int]]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _walk(Path(entry.path), f"{prefix}{entry.name}/")
        elif Path(entry.name).suffix.lower() in ENDINGS:
            yield prefix + entry.name, entry.stat().st_size


class PretrainingImages:
    """Random access to an indexed set.

    Attributes: `source` (its name in results), `digest` (of paths and sizes), `len()`.
    """

    def __init__(self, index: Path) -> None:
        with reading(index, "an index of pretraining images", "write it with `dfsc index`"):
            self.source, folder, *paths, last = read_lines(index).splitlines()
            if not last.startswith(DIGEST) or not paths:
                raise ValueError("it is cut short")
            self.digest = last.removeprefix(DIGEST)
        self.folder, self.paths = Path(folder), paths
        self._cache: dict[tuple[int, int], NDArray[np.uint8]] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def image(self, number: int) -> Image.Image:
        """Image `number`, decoded, RGB. Raises UserError naming the file."""
        return decode_image(self.folder / self.paths[number], "RGB")

    def penalty_crop(self, number: int, size: int, grey: bool) -> NDArray[np.uint8]:
        """Image resized to 2 `size` square, its central `size` square, uint8 [size, size, 3] (Batzner et al. 2024)."""
        crop = self._cache.get((number, size))
        if crop is None:
            resized = self.image(number).resize((2 * size, 2 * size), Image.Resampling.BILINEAR)
            edge = size // 2
            crop = np.asarray(resized.crop((edge, edge, edge + size, edge + size)))
            if len(self) * crop.nbytes <= CACHE_BYTES:
                self._cache[number, size] = crop
        return to_grey(crop) if grey else crop


def to_grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image's luminance (ITU-R 601-2) in all three channels, uint8 [h, w, 3]."""
    return np.asarray(Image.fromarray(image).convert("L").convert("RGB"))


def prefetched(load: Callable[[int], Item], steps: range, workers: int) -> Iterator[Item]:
    """Yield `load(step)` for each step in order, computed by `workers` threads that run a few steps ahead."""
    if workers == 0:
        yield from map(load, steps)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting: list[Future[Item]] = []
        for step in steps:
            waiting.append(pool.submit(load, step))
            if len(waiting) > 2 * workers:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()
