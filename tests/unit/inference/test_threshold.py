"""The threshold's promise: by hand, in simulation, and refused where too few images stand behind it."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest

from dfsc.errors import UserError
from dfsc.inference.threshold import images_needed, percentile_of, smallest_rate, threshold_of


@pytest.mark.parametrize(
    ("count", "rate", "rank"),
    [
        (19, 0.05, 19), (20, 0.05, 20), (39, 0.05, 38), (59, 0.05, 57), (60, 0.05, 58), (60, 0.1, 55), (9, 0.1, 9),
        (99, 0.01, 99), (999, 0.3, 700), (60, 0.0164, 60), (1, 0.5, 1), (3, 0.999, 1),
    ],
)  # fmt: skip
def test_the_rank_by_hand(count: int, rate: float, rank: int) -> None:
    """ceil((n + 1)(1 - rate)), where floating point would say 0.7 * 1000 = 700.0000000000001."""
    scores = np.random.default_rng(0).permutation(np.arange(1.0, count + 1))
    assert threshold_of(scores, rate) == pytest.approx(rank, rel=2e-5)
    assert threshold_of(scores, rate) > rank


def test_the_image_at_the_threshold_is_accepted_in_spite_of_rounding() -> None:
    for sign in (1, -1):
        scores = sign * np.arange(1.0, 20)
        last = float(scores.max())
        assert last * (1 + sign * 2e-6) < threshold_of(scores, 0.05) < last + 2e-5 * abs(last)
    assert threshold_of(np.zeros(19), 0.05) == pytest.approx(1e-6)  # scores of padded zeros


@pytest.mark.parametrize(("count", "rate"), [(60, 0.0163), (60, 0.01), (18, 0.05), (98, 0.01), (0, 0.5)])
def test_a_promise_that_the_images_do_not_carry_is_refused(count: int, rate: float) -> None:
    with pytest.raises(UserError, match=f"cannot be promised with {count} validation images") as refused:
        threshold_of(np.arange(count), rate)
    assert f"at least {images_needed(rate)} of them" in str(refused.value)
    threshold_of(np.arange(images_needed(rate)), rate)
    with pytest.raises(UserError):
        threshold_of(np.arange(images_needed(rate) - 1), rate)


def test_sixty_images_promise_no_rate_below_1_7_percent() -> None:
    with pytest.raises(UserError, match=r"no rate below 1\.7 %"):
        threshold_of(np.arange(60), 0.01)
    assert smallest_rate(60) == pytest.approx(1 / 61)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_rate_is_a_share(rate: float) -> None:
    with pytest.raises(UserError, match="between 0 and 1"):
        threshold_of(np.arange(100), rate)


@pytest.mark.parametrize("kind", ["normal", "heavy", "tied"])
@pytest.mark.parametrize(("count", "rate"), [(19, 0.05), (60, 0.05), (60, 0.02), (25, 0.3)])
def test_the_promise_holds_in_a_thousand_draws(kind: str, count: int, rate: float) -> None:
    """Each draw judges one new good image: the share rejected is at most the promised, within its interval.

    Without ties it is also no less than the next lower rank would promise, so the threshold is not needlessly high.
    """
    random = np.random.default_rng(count)

    def draw() -> NDArray[np.float64]:
        if kind == "tied":
            return random.integers(0, 4, count + 1).astype(np.float64)
        return random.normal(size=count + 1) if kind == "normal" else random.standard_cauchy(count + 1) ** 3

    rejected = 0
    for _ in range(1000):
        scores = draw()
        rejected += bool(scores[-1] > threshold_of(scores[:-1], rate))
    interval = binomtest(rejected, 1000).proportion_ci(0.999)
    assert interval.low <= rate
    if kind != "tied":
        assert interval.high >= rate - 1 / (count + 1)


def test_the_percentile_counts_lower_scores_and_half_of_equal_ones() -> None:
    scores = [1.0, 2.0, 2.0, 3.0]
    assert [percentile_of(value, scores) for value in (0.5, 1.0, 2.0, 2.5, 9.0)] == [0, 12.5, 50, 75, 100]
    assert percentile_of(0.0, [0.0] * 20) == 50, "as of images of which nothing has changed"
