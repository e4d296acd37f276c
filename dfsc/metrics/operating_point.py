"""Operating points: how many images are judged wrong at a threshold, and whether another method judges them better.

All models of a category see the same test images. So an image counts once, however many seeds there are: more seeds
make the numbers of wrong verdicts steadier, but they are no more images. What is said holds for the models at hand and
the test images that could have been taken; of other seeds it says nothing.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfsc.metrics.statistics import CONFIDENCE

RATES = (0.01, 0.05, 0.1)  # false-alarm rates that are promised, and then compared with the real ones
HEADLINE_RATE = 0.05


class Comparison(NamedTuple):
    """Images that one method judges right more often than the other, and conversely; the p-value of the exact test."""

    better: int
    worse: int
    p_value: float


def rejected(scores: ArrayLike, threshold: float) -> NDArray[np.bool_]:
    """Whether each image is rejected: its score lies above the threshold. bool of the scores' shape."""
    return np.asarray(scores, np.float64) > threshold


def exact_interval(wrong: float, images: int) -> tuple[float, float]:
    """The 95 % interval of a share, in 0..1, of which `wrong` in 0..images were seen among `images` >= 1.

    Source: Clopper & Pearson 1934, by quantiles of the beta distribution. `wrong` may be a mean over seeds, and then is
    no whole number: a mean of several verdicts on an image varies no more than one verdict of the same mean.
    """
    from scipy.stats import beta

    tail = (1 - CONFIDENCE) / 2
    low = beta.ppf(tail, wrong, images - wrong + 1) if wrong > 0 else 0.0
    high = beta.isf(tail, wrong + 1, images - wrong) if wrong < images else 1.0
    return float(low), float(high)


def compare_verdicts(right: ArrayLike, baseline: ArrayLike) -> Comparison:
    """Two methods' verdicts on the same images, bool [pairs, images]: whether each is right.

    An image is for the method that judges it right with more of the seeds; one without difference counts for neither.
    The test is the exact sign test of these images: with one pair, McNemar's exact test of the discordant ones.
    """
    from scipy.stats import binomtest

    more = np.asarray(right, int).sum(axis=0) - np.asarray(baseline, int).sum(axis=0)
    better, worse = int((more > 0).sum()), int((more < 0).sum())
    return Comparison(better, worse, float(binomtest(better, better + worse).pvalue) if better + worse else 1.0)


def verdict_counts(
    scores: Mapping[str, NDArray[np.float64]], of_defect: Mapping[str, Mapping[str, ArrayLike]], threshold: float
) -> dict[str, object]:
    """What metrics.json says of a threshold: the numbers of false alarms, of missed images, and of those found.

    scores: 'good' or anomaly type -> image scores. of_defect: anomaly type -> defect -> scores of the images with it.
    """
    return {
        "threshold": threshold,
        "false_alarms": int(rejected(scores["good"], threshold).sum()),
        "missed": {
            kind: int((~rejected(values, threshold)).sum()) for kind, values in scores.items() if kind != "good"
        },
        "found_per_defect": {
            kind: {name: int(rejected(values, threshold).sum()) for name, values in defects.items()}
            for kind, defects in of_defect.items()
        },
    }
