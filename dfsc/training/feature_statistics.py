"""Mean and spread of the teacher's features over the training images, by which they are normalised.

Source: Batzner et al. 2024, algorithm 1. Baseline and DFSC of one category share them; on a CPU they take as long as
many steps, so that the first training keeps them for the others.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dfsc.errors import UserError
from dfsc.files import attempting, digest_of, read_record, write_json
from dfsc.model.networks import normalise_images
from dfsc.settings.leaves import Precision
from dfsc.training.device import computing

WHAT = "statistics of features"
BATCH = 16
SMALLEST_SPREAD = 1e-6  # of features, relative to their size: below, float32 holds nothing but rounding


class Statistics(NamedTuple):
    """Of each of the teacher's channels, float32 [1, channels, 1, 1]."""

    mean: Tensor
    spread: Tensor  # standard deviation, above 0


def feature_statistics(teacher: nn.Module, images: Tensor, precision: Precision) -> Statistics:
    """Over all `images`, uint8 [n, size, size, 3], and positions.

    Raises UserError if a feature is the same everywhere.
    """

    # Two passes: a difference of squares would lose digits, and keeping all features would take gigabytes.
    def mean_of(function: Callable[[Tensor], Tensor]) -> Tensor:
        total, positions = torch.zeros((), dtype=torch.float64, device=images.device), 0
        for batch in torch.split(images, BATCH):
            with torch.no_grad(), computing(images.device, precision):
                features = function(teacher(normalise_images(batch)).double())
            total = total + features.sum(dim=(0, 2, 3), keepdim=True)
            positions += features[:, 0].numel()
        return total / positions

    mean = mean_of(lambda features: features)
    variance = mean_of(lambda features: (features - mean).square())
    if bool((variance.sqrt() <= SMALLEST_SPREAD * mean.abs()).any()):
        raise UserError(
            "training images: a feature of the teacher is the same in all of them, which cannot be normalised; are "
            "they all of one colour? replace them"
        )
    return Statistics(mean.float(), variance.sqrt().float())


def kept_statistics(file: Path | None, compute: Callable[[], Statistics], device: torch.device) -> Statistics:
    """What `file` holds, or else computed and kept there; a damaged file is named and replaced."""
    if file is None:
        return compute()
    with attempting(file, WHAT, "they are computed again"):
        if file.exists():
            return _read(file, device)
    found = compute()
    values = {name: value.flatten().tolist() for name, value in found._asdict().items()}
    with attempting(file, WHAT, "each training computes them anew"):
        write_json(file, {**values, "digest": digest_of(values)})
    return found


def _read(file: Path, device: torch.device) -> Statistics:
    record = read_record(file, WHAT, [*Statistics._fields, "digest"])
    if digest_of({name: record[name] for name in Statistics._fields}) != record["digest"]:
        raise UserError(f"{file}: is damaged")
    return Statistics(*(torch.tensor(record[name], device=device).view(1, -1, 1, 1) for name in Statistics._fields))
