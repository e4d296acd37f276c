"""Penalty images at the pace of a GPU: one is decoded, resized and cropped at each step of a training.

    python -m benchmarks.penalty_images

They are JPEGs of ImageNet's usual size. The other way resizes the whole image before it crops. The index of a set as
large as ImageNet is opened, too.
"""

import hashlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PIL import Image

from benchmarks.timing import CPU, Row, circumstances, in_turn, seconds, table
from benchmarks.training_step import write_images
from dfsc.data.images import decode_image
from dfsc.data.pretraining_images import CHECK, DIGEST, central_half, prefetched

IMAGENET = 1_281_167  # training images
STEPS = 600
THREADS = 3  # that read ahead
OPEN = """
import re, sys, time
from pathlib import Path
from dfsc.data.pretraining_images import PretrainingImages
used = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
before, began = used(), time.perf_counter()
images = PretrainingImages(Path(sys.argv[1]), Path())
print(time.perf_counter() - began, used() - before, len(images))
"""


def whole_then_crop(file: Path, size: int) -> Image.Image:
    """The central `size` square of the whole image, resized to 2 `size` square."""
    edge = size // 2
    resized = decode_image(file).resize((2 * size, 2 * size), Image.Resampling.BILINEAR)
    return resized.crop((edge, edge, edge + size, edge + size))


def central(file: Path, size: int) -> Image.Image:
    """The same, as our trainings do it."""
    return central_half(decode_image(file), size)


def opened(folder: Path) -> str:
    """What it takes to open an index as long as ImageNet's, in a process of its own."""
    paths = (f"n{number // 1300:08d}/n{number // 1300:08d}_{number % 1300}.JPEG" for number in range(IMAGENET))
    text = "".join(f"{line}\n" for line in ("imagenet", *paths, f"{DIGEST}{'0' * 64}")).encode()
    index = folder / "imagenet.index"
    index.write_bytes(text + f"{CHECK}{hashlib.sha256(text).hexdigest()}\n".encode())
    run = subprocess.run([sys.executable, "-c", OPEN, index], capture_output=True, text=True, check=True)
    taken, used, length = map(float, run.stdout.split())
    assert length == IMAGENET
    return f"an index of {IMAGENET:,} images opens in {taken:.2f} s, with {used:.0f} MiB"


def measure(size: int, repeats: int) -> list[Row]:
    """A row on one thread, and one on several that read ahead; seconds an image."""
    with tempfile.TemporaryDirectory() as folder:
        files = write_images(Path(folder))[1]

        def all_of(crop: Callable[[Path, int], Image.Image], threads: int) -> None:
            for _ in prefetched(lambda step: crop(files[step % len(files)], size), range(STEPS), threads):
                pass

        decoding = [seconds(lambda: [decode_image(file) for file in files]) / len(files) for _ in range(repeats)]
        notes = [f"of it decoding {1000 * statistics.median(decoding):.2f} ms", opened(Path(folder))]
        rows = []
        for threads, note in zip((0, THREADS), notes, strict=True):
            theirs, ours = in_turn(
                partial(all_of, whole_then_crop, threads), partial(all_of, central, threads), repeats
            )
            what = f"penalty image, {size} px, " + (f"{threads} threads reading ahead" if threads else "one thread")
            rows.append(
                Row(what, "whole image resized", [one / STEPS for one in theirs], [one / STEPS for one in ours], note)
            )
        return rows


def main() -> None:
    """Time and print."""
    print(f"{circumstances(CPU)}\n\n{table(measure(256, 5))}")


if __name__ == "__main__":
    main()
