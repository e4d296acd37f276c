"""How sure a difference is: paired by category and seed, over test images and over seeds.

The truth that an interval is about is the mean difference over the training seeds that could have been drawn and the
test images that could have been photographed, for the categories at hand. Two things make a measured one miss it:

- test images: the same for all seeds. Resampled with replacement (bootstrap), the same images for baseline and DFSC,
  good images and each anomaly type by themselves;
- seeds: two to five are too few to be resampled: a percentile bootstrap over three seeds covers the truth far less
  often than it says. Their spread enters by its variance, and its few degrees of freedom by Student's t.

The covariance of the resampled differences between seeds is what images contribute to all seeds alike; the rest of the
images' part differs by seed and is within the seeds' spread already. Counting it twice would make intervals too wide.
A normal deviation for the images plus Student's t for the seeds give the interval: Behrens and Fisher's, since
Satterthwaite's approximation covers too little with three seeds. The mean of the categories is taken per seed first:
categories of one seed share initial weights, and so nothing is assumed of how their differences depend on each other.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

RESAMPLES = 2000
CONFIDENCE = 0.95
QUANTILES = 400  # per distribution; their sums stand for the distribution of the sum


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its uncertainty, in the unit of what was measured.

    std: standard deviation over seeds (n - 1), NaN for one seed. low, high: bounds of the 95 % interval.
    probability: that the truth is above 0, by the distribution that gives the interval (a one-sided confidence).
    """

    mean: float
    std: float
    low: float
    high: float
    probability: float


def wins(good: ArrayLike, anomalous: ArrayLike) -> NDArray[np.float32]:
    """Whether anomalous image i scores above good image j: 1, 0, or 1/2 for a tie; [m, n]. Its mean is the AUROC.

    `good` [n] and `anomalous` [m] are image scores.
    """
    difference = np.asarray(anomalous, np.float64)[:, None] - np.asarray(good, np.float64)[None]
    return ((np.sign(difference) + 1) / 2).astype(np.float32)


def image_counts(images: int, resamples: int, random: np.random.Generator) -> NDArray[np.float32]:
    """How often each of `images` is drawn in each resample with replacement, [resamples, images]."""
    return random.multinomial(images, np.full(images, 1 / images), size=resamples).astype(np.float32)


def resampled_auroc(win: NDArray[np.float32], anomalous: NDArray[np.float32], good: NDArray[np.float32]) -> Floats:
    """AUROC of every resample, [resamples]: `win` [m, n] of `wins`, `anomalous` [resamples, m] and `good` of counts.

    Linear in `win`: the difference of two win matrices gives the difference of the AUROCs.
    """
    return np.asarray(((anomalous @ win) * good).sum(axis=1) / win.size, np.float64)


def interval(values: ArrayLike, resampled: Floats | None = None) -> Interval:
    """Mean over seeds and its 95 % interval.

    `values` [seeds] are measured, `resampled` [resamples, seeds] the same under resampled images, None if images were
    not resampled: then the interval is Student's over seeds. With one seed it is of the images alone and says nothing
    of other seeds; bounds and probability are NaN where neither is known.
    """
    values = np.asarray(values, np.float64)
    seeds = values.size
    mean, std = float(values.mean()), float(values.std(ddof=1)) if seeds > 1 else float("nan")
    if seeds == 1 and resampled is None:
        return Interval(mean, std, float("nan"), float("nan"), float("nan"))
    normal, student = _standard_deviations(seeds)
    deviation = np.sqrt(image_variance(resampled) if resampled is not None else 0.0) * normal[:, None]
    if seeds > 1:
        deviation = deviation + std / np.sqrt(seeds) * student
    reach = float(np.quantile(deviation, (1 + CONFIDENCE) / 2, method="hazen"))
    probability = float(np.mean((mean + deviation > 0) + 0.5 * (mean + deviation == 0)))
    return Interval(mean, std, mean - reach, mean + reach, probability)


@lru_cache
def _standard_deviations(seeds: int) -> tuple[Floats, Floats]:
    """Evenly spaced quantiles of the normal distribution, and of Student's t with seeds - 1 degrees of freedom."""
    from scipy.stats import norm, t

    levels = (np.arange(QUANTILES) + 0.5) / QUANTILES
    return norm.ppf(levels), t.ppf(levels, max(seeds - 1, 1))


def image_variance(resampled: Floats) -> float:
    """Variance of the mean over seeds that images cause alike for all seeds; `resampled` [resamples, seeds].

    The mean covariance between seeds; with one seed, the variance. Never negative.
    """
    seeds = resampled.shape[1]
    of_each = float(resampled.var(axis=0, ddof=1).mean())
    if seeds == 1:
        return of_each
    of_mean = float(resampled.mean(axis=1).var(ddof=1))
    return float(max(0.0, (seeds * of_mean - of_each) / (seeds - 1)))
