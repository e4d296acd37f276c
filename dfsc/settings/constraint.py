"""Which readings of DFSC can only give equal models."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from dfsc.settings.grid import Grid

BASELINE: dict[str, Any] = {}


def acting(dfsc: Mapping[str, Any] | None) -> dict[str, Any]:
    """Of the fields of DfscSettings, those that can shape a model; none where it can only be the baseline's."""
    if dfsc is None:
        return BASELINE
    found = dict(dfsc)
    # A novel element is at or above the threshold: a margin at or below it leaves none inside.
    off = found["novel_weight"] == 0 or (found["margin_unit"] == "threshold" and found["margin"] <= 1)
    if off and found["autoencoder_loss_over"] == "all":
        return BASELINE
    if off:
        for key in ("novel_weight", "novel_loss_over", "margin", "margin_unit", "distance"):
            del found[key]
    return found


def equal_models(grid: Grid) -> Iterator[str]:
    """A line for each two methods of one size that can only give equal models, whatever the images."""
    for one, other in combinations(
        [method for method in grid.methods if not (method.is_outside or method.protocol)], 2
    ):
        if one.size == other.size and acting(one.dfsc) == acting(other.dfsc):
            why = "the margin can never act there" if other.dfsc and other.dfsc["novel_weight"] else "novel_weight is 0"
            yield f"{other.name} can only equal {one.name}: {why}; leave one of them out"
