"""A training until its first step is done, in a process of its own, for `speed.cold_start`: see its arguments."""

import os
import sys
from itertools import cycle, islice
from pathlib import Path

import torch

from benchmarks.training_step import learner_of


def main(folder: str, size: str, image_size: str, precision: str, compiled: str, device: str, number: str) -> None:
    """Decode `number` images, make ready, and take one step."""
    images, penalty = (sorted(Path(folder).glob(f"{ending}/*")) for ending in ("png", "jpg"))
    decoded = list(islice(cycle(images), int(number)))
    learner = learner_of(size, decoded, penalty, int(image_size), precision, bool(int(compiled)), torch.device(device))  # type: ignore[arg-type]
    losses = learner.update(0, learner.draw(0))
    print(f"first step: {float(sum(losses.values(), torch.zeros((), device=device))):.3f}", flush=True)
    os._exit(0)  # what it takes to end is no part of a start


if __name__ == "__main__":
    main(*sys.argv[1:])
