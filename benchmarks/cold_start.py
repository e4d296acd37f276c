"""A training's start until its first step is done, with nothing kept and with what trainings before it kept.

    python -m benchmarks.cold_start [--size S] [--image-size 256] [--images 350] [--device cpu] [--write]

With it, what a training waits for while it runs: penalty images, decoded one by one.
On a CPU trainings are not compiled; here they are, as the compiler's CPU backend stands in for a GPU's.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks import penalty_images
from benchmarks.results import RESULTS, keep
from benchmarks.timing import Row, circumstances, table
from benchmarks.training_step import write_images
from dfsc.data.images import image_size as size_of
from dfsc.data.layout import FileRecord, write_manifest
from dfsc.files import sha256_of
from dfsc.settings.leaves import Size, TrainingPrecision
from dfsc.training.compiled_code import PLACE
from dfsc.training.device import choose_device

PENALTY_REPEATS = 5


class Start(NamedTuple):
    """What a start took."""

    losses: str  # of the first step, as a hexadecimal number: equal bits are equal texts
    seconds: dict[str, float]  # by its parts

    @property
    def total(self) -> float:
        """Seconds from the process's first line to its first step's end."""
        return sum(self.seconds.values())


class Starts:
    """Starts of trainings on `number` images of pushpins' size, each in a process of its own."""

    def __init__(
        self, folder: Path, number: int, size: Size, image_size: int, precision: TrainingPrecision, device: torch.device
    ) -> None:
        """Images and their manifest are written below `folder`."""
        self.folder = folder
        self._words = [size, str(image_size), precision, str(device)]
        pictures, _ = write_images(folder)
        records, good = [], folder / "category/train/good"
        good.mkdir(parents=True)
        for index, picture in enumerate(islice(cycle(pictures), number)):
            image = good / f"{index:03}.png"
            image.symlink_to(picture)
            path = image.relative_to(folder / "category").as_posix()
            records.append(FileRecord(path, image.stat().st_size, sha256_of(image), *size_of(image)))
        write_manifest(folder / "manifest.csv", records)

    def one(self, compiled: bool, kept: bool) -> Start:
        """Start one; without `kept`, nothing is found decoded or compiled."""
        command = [sys.executable, "-m", "benchmarks.first_step", str(self.folder), *self._words]
        with tempfile.TemporaryDirectory() as empty:
            nothing = {} if kept else {PLACE: empty}
            ours = {name: value for name, value in os.environ.items() if name != PLACE}
            run = subprocess.run(
                [*command, str(int(compiled)), str(int(kept))],
                stdout=subprocess.PIPE, text=True, check=True, env={**ours, **nothing},
            )  # fmt: skip
        return Start(**json.loads(run.stdout.splitlines()[-1]))


def measure(
    number: int, size: Size, image_size: int, precision: TrainingPrecision, device: torch.device, repeats: int
) -> list[Row]:
    """The row of compiled starts: with nothing kept against what is kept; their first steps are the same bits."""
    with tempfile.TemporaryDirectory() as folder:
        starts = Starts(Path(folder), number, size, image_size, precision, device)
        starts.one(compiled=True, kept=True)  # which keeps its code
        pairs = [(starts.one(True, False), starts.one(True, True)) for _ in range(repeats)]
    if len({start.losses for pair in pairs for start in pair}) != 1:
        sys.exit("the first step's losses depend on what is kept")
    cold, warm = pairs[-1]
    parts = ", ".join(f"{name} {cold.seconds[name]:.1f} s and {warm.seconds[name]:.1f} s" for name in cold.seconds)
    times = ([cold.total for cold, _ in pairs], [warm.total for _, warm in pairs])
    return [
        Row(f"start to first step, {size}, {image_size} px, compiled, {number} images", "nothing kept", *times, parts)
    ]


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="S")
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--images", type=int, default=350)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--write", action="store_true", help=f"also replace {RESULTS.name}'s part for these")
    chosen = parser.parse_args()
    device = choose_device(chosen.device, torch.get_num_threads())
    rows = measure(chosen.images, chosen.size, chosen.image_size, chosen.precision, device, chosen.repeats)
    rows += penalty_images.measure(chosen.image_size, PENALTY_REPEATS)
    text = f"{circumstances(device)}\n\n{table(rows)}\n"
    print(text)
    if chosen.write:
        keep("cold start", text)


if __name__ == "__main__":
    main()
