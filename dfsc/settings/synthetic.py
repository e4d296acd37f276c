"""How many images the generated data set has."""

from dataclasses import dataclass

from dfsc.settings.leaves import Count, Leaves, Seed


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
