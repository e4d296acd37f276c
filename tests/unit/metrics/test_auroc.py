"""Image AUROC: the definition, ties counting half, as scikit-learn has it."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfsc.metrics.auroc import auroc, roc_curve

few_values = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=30)
any_values = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=30)


@given(st.one_of(st.tuples(few_values, few_values), st.tuples(any_values, any_values)))
def test_equals_scikit_learn(scores: tuple[list[float], list[float]]) -> None:
    from sklearn.metrics import roc_auc_score

    good, anomalous = scores
    expected = roc_auc_score([0] * len(good) + [1] * len(anomalous), good + anomalous)
    assert auroc(good, anomalous) == pytest.approx(expected, abs=1e-12)


@given(few_values, few_values)
def test_area_under_the_roc_curve_is_auroc(good: list[float], anomalous: list[float]) -> None:
    fpr, tpr = roc_curve(good, anomalous)
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(tpr, fpr) == pytest.approx(auroc(good, anomalous), abs=1e-12)


@given(few_values, few_values)
def test_the_roc_curve_has_a_point_for_every_distinct_score(good: list[float], anomalous: list[float]) -> None:
    thresholds = sorted({*good, *anomalous}, reverse=True)
    rates = [
        [float(np.mean([score >= threshold for score in side])) for threshold in thresholds]
        for side in (good, anomalous)
    ]
    for found, expected in zip(roc_curve(good, anomalous), rates, strict=True):
        np.testing.assert_allclose(found, [0.0, *expected], atol=1e-12)


def test_by_hand() -> None:
    assert auroc([1, 2, 3], [2, 4]) == (1.5 + 3) / 6
    assert auroc([0, 0], [0, 0, 0]) == 0.5
    assert auroc([0, 1], [2]) == 1


@pytest.mark.parametrize("function", [auroc, roc_curve])
@pytest.mark.parametrize("scores", [([], [1.0]), ([1.0], [])])
def test_refuses_an_empty_side(
    function: Callable[[list[float], list[float]], object], scores: tuple[list[float], list[float]]
) -> None:
    with pytest.raises(ValueError, match="at least one"):
        function(*scores)
