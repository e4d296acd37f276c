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

# What is watched of DFSC's constraint at each step, as columns of a training curve.
INSIDE_MARGIN = "inside_margin"  # share of the novel elements (or positions) whose distance is below the margin, 0..1
NOVEL_THRESHOLD = "novel_threshold"  # where the novel set begins, in the unit of the distance
WATCHED = (INSIDE_MARGIN, NOVEL_THRESHOLD)
INACTIVE_BELOW = 0.01  # a constraint is inactive if the share inside the margin, mean over all steps, is below it


@dataclass(frozen=True)
class DfscReading(Leaves):
    """How the parts of DFSC that its paper leaves open are read. All inferred."""

    margin: Positive  # m
    margin_unit: Literal["absolute", "threshold"]  # of the distance, or times the novel set's threshold
    novel_weight: NotNegative  # w, of the margin's part of the loss
    split_unit: Literal["element", "position"]  # position: the mean over channels is split
    distance: Literal["squared", "root", "norm"]  # compared with the margin; norm: L2 over a position's channels
    autoencoder_loss_over: Literal["similar", "all"]  # the elements that L_AE averages
    novel_loss_over: Literal["novel", "all"]  # the elements that L_novel averages; it is 0 at the similar ones

    def __post_init__(self) -> None:
        if self.distance == "norm" and self.split_unit != "position":
            raise ValueError("distance: norm is over the channels of a position, so split_unit must be position")


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
class TrainingProtocol(Leaves):
    """What a training does otherwise than published, as public code does; of Table 7 alone."""

    penalty: bool = True  # whether L_penalty is one of the losses
    checkpoints: Count = 1  # models that are kept of evenly spaced steps, the last one among them


@dataclass(frozen=True)
class TrainingSettings(TrainingRecipe):
    """Everything, beside images, teacher and code, that shapes a model's weights."""

    size: Size
    seed: Seed
    dfsc: DfscSettings | None  # None is the baseline
    protocol: TrainingProtocol | None = None  # None is as published
