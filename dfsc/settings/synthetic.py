"""What the generated data set consists of."""

from dataclasses import dataclass
from typing import Literal, get_args

from dfsc.settings.leaves import Count, Leaves, Seed

CategoryName = Literal["coin_tray", "picture_wall", "dahlia_row", "cable_panel"]
CATEGORIES: tuple[CategoryName, ...] = get_args(CategoryName)
PRETRAINING = "pretraining"  # the folder of photographs beside those of the categories
PARTS = (*CATEGORIES, PRETRAINING)  # of the generated data set


@dataclass(frozen=True)
class SyntheticSettings(Leaves):
    """Images per category in each split, and photographs for pretraining."""

    seed: Seed
    train: Count
    validation: Count
    test_good: Count
    logical: Count
    structural: Count
    pretraining: Count
