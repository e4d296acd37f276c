"""The threshold above which an image is rejected, and what n validation images can promise of it.

A new good image whose score is exchangeable with those of n validation images is as likely to take any of the n + 1
ranks among them. So it lies above the k-th smallest of the n with a probability of at most 1 - k / (n + 1), whatever
the distribution. Source: Vovk, Gammerman & Shafer 2005, Algorithmic Learning in a Random World (conformal prediction).
"""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

from dfsc.errors import UserError
from dfsc.metrics.operating_point import RATES

ROUNDING = 1e-5  # relative: what float32 may change of an image's score between machines, runtimes and batches
SMALLEST_SCORE = 0.1  # to which ROUNDING is relative at least: where the 0.995 quantile of the validation maps lies


def smallest_rate(count: int) -> float:
    """The lowest false-alarm rate that `count` validation images can promise, in (0, 1]."""
    return 1 / (count + 1)


def images_needed(rate: float) -> int:
    """How many validation images it takes to promise a false-alarm rate in (0, 1)."""
    return math.ceil(1 / Fraction(str(rate))) - 1


def threshold_of(scores: ArrayLike, rate: float) -> float:
    """The threshold that rejects a good image with a probability of at most `rate`, in (0, 1), from validation scores.

    It is the ceil((n + 1)(1 - rate))-th smallest of the n scores, and above it by what rounding may change, so that
    the image whose score it is stays accepted on every machine. An image is rejected if its score is higher.
    Raises UserError for a rate outside (0, 1), and for one that n images cannot promise.
    """
    if not 0 < rate < 1:
        raise UserError(f"false-alarm rate {rate:g}: must lie between 0 and 1, for example 0.05")
    ranked = np.sort(np.asarray(scores, np.float64))
    rank = math.ceil((len(ranked) + 1) * (1 - Fraction(str(rate))))
    if rank > len(ranked):
        lowest = math.ceil(1000 * smallest_rate(len(ranked))) / 10
        raise UserError(
            f"false-alarm rate {rate:g}: cannot be promised with {len(ranked)} validation images, which promise no "
            f"rate below {lowest:g} %; choose a higher rate, or train with at least {images_needed(rate)} of them"
        )
    score = float(ranked[rank - 1])
    return score + ROUNDING * max(abs(score), SMALLEST_SCORE)


def promised_thresholds(scores: ArrayLike) -> dict[float, float]:
    """The thresholds of those of RATES that as many validation scores can promise: rate -> threshold."""
    values = np.asarray(scores, np.float64)
    return {rate: threshold_of(values, rate) for rate in RATES if values.size >= images_needed(rate)}


def percentile_of(score: float, scores: ArrayLike) -> float:
    """The share of the validation scores that are lower than `score`, in percent; equal ones count half.

    They are not rare: where a map is negative, the zeros around it are its maximum.
    """
    known = np.asarray(scores, np.float64)
    return 100 * float(np.mean((known < score) + (known == score) / 2))
