"""All randomness derives from (seed, purpose, step), so that a resumed run draws what an undisturbed one would."""

import zlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def generator(seed: int, purpose: str, step: int = 0) -> np.random.Generator:
    """A generator of its own for each (seed, purpose, step); baseline and DFSC of one seed draw the same numbers."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), step])


def torch_seed(seed: int, purpose: str, step: int = 0) -> int:
    """A seed for `torch.manual_seed`, for what torch draws itself (initial weights, dropout)."""
    return int(generator(seed, purpose, step).integers(2**63))


def shuffled_index(seed: int, count: int, position: int) -> int:
    """The item at `position` >= 0 of an endless sequence that shuffles `count` items anew each epoch."""
    epoch, offset = divmod(position, count)
    return int(_permutation(seed, count, epoch)[offset])


@lru_cache(maxsize=2)
def _permutation(seed: int, count: int, epoch: int) -> NDArray[np.int64]:
    return generator(seed, "order", epoch).permutation(count)
