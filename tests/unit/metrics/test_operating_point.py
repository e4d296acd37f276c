"""Verdicts at a threshold: by hand, against scipy's exact tests, and the interval's coverage in simulation."""

import numpy as np
import pytest
from scipy.stats import binomtest

from dfsc.metrics.operating_point import compare_verdicts, exact_interval, rejected, verdict_counts


def test_the_counts_by_hand() -> None:
    """Above the threshold is rejected; at it, accepted."""
    scores = {"good": np.array([0.1, 0.5, 0.6]), "logical_anomalies": np.array([0.5, 0.7, 0.2, 0.9])}
    of_defect = {"logical_anomalies": {"swap": [0.5, 0.7], "gap": [0.9, 0.7]}}
    assert rejected([0.4, 0.5, 0.6], 0.5).tolist() == [False, False, True]
    assert verdict_counts(scores, of_defect, 0.5) == {
        "threshold": 0.5,
        "false_alarms": 1,
        "missed": {"logical_anomalies": 2},
        "found_per_defect": {"logical_anomalies": {"swap": 1, "gap": 2}},
    }


@pytest.mark.parametrize("images", [1, 7, 60])
def test_the_interval_is_scipys_exact_one(images: int) -> None:
    for wrong in range(images + 1):
        exact = binomtest(wrong, images).proportion_ci(0.95, "exact")
        assert exact_interval(wrong, images) == pytest.approx((exact.low, exact.high), abs=1e-12)


@pytest.mark.parametrize("shared", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("rate", [0.02, 0.05, 0.3])
def test_the_interval_of_a_mean_over_seeds_holds_its_promise(rate: float, shared: float) -> None:
    """Three models err on an image alike, partly, or each by itself: at least 95 % of the intervals hold the rate."""
    random, images, draws = np.random.default_rng(0), 60, 2000
    alike = random.random((draws, images, 1)) < shared
    wrong = np.where(alike, random.random((draws, images, 1)) < rate, random.random((draws, images, 3)) < rate)
    means = wrong.sum(axis=1).mean(axis=1)
    bounds = {mean: exact_interval(mean, images) for mean in set(means.tolist())}
    covered = np.mean([bounds[mean][0] <= rate <= bounds[mean][1] for mean in means.tolist()])
    assert covered >= 0.95 - 2 * np.sqrt(0.05 * 0.95 / draws)


def test_one_pair_is_mcnemars_exact_test() -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        method, baseline = random.random((2, 1, 40)) < [[[0.7]], [[0.5]]]
        only, never = int((method & ~baseline).sum()), int((~method & baseline).sum())
        found = compare_verdicts(method, baseline)
        assert found[:2] == (only, never)
        assert found.p_value == pytest.approx(binomtest(only, only + never, 0.5).pvalue)


def test_an_image_counts_once_however_many_seeds() -> None:
    method = np.array([[1, 1, 0, 0, 1], [1, 0, 0, 1, 1], [1, 1, 0, 0, 1]], bool)
    baseline = np.array([[0, 1, 1, 1, 1], [0, 1, 0, 0, 1], [1, 1, 0, 0, 1]], bool)
    # By image: 3 to 1 for the method, 2 to 3 and 0 to 1 for the baseline, 1 to 1 and 3 to 3 for neither.
    found = compare_verdicts(method, baseline)
    assert (found.better, found.worse) == (1, 2) and found.p_value == pytest.approx(binomtest(1, 3).pvalue)
    assert compare_verdicts(np.tile(method, (4, 1)), np.tile(baseline, (4, 1))) == compare_verdicts(method, baseline)
    assert compare_verdicts(method, method) == (0, 0, 1.0)
