"""Intervals and probabilities on simulated scores whose truth is known, and each part against its definition."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_auc_score

from dfsc.metrics.statistics import image_counts, image_variance, interval, resampled_auroc, wins

SIMULATIONS, RESAMPLES = 1000, 100
SHIFT, GAIN = 1.2, 0.15  # of anomalous scores, in standard deviations of the images; what the second method adds


class Benchmark:
    """Two methods on several categories: every score is an image's own part, a method's, and a (method, seed)'s."""

    def __init__(self, categories: int, seeds: int, images: int, by_seed: float, shared: float) -> None:
        """`by_seed`, `shared`: standard deviation of the shift over seeds, of each category, and of all at once."""
        self.categories, self.seeds, self.images, self.by_seed, self.shared = categories, seeds, images, by_seed, shared
        spread = np.sqrt(2 * (1 + 2 * 0.35**2) + by_seed**2 + shared**2)
        self.truth = stats.norm.cdf((SHIFT + GAIN) / spread) - stats.norm.cdf(SHIFT / spread)

    def measure(self, random: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean over categories of the paired differences in AUROC, [seeds], and resampled, [resamples, seeds]."""
        values, resampled = np.zeros(self.seeds), np.zeros((RESAMPLES, self.seeds))
        shared = random.normal(0, self.shared, (self.seeds, 2))
        for _ in range(self.categories):
            good, anomalous = (random.normal(size=(1, 1, self.images)) for _ in range(2))
            good, anomalous = (part + random.normal(0, 0.35, (1, 2, self.images)) for part in (good, anomalous))
            good, anomalous = (
                part + random.normal(0, 0.35, (self.seeds, 2, self.images)) for part in (good, anomalous)
            )
            shift = SHIFT + GAIN * np.arange(2) + shared + random.normal(0, self.by_seed, (self.seeds, 2))
            counts = [image_counts(self.images, RESAMPLES, random) for _ in range(2)]
            for seed in range(self.seeds):
                first, second = (
                    wins(good[seed, method], anomalous[seed, method] + shift[seed, method]) for method in (0, 1)
                )
                values[seed] += (second - first).mean() / self.categories
                resampled[:, seed] += resampled_auroc(second - first, *counts) / self.categories
        return values, resampled


@pytest.mark.parametrize(
    ("benchmark", "lowest", "highest"),
    [
        pytest.param(Benchmark(5, 3, 100, 0.15, 0), 0.93, 0.97, id="realistic"),
        pytest.param(Benchmark(3, 3, 50, 0.1, 0.1), 0.93, 0.97, id="categories_depend_through_the_seed"),
        pytest.param(Benchmark(1, 3, 50, 0.15, 0), 0.93, 0.98, id="one_category_a_little_wide"),
        pytest.param(Benchmark(1, 5, 50, 0.15, 0), 0.93, 0.97, id="five_seeds"),
        pytest.param(Benchmark(1, 3, 50, 0, 0), 0.95, 1.0, id="wide_where_seeds_have_no_effect"),
        pytest.param(Benchmark(1, 2, 50, 0.15, 0), 0.95, 1.0, id="wide_with_two_seeds"),
        pytest.param(Benchmark(1, 1, 100, 0, 0), 0.93, 0.97, id="one_seed_without_effect_of_seeds"),
    ],
)  # fmt: skip
def test_the_interval_covers_the_truth_as_often_as_it_says(benchmark: Benchmark, lowest: float, highest: float) -> None:
    covered = above = 0
    for number in range(SIMULATIONS):
        values, resampled = benchmark.measure(np.random.default_rng(number))
        found = interval(values, resampled)
        covered += found.low <= benchmark.truth <= found.high
        above += interval(values - benchmark.truth, resampled).probability > 0.5
    assert lowest <= covered / SIMULATIONS <= highest
    assert 0.45 <= above / SIMULATIONS <= 0.55


def test_percentiles_over_three_seeds_would_cover_too_little() -> None:
    """Why the seeds are not resampled."""
    benchmark, covered = Benchmark(1, 3, 50, 0.3, 0), 0
    for number in range(300):
        random = np.random.default_rng(number)
        _, resampled = benchmark.measure(random)
        drawn = random.integers(0, benchmark.seeds, resampled.shape)
        low, high = np.quantile(np.take_along_axis(resampled, drawn, 1).mean(axis=1), (0.025, 0.975))
        covered += low <= benchmark.truth <= high
    assert covered / 300 < 0.9


def test_over_seeds_alone_the_interval_is_students() -> None:
    for values in ([0.01, 0.03], [0.01, 0.02, 0.04], [0.01, 0.02, 0.04, 0.03, 0.06]):
        found, error = interval(values), stats.sem(values)
        low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), error)
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-3)
        assert found.probability == pytest.approx(stats.t.cdf(np.mean(values) / error, len(values) - 1), abs=3e-3)
        assert found.std == pytest.approx(np.std(values, ddof=1))


def test_one_seed_knows_of_images_only() -> None:
    resampled = np.random.default_rng(0).normal(0.02, 0.01, (2000, 1))
    found = interval([0.02], resampled)
    assert (found.low, found.high) == pytest.approx((0.0004, 0.0396), abs=1e-3) and np.isnan(found.std)
    assert found.probability == pytest.approx(0.977, abs=0.005)
    assert np.isnan([interval([0.02]).low, interval([0.02]).high, interval([0.02]).probability]).all()


def test_equal_methods_differ_by_nothing() -> None:
    found = interval(np.zeros(3), np.zeros((10, 3)))
    assert (found.mean, found.low, found.high, found.probability) == (0, 0, 0, 0.5)
    assert interval(np.ones(3), np.ones((10, 3))).probability == 1


def test_the_means_of_wins_and_of_resamples_are_aurocs() -> None:
    random = np.random.default_rng(1)
    good, anomalous = np.round(random.normal(size=30), 1), np.round(random.normal(0.5, 1, size=20), 1)
    labels = np.repeat([0, 1], [30, 20])
    win = wins(good, anomalous)
    assert win.mean() == pytest.approx(roc_auc_score(labels, np.concatenate([good, anomalous])))
    counts = image_counts(20, 3, random), image_counts(30, 3, random)
    for row, found in enumerate(resampled_auroc(win, *counts)):
        drawn = np.concatenate(
            [np.repeat(good, counts[1][row].astype(int)), np.repeat(anomalous, counts[0][row].astype(int))]
        )
        assert found == pytest.approx(roc_auc_score(labels, drawn))


def test_the_bootstraps_variance_is_delongs() -> None:
    """DeLong et al. 1988 give the variance of an AUROC over images without resampling."""
    random = np.random.default_rng(2)
    win = wins(random.normal(size=90), random.normal(1, 1, size=80))
    delong = win.mean(axis=1).var(ddof=1) / 80 + win.mean(axis=0).var(ddof=1) / 90
    resampled = resampled_auroc(win, image_counts(80, 4000, random), image_counts(90, 4000, random))
    assert image_variance(resampled[:, None]) == pytest.approx(delong, rel=0.1)


def test_images_count_once() -> None:
    """Of what images cause, the part that all seeds share is the images'; the rest is in the seeds' spread."""
    random = np.random.default_rng(3)
    shared, own = random.normal(0, 2, (20000, 1)), random.normal(0, 3, (20000, 4))
    assert image_variance(shared + own) == pytest.approx(4, rel=0.05)
    assert image_variance(own) == pytest.approx(0, abs=0.1)
