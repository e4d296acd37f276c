"""One training step of ours against the plain implementation, side by side in one run, as ratios.

    python benchmarks/training_step.py [--size S] [--image-size 256] [--repeats 5] [--device cpu]

The share of peak is of what a large float32 (on CUDA: TF32) matrix product reaches on the same device, in the same run.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from plain import plain_losses
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from dfsc.device import describe_device
from dfsc.networks import SIZES, EfficientAD, pdn, standardise
from dfsc.train import Draw, Trainer, TrainingSettings


class NoImages:
    """Stands for the penalty images, which the benchmark draws itself."""

    def __len__(self) -> int:
        return 1


def trainer(size: str, image_size: int, precision: str, device: torch.device) -> Trainer:
    """A trainer with random weights and four random images."""
    settings = TrainingSettings(
        size=size, image_size=image_size, steps=70000, batch_size=1, learning_rate=1e-4, weight_decay=1e-5,
        learning_rate_drop_after=0.95, learning_rate_drop_factor=0.1, hard_quantile=0.999, jitter=0.2,
        penalty_grey_probability=0.3, precision=precision, seed=0, dfsc=None,
    )  # fmt: skip
    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (4, image_size, image_size, 3), np.uint8)
    teacher = pdn(SIZES[size], SIZES[size].output).state_dict()
    return Trainer(settings, images, NoImages(), teacher, device)  # type: ignore[arg-type]


def plain_step(model: EfficientAD, optimizer: torch.optim.Optimizer, images: Tensor) -> None:
    """The plain implementation's whole step, from images in 0..1."""
    image, jittered, penalty = (standardise(image[None]) for image in images)
    losses = plain_losses(model, image, jittered, penalty)
    optimizer.zero_grad()
    sum(losses.values(), torch.zeros((), device=images.device)).backward()
    optimizer.step()


def seconds(function: Callable[[], object], device: torch.device) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def peak_flops(device: torch.device) -> float:
    """Floating point operations per second of a large matrix product."""
    side = 8192 if device.type == "cuda" else 2048
    matrix = torch.randn(side, side, device=device)
    return 2 * side**3 / min(seconds(lambda: matrix @ matrix, device) for _ in range(4))


def main() -> None:
    """Time both in turn, and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="S", choices=SIZES)
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    ours = trainer(arguments.size, arguments.image_size, arguments.precision, device)
    other = trainer(arguments.size, arguments.image_size, arguments.precision, device)
    learned = [parameter for parameter in other.modules.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(learned, 1e-4, weight_decay=1e-5)
    penalty = np.random.default_rng(1).integers(0, 256, (1, *ours.images.shape[1:]), np.uint8)
    drawn = Draw([0], [(0, 1.1)], penalty)
    images = torch.rand(3, 3, arguments.image_size, arguments.image_size, device=device)

    with FlopCounterMode(display=False) as counter:
        ours.update(0, drawn)
    plain_step(other.modules, optimizer, images)
    pairs = [
        (
            seconds(lambda: plain_step(other.modules, optimizer, images), device),
            seconds(lambda: ours.update(1, drawn), device),
        )
        for _ in range(arguments.repeats)
    ]
    ratios = [plain / mine for plain, mine in pairs]
    mine = statistics.median(mine for _, mine in pairs)
    flops = counter.get_total_flops()
    print(
        f"{arguments.size}, {arguments.image_size} px, {arguments.precision}, {describe_device(device)}, "
        f"torch {torch.__version__}"
    )
    print(f"plain {statistics.median(plain for plain, _ in pairs):.3f} s, ours {mine:.3f} s per step")
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    print(f"ours: {flops / 1e9:.0f} GFLOP per step, {flops / mine / peak_flops(device):.0%} of a matrix product's rate")


if __name__ == "__main__":
    main()
