"""Image-level ROC curve and the area under it. Tied scores count half, as the definition asks."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def auroc(good: ArrayLike, anomalous: ArrayLike) -> float:
    """Probability that an anomalous image scores above a good one, ties counting half; in [0, 1].

    `good` [n] and `anomalous` [m] are image scores, higher means more anomalous; any real dtype.
    Equals scikit-learn's `roc_auc_score`, which takes too long for thousands of resamples. (The official evaluator v2.0
    takes tied scores in the order of the images instead, and so differs where an anomalous image ties with a good one.)
    Raises ValueError if either is empty.
    """
    good, anomalous = _checked(good, anomalous)
    ordered = np.sort(good)
    below = np.searchsorted(ordered, anomalous, "left").sum()
    not_above = np.searchsorted(ordered, anomalous, "right").sum()
    return float(below + not_above) / (2 * good.size * anomalous.size)


def roc_curve(good: ArrayLike, anomalous: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False and true positive rate at every distinct score, from (0, 0) to (1, 1): two float64 arrays.

    Arguments as for `auroc`; the trapezoid rule over the curve gives `auroc`. Raises ValueError if either is empty.
    """
    from sklearn import metrics  # takes seconds

    good, anomalous = _checked(good, anomalous)
    labels = np.repeat([0, 1], [good.size, anomalous.size])
    fpr, tpr, _ = metrics.roc_curve(labels, np.concatenate([good, anomalous]), drop_intermediate=False)
    return np.asarray(fpr, np.float64), np.asarray(tpr, np.float64)


def _checked(good: ArrayLike, anomalous: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    good, anomalous = np.asarray(good, dtype=np.float64), np.asarray(anomalous, dtype=np.float64)
    if not (good.size and anomalous.size):
        raise ValueError("AUROC needs at least one good and one anomalous image")
    return good, anomalous
