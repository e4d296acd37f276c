"""The images that the teacher is pretrained on and that the penalty loss draws from (ImageNet in the real run).

A set is an index file: its source's name, one relative path per line, and two digests. It does not say where the folder
lies, so that a set that was moved is the same set. Whoever trains reads the index and opens images one by one: 1.28
million files are listed once and never held in memory.
"""

import hashlib
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dfsc.data.images import decode_image, is_image_name, require_plain, visible
from dfsc.errors import UserError
from dfsc.files import reading, written_whole

DIGEST = "sha256 of paths and sizes: "
CHECK = "sha256 of all lines above: "
CACHE_BYTES = 2**30  # sets whose crops fit are decoded once and kept
Item = TypeVar("Item")


class Indexed(NamedTuple):
    """How many images an index lists, and how many visible files of the folder are no images."""

    images: int
    others: int


def write_index(folder: Path, source: str, output: Path, first: int | None = None) -> Indexed:
    """List every image below `folder` (recursively, sorted) in `output`; only so many, if `first` says so.

    Raises UserError naming the folder if it is missing, cannot be read or holds no image, a link that is broken or
    leads to a folder around it, and a name that no line can carry.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of pretraining images; check `pretraining.folder`")
    require_plain(source, Path())
    digest, check, found = hashlib.sha256(), hashlib.sha256(), [0, 0]
    with written_whole(output) as temporary, temporary.open("wb") as stream:

        def write(line: str) -> None:
            stream.write(f"{line}\n".encode())
            check.update(f"{line}\n".encode())

        write(source)
        for path, size in _walk(folder, "", ()):
            if found[0] == first:
                break
            found[not is_image_name(path)] += 1
            if is_image_name(path):
                digest.update(f"{path}\0{size}\n".encode())
                write(path)
        if not found[0]:
            raise UserError(f"{folder}: holds no image; check `pretraining.folder`")
        write(f"{DIGEST}{digest.hexdigest()}")
        stream.write(f"{CHECK}{check.hexdigest()}\n".encode())
    return Indexed(*found)


def _walk(folder: Path, prefix: str, around: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, int]]:
    """Relative path and bytes of every visible file; `around`: device and inode of the folders that hold this one."""
    status = folder.stat()
    around = (*around, (status.st_dev, status.st_ino))
    for entry in visible(folder):
        try:
            status = entry.stat()
        except OSError as error:
            raise UserError(f"{entry}: leads nowhere ({error.strerror}); remove the link or mend it") from error
        if not stat.S_ISDIR(status.st_mode):
            yield prefix + entry.name, status.st_size
        elif (status.st_dev, status.st_ino) in around:
            raise UserError(f"{entry}: leads back to a folder that holds it; remove the link")
        else:
            yield from _walk(entry, f"{prefix}{entry.name}/", around)


class PretrainingImages:
    """Random access to an indexed set.

    Attributes: `source` (its name in results), `digest` (of paths and sizes), `len()`. `folder`: where the images lie.
    Raises UserError naming the index if it is missing, damaged or cut short.
    """

    def __init__(self, index: Path, folder: Path) -> None:
        with reading(index, "an index of pretraining images", "delete it and run again; `dfsc index` writes it"):
            lines, mark, check = index.read_bytes().rpartition(CHECK.encode())
            if not mark or check != f"{hashlib.sha256(lines).hexdigest()}\n".encode():
                raise ValueError("damaged or cut short")
            self.source, *self.paths, last = lines.decode().split("\n")[:-1]
            self.digest = last.removeprefix(DIGEST)
        self.folder = folder
        self._cache: dict[tuple[int, int], NDArray[np.uint8]] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def image(self, number: int) -> Image.Image:
        """Image `number`, decoded, RGB. Raises UserError naming the file."""
        return decode_image(self.folder / self.paths[number])

    def penalty_crop(self, number: int, size: int, grey: bool) -> NDArray[np.uint8]:
        """Image resized to 2 `size` square, its central `size` square, uint8 [size, size, 3] (Batzner et al. 2024)."""
        crop = self._cache.get((number, size))
        if crop is None:
            crop = np.asarray(central_half(self.image(number), size))
            if len(self) * crop.nbytes <= CACHE_BYTES:
                self._cache[number, size] = crop
        return to_grey(crop) if grey else crop


def central_half(image: Image.Image, size: int) -> Image.Image:
    """The central `size` square of `image` resized to 2 `size` square, bilinearly with antialiasing.

    Bit for bit what Pillow 13 gives for the whole, and a crop of it, at a quarter of the work: each of its two passes
    rounds, and it begins with the rows where the height shrinks by more than twice what the width does.
    """
    width, height = image.size
    columns, rows = (width / 4, 3 * width / 4), (height / 4, 3 * height / 4)
    if height - 2 * size > max(2 * (width - 2 * size), 0):
        image = image.resize((width, size), Image.Resampling.BILINEAR, (0, rows[0], width, rows[1]))
        return image.resize((size, size), Image.Resampling.BILINEAR, (columns[0], 0, columns[1], size))
    image = image.resize((size, height), Image.Resampling.BILINEAR, (columns[0], 0, columns[1], height))
    return image.resize((size, size), Image.Resampling.BILINEAR, (0, rows[0], size, rows[1]))


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
