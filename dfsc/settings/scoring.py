"""What shapes anomaly maps and image scores beside the model."""

from dataclasses import dataclass
from typing import Literal

from dfsc.settings.leaves import Count, Leaves, Precision

Padding = Literal["zero", "minimum", "replicate"]  # of a map's 4 border cells; zero as published


@dataclass(frozen=True)
class ScoringRecipe(Leaves):
    """How all models of a configuration are used."""

    padding: Padding
    precision: Precision


@dataclass(frozen=True)
class ScoringSettings(ScoringRecipe):
    """How a model is used; what has a default is otherwise in Table 7 alone."""

    calibration_images: Count | None = None  # the first validation images, which alone scale the maps; without, all
    best_on_test: bool = False  # of the checkpoints in a model's file, that with the best AUROC of the test images
