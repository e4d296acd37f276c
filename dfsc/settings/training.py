"""What shapes a model beside images, teacher and code. Source: Batzner et al. 2024, algorithm 1; DFSC's is inferred."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Lt

from dfsc.settings.leaves import (
    Count,
    ImageSize,
    Leaves,
    NotNegative,
    Positive,
    Quantile,
    Seed,
    Share,
    Size,
    TrainingPrecision,
)


@dataclass(frozen=True)
class DfscReading(Leaves):
    """How the parts of DFSC that its paper leaves open are read. All inferred."""

    margin: Positive  # m, in normalised units of the distance
    novel_weight: NotNegative  # w, of the margin's part of the loss
    split_unit: Literal["element", "position"]  # position: the mean over channels is split
    distance: Literal["squared", "root"]  # what the margin is compared with
    autoencoder_loss_over: Literal["similar", "all"]  # the elements that L_AE averages


@dataclass(frozen=True)
class DfscSettings(DfscReading):
    """One DFSC."""

    quantile: Quantile  # tau': elements at or above this quantile of the distance are novel


@dataclass(frozen=True)
class TrainingRecipe(Leaves):
    """What all models of a configuration share."""

    image_size: ImageSize
    steps: Count
    batch_size: Count  # images
    learning_rate: Positive  # of Adam
    weight_decay: NotNegative
    learning_rate_drop_after: Share  # of the steps
    learning_rate_drop_factor: Positive
    hard_quantile: Share  # of L_hard
    jitter: Annotated[float, Ge(0), Lt(1)]  # brightness, contrast or saturation is scaled by U(1 - jitter, 1 + jitter)
    penalty_grey_probability: Share
    precision: TrainingPrecision
    compiled: bool  # on CUDA


@dataclass(frozen=True)
class TrainingSettings(TrainingRecipe):
    """Everything, beside images, teacher and code, that shapes a model's weights."""

    size: Size
    seed: Seed
    dfsc: DfscSettings | None  # None is the baseline
