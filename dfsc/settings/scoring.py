"""What shapes anomaly maps and image scores beside the model."""

from dataclasses import dataclass
from typing import Literal

from dfsc.settings.leaves import Leaves, Precision

Padding = Literal["zero", "minimum", "replicate"]  # of a map's 4 border cells; zero as published


@dataclass(frozen=True)
class ScoringSettings(Leaves):
    """How a model is used."""

    padding: Padding
    precision: Precision
