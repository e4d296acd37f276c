"""What the tables of the told runs must hold, in plain arithmetic: means, n - 1, pairs, intervals."""

import itertools
import math
import statistics

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm, t

from support.told_runs import BASELINES, CATEGORIES, SEEDS, TYPES, Cell, baseline_of, told, told_scores

ALL = "mean of categories"
COLUMNS = (*TYPES, "mean")
RESAMPLES = 2000  # docs/reading_the_results.md
T_LEVELS = (np.arange(4000) + 0.5) / 4000


def categories_of(name: str) -> list[str]:
    """The categories that a row is about."""
    return CATEGORIES if name == ALL else [name]


def seeds_of(cells: list[Cell], category: str, method: str) -> list[int]:
    """The seeds that have the method in the category, or in all of them."""
    return [seed for seed in SEEDS if all(Cell(name, method, seed) in cells for name in categories_of(category))]


def pairs_of(cells: list[Cell], category: str, method: str) -> list[int]:
    """The seeds that have both the method and its baseline."""
    own, baseline = (seeds_of(cells, category, name) for name in (method, baseline_of(method)))
    return [seed for seed in own if seed in baseline and method not in BASELINES]


def value_of(metric: str, column: str, category: str, method: str, seed: int) -> float:
    """A seed's value, or its mean over all categories."""
    return statistics.fmean(told(Cell(name, method, seed), metric, column) for name in categories_of(category))


def gain_of(metric: str, column: str, category: str, method: str, seed: int) -> float:
    """A seed's method minus its baseline."""
    own, baseline = (value_of(metric, column, category, name, seed) for name in (method, baseline_of(method)))
    return own - baseline


def deviation(values: list[float]) -> float:
    """Standard deviation with n - 1, by its definition; NaN of one value."""
    if len(values) == 1:
        return math.nan
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


def win_gain(cell: Cell, kind: str) -> NDArray[np.float64]:
    """[anomalous, good]: 1 where the run, and not its own seed's baseline, tells two images apart; -1 conversely."""
    won = []
    for run in (cell, cell._replace(method=baseline_of(cell.method))):
        scores = told_scores(run)
        good, anomalous = ([v for path, v in scores.items() if f"/{name}/" in path] for name in ("good", kind))
        won.append([[float(one > other) for other in good] for one in anomalous])
    return np.array(won[0], np.float64) - np.array(won[1], np.float64)


def image_covariance(category: str, method: str, seeds: list[int], column: str) -> NDArray[np.float64]:
    """Covariance of the difference in AUROC between seeds, [seeds, seeds], when test images are drawn again: exact.

    n draws of n images: each count has variance 1 - 1/n, two have covariance -1/n. Good images and each anomaly type
    are drawn by themselves, categories too. The difference is linear in the counts of both: it has a part of the good
    images, one of the anomalous, and one of both together.
    """
    kinds = TYPES if column == "mean" else [column]
    covariance = np.zeros((len(seeds), len(seeds)))
    for name in categories_of(category):
        by_good = np.zeros((len(seeds), 1))
        for kind in kinds:
            gain = np.array([win_gain(Cell(name, method, seed), kind) for seed in seeds])
            gain /= len(kinds) * gain[0].size
            by_good = by_good + gain.sum(axis=1)
            by_anomalous = centred(gain.sum(axis=2), 1)
            both = centred(centred(gain, 1), 2)
            covariance += by_anomalous @ by_anomalous.T + np.einsum("smn,tmn->st", both, both)
        covariance += centred(by_good, 1) @ centred(by_good, 1).T
    return covariance / len(categories_of(category)) ** 2


def centred(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Values minus their mean along an axis."""
    return np.asarray(values - values.mean(axis=axis, keepdims=True))


def common_variance(covariance: NDArray[np.float64]) -> tuple[float, float]:
    """What images cause alike for all seeds: the lowest and the highest that RESAMPLES draws may find for it.

    That is four standard errors below and above: a variance of n draws has a relative one of sqrt(2 / n).
    """
    seeds = len(covariance)
    each, of_mean = covariance.trace() / seeds, covariance.mean()
    common = each if seeds == 1 else (seeds * of_mean - each) / (seeds - 1)
    spread = each if seeds == 1 else (seeds * of_mean + each) / (seeds - 1)
    error = 4 * math.sqrt(2 / RESAMPLES) * spread
    return max(0.0, common - error), max(0.0, common + error)


def share_below(limit: float, variance: float, std: float, seeds: int) -> float:
    """P(a normal of the images' variance + Student's t of the seeds' spread <= limit)."""
    if seeds == 1:
        return float(norm.cdf(limit / math.sqrt(variance)))
    by_seed = std / math.sqrt(seeds)
    if variance == 0:
        return float(t.cdf(limit / by_seed, seeds - 1))
    return float(np.mean(norm.cdf((limit - by_seed * t.ppf(T_LEVELS, seeds - 1)) / math.sqrt(variance))))


def reach_of(variance: float, std: float, seeds: int) -> float:
    """Half of the 95 % interval."""
    if variance == 0:
        return float(t.ppf(0.975, seeds - 1) * std / math.sqrt(seeds))
    return float(brentq(lambda limit: share_below(limit, variance, std, seeds) - 0.975, 0, 10))


def best_of(cells: list[Cell], metric: str, category: str, methods: list[str]) -> str | None:
    """Of several DFSC methods of a size that one of the highest mean of both types; None if there is one only."""
    means = {
        method: statistics.fmean(value_of(metric, "mean", category, method, seed) for seed in seeds)
        for method in methods
        if method not in BASELINES and (seeds := seeds_of(cells, category, method))
    }
    return max(means, key=lambda method: means[method]) if len(means) > 1 else None


def all_different(values: list[str]) -> bool:
    """Whether no value stands twice."""
    return all(one != other for one, other in itertools.pairwise(sorted(values)))
