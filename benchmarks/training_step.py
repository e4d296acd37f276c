"""One training step, its images included, against the plain implementation.

    python -m benchmarks.training_step [--size S] [--image-size 256] [--repeats 5] [--device cuda --precision tf32]

Both decode the same files: training images of pushpins' size, ours once, and penalty images of ImageNet's usual size.
The share of peak is of what a large matrix product reaches on the same device in the same precision, in the same run.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.plain import PenaltyImages, TrainingImages, endless, plain_losses
from benchmarks.timing import CPU, Apart, Row, circumstances, seconds, table
from dfsc.data.images import load_images
from dfsc.data.pretraining_images import PretrainingImages, prefetched, write_index
from dfsc.model.networks import SIZES, EfficientAD, pdn
from dfsc.planning.stand_ins import IMAGENET_SIZE, IMAGES, PICTURES, write_pictures
from dfsc.settings.leaves import Size, TrainingPrecision
from dfsc.settings.training import TrainingSettings
from dfsc.training.compiled_code import CompiledCode
from dfsc.training.device import choose_device, computing, placed
from dfsc.training.student import Draw, ModelLearner

WORKERS = 3  # threads of a training's job that decode
LISTED = 20_000  # penalty images, as many as are not kept in memory, nor would be of ImageNet


def write_images(folder: Path) -> tuple[list[Path], list[Path]]:
    """Smooth random pictures: training images, PNG, and penalty images, JPEG."""
    training = write_pictures(folder / "png", "png", IMAGES, (1700, 1000))
    return training, write_pictures(folder / "jpg", "jpg", PICTURES, IMAGENET_SIZE)


def learner_of(
    size: Size,
    images: list[Path],
    penalty: list[Path],
    image_size: int,
    precision: TrainingPrecision = "float32",
    compiled: bool = False,
    device: torch.device = CPU,
    **changes: Any,
) -> ModelLearner:
    """A learner with a random teacher, and images that it decodes; `changes`: of its settings."""
    decoded = load_images(images, image_size, os.cpu_count() or 1)
    return learner_on(decoded, size, penalty, image_size, precision, compiled, device, **changes)


def learner_on(
    images: NDArray[np.uint8],
    size: Size,
    penalty: list[Path],
    image_size: int,
    precision: TrainingPrecision,
    compiled: bool,
    device: torch.device,
    code: CompiledCode | None = None,
    statistics: Path | None = None,
    **changes: Any,
) -> ModelLearner:
    """A learner with a random teacher, and `images`, uint8 [n, size, size, 3]; `code` and `statistics`: its own."""
    index = penalty[0].parent.parent / "index"
    write_index(penalty[0].parent, "random", index)
    listed = PretrainingImages(index, penalty[0].parent)
    listed.paths *= -(-LISTED // len(listed))
    settings = TrainingSettings(
        size=size, image_size=image_size, steps=70000, batch_size=1, learning_rate=1e-4, weight_decay=1e-5,
        learning_rate_drop_after=0.95, learning_rate_drop_factor=0.1, hard_quantile=0.999, jitter=0.2,
        penalty_grey_probability=0.3, precision=precision, compiled=compiled, seed=0, dfsc=None,
    )  # fmt: skip
    settings = replace(settings, **changes)
    torch.manual_seed(0)
    teacher = pdn(SIZES[size], SIZES[size].output).state_dict()
    return ModelLearner(settings, images, listed, teacher, device, code, statistics)


def our_steps(ours: ModelLearner, steps: int, workers: int) -> Generator[Draw, None, None]:
    """Train, yielding after each step."""
    for step, drawn in enumerate(prefetched(ours.draw, range(steps), workers)):
        ours.update(step, drawn)
        yield drawn


def trained(
    size: Size, images: list[Path], penalty: list[Path], image_size: int, precision: TrainingPrecision,
    device: torch.device,
) -> Iterator[Draw]:  # fmt: skip
    """A training of ours, in a process of its own, with as many threads as its job has."""
    ours = learner_of(size, images, penalty, image_size, precision, compiled=True, device=device)
    return our_steps(ours, 1_000_000, workers=WORKERS)


def plain_steps(
    size: Size,
    images: list[Path],
    penalty: list[Path],
    image_size: int,
    workers: int,
    precision: TrainingPrecision,
    device: torch.device,
) -> Iterator[None]:
    """Train as it is usually written, yielding after each step."""
    model = placed(EfficientAD(size, image_size), device)
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(learned, 1e-4, weight_decay=1e-5)
    penalties = endless(PenaltyImages(penalty * 500, image_size), workers)
    for image, jittered in endless(TrainingImages(images * 500, image_size), workers):
        with computing(device, precision):
            losses = plain_losses(model, *(batch.to(device) for batch in (image, jittered, next(penalties))))
        optimizer.zero_grad()
        sum(losses.values(), torch.zeros((), device=device)).backward()
        optimizer.step()
        yield


def peak_flops(device: torch.device, precision: TrainingPrecision) -> float:
    """Floating point operations per second of a large matrix product."""
    side = 8192 if device.type == "cuda" else 2048
    half = precision == "bfloat16" and device.type == "cuda"  # at once, or each product would first convert it
    matrix = torch.randn(side, side, device=device, dtype=torch.bfloat16 if half else torch.float32)
    with computing(device, precision):
        return 2 * side**3 / min(seconds(lambda: matrix @ matrix, device) for _ in range(5))


def measure(
    size: Size, image_size: int, precision: TrainingPrecision, device: torch.device, repeats: int, workers: int
) -> list[Row]:
    """Blocks of steps in turn: one step a block on a CPU, a hundred on CUDA."""
    block = 100 if device.type == "cuda" else 1
    with tempfile.TemporaryDirectory() as folder:
        images, penalty = write_images(Path(folder))
        with Apart(plain_steps, size, images, penalty, image_size, workers, precision, device) as plain:
            ours = learner_of(size, images, penalty, image_size, precision=precision, compiled=True, device=device)
            stepping = our_steps(ours, 1_000_000, workers)
            plain.seconds(2)
            drawn = [next(stepping) for _ in range(max(block, IMAGES))][-1]  # until features are kept, graphs recorded
            pairs = [
                (plain.seconds(block), seconds(lambda: [next(stepping) for _ in range(block)], device))
                for _ in range(repeats)
            ]
            stepping.close()
        with FlopCounterMode(display=False) as counter:
            sum(ours.losses(*ours.views(drawn))[0].values(), torch.zeros((), device=device)).backward()
    theirs, mine = ([time / block for time in each] for each in zip(*pairs, strict=True))
    flops, step = counter.get_total_flops(), statistics.median(mine)
    share = flops / step / peak_flops(device, precision)
    note = f"{flops / 1e9:.0f} GFLOP, {share:.0%} of a matrix product's rate; 70,000 steps: {step * 7e4 / 60:.0f} min"
    return [Row(f"training step, {size}, {image_size} px, {precision}", "plain, with its loader", theirs, mine, note)]


def main() -> None:
    """Time both in turn, and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="S", choices=SIZES)
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    device = choose_device(chosen.device, torch.get_num_threads())
    rows = measure(chosen.size, chosen.image_size, chosen.precision, device, chosen.repeats, chosen.workers)
    print(f"{circumstances(device)}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
