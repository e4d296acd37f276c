"""The exact saturated per-region overlap (sPRO) curve of Bergmann et al., IJCV 2022, and the area under it.

The curve has one point (FPR, mean sPRO) per distinct score. The mean sPRO changes only at scores of region pixels, so
of the pixels outside the regions ("negatives") only their number above, and at or above, each such score matters.
They are counted portion by portion and never held together. Between two neighbouring scores of region pixels the
curve is flat; at a score that region pixels and negatives share it rises in a straight line.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FPR_LIMITS = (0.01, 0.05, 0.1, 0.3, 1.0)
HEADLINE_LIMIT = 0.05  # as in Bergmann et al., IJCV 2022

Scores = NDArray[np.floating[Any]]
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class RegionScores:
    """The scores [k] in a region that can change its sPRO, ascending: the `saturation_area` highest, or all."""

    scores: Scores
    saturation_area: int


def saturation_area(area: int, threshold: float, relative: bool) -> int:
    """Number of pixels that count as the whole region of `area` pixels (official evaluator v2.0).

    `int(threshold * area)` if `relative`, else `min(threshold, area)`; at least 1. The lower bound is ours: the
    official evaluator would divide by zero where a small relative threshold rounds down to no pixel at all.
    """
    return max(int(threshold * area) if relative else int(min(threshold, area)), 1)


def region_scores(anomaly_map: Scores, mask: NDArray[np.bool_], saturation_area: int) -> RegionScores:
    """What the curve needs of one region: `anomaly_map` [h, w], `mask` [h, w], `saturation_area` in pixels (>= 1).

    Raises ValueError for an empty region or a saturation area below 1.
    """
    inside = np.sort(anomaly_map[mask])
    if not inside.size or saturation_area < 1:
        raise ValueError("a region needs at least one pixel and a saturation area of at least one")
    return RegionScores(inside[-saturation_area:].copy(), saturation_area)


class SproAccumulator:
    """Counts negatives above, and at or above, every distinct score of the regions; then gives the curves."""

    def __init__(self, regions: Sequence[RegionScores]) -> None:
        """Raises ValueError if there is no region."""
        if not regions:
            raise ValueError("the sPRO curve needs at least one region")
        self._saturation_areas = [region.saturation_area for region in regions]
        self._thresholds = np.unique(np.concatenate([region.scores for region in regions]))
        self._positions = [np.searchsorted(self._thresholds, region.scores).astype(np.int32) for region in regions]
        self._above = np.zeros(self._thresholds.size, np.int64)
        self._at_or_above = np.zeros(self._thresholds.size, np.int64)
        self._negatives = 0
        self._lock = threading.Lock()

    def add(self, negatives: Scores) -> None:
        """Count `negatives` [n], sorted ascending; from any thread. Many at once are cheaper than few at a time."""
        if not negatives.size:
            return
        below = np.searchsorted(negatives, self._thresholds, "left")
        not_above = below.copy()
        tied = negatives[np.minimum(below, negatives.size - 1)] == self._thresholds
        not_above[tied] = np.searchsorted(negatives, self._thresholds[tied], "right")
        with self._lock:
            self._above += negatives.size - not_above
            self._at_or_above += negatives.size - below
            self._negatives += negatives.size

    def curve(self, chosen: Sequence[int] | None = None) -> Curve:
        """The curve of all regions, or of those `chosen` by number: FPR and mean sPRO, float64 [p], in [0, 1].

        Both never fall; the first point is (0, 0), a threshold above every score, the last has FPR 1.
        Raises ValueError if no negative was counted.
        """
        if not self._negatives:
            raise ValueError("the false positive rate needs at least one pixel outside the regions")
        numbers = range(len(self._positions)) if chosen is None else chosen
        gains = [1 / (self._saturation_areas[number] * len(numbers)) for number in numbers]
        positions = [self._positions[number] for number in numbers]
        gain = np.bincount(np.concatenate(positions), np.repeat(gains, [position.size for position in positions]))
        changes = np.flatnonzero(gain)[::-1]
        overlap = np.minimum(np.cumsum(gain[changes]), 1)

        fpr, spro = np.ones(2 * changes.size + 2), np.zeros(2 * changes.size + 2)
        fpr[0] = 0
        fpr[1:-1:2] = self._above[changes] / self._negatives
        fpr[2:-1:2] = self._at_or_above[changes] / self._negatives
        spro[2:-1:2] = spro[3::2] = overlap
        return fpr, spro


def spro_curve(
    maps: Sequence[Scores], masks: Sequence[Sequence[NDArray[np.bool_]]], saturation_areas: Sequence[Sequence[int]]
) -> Curve:
    """The exact curve over every distinct score of maps held in memory: FPR and mean sPRO, float64 [p], in [0, 1].

    Per image: an anomaly map [h, w], any real dtype, finite, of any size; the masks of its regions, bool [h, w], none
    for a good image, overlaps allowed; the regions' saturation areas in pixels (>= 1).
    The FPR is over all pixels outside the union of their image's regions.
    Raises ValueError if there is no region, an empty one, or no pixel outside the regions.
    """
    per_image = list(zip(maps, masks, saturation_areas, strict=True))
    regions = [
        region_scores(anomaly_map, mask, area)
        for anomaly_map, image_masks, areas in per_image
        for mask, area in zip(image_masks, areas, strict=True)
    ]
    accumulator = SproAccumulator(regions)
    for anomaly_map, image_masks, _ in per_image:
        inside = np.logical_or.reduce(image_masks) if len(image_masks) else np.zeros(anomaly_map.shape, bool)
        accumulator.add(np.sort(anomaly_map[~inside]))
    return accumulator.curve()


def au_spro(fpr: NDArray[np.float64], spro: NDArray[np.float64], limit: float) -> float:
    """Area under the curve by the trapezoid rule for FPR in [0, `limit`], divided by `limit`; in [0, 1].

    The curve is interpolated linearly at the limit (official evaluator v2.0). Raises ValueError if the limit lies
    outside (0, 1].
    """
    if not 0 < limit <= 1:
        raise ValueError(f"FPR limit {limit} lies outside (0, 1]")
    inside = int(np.searchsorted(fpr, limit, "right"))
    area = np.trapezoid(spro[:inside], fpr[:inside])
    at_limit = spro_at(fpr, spro, np.array([limit]))[0]
    return float(area + (limit - fpr[inside - 1]) * (spro[inside - 1] + at_limit) / 2) / limit


def spro_at(fpr: NDArray[np.float64], spro: NDArray[np.float64], rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean sPRO at the false positive rates `rates` [k], interpolated linearly; the upper end of steps."""
    right = np.minimum(np.searchsorted(fpr, rates, "right"), fpr.size - 1)
    left = np.searchsorted(fpr, rates, "right") - 1
    width = fpr[right] - fpr[left]
    fraction = np.divide(rates - fpr[left], width, out=np.zeros(rates.size), where=width > 0)
    return np.asarray(spro[left] + fraction * (spro[right] - spro[left]))
