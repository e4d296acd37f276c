"""What shapes a teacher beside images and code. Source: Batzner et al. 2024, appendix."""

from dataclasses import dataclass
from typing import Literal

from dfsc.settings.leaves import (
    Count,
    ImageSize,
    Leaves,
    Name,
    NotNegative,
    Positive,
    Seed,
    Share,
    Size,
    TrainingPrecision,
)

PublishedSize = Literal["S", "M"]
# In place of a published teacher's file: to be fetched, as config/sources.yaml lists it.
FETCH = "fetch"
PUBLISHED_SOURCES = {"S": "teacher_small", "M": "teacher_medium"}


@dataclass(frozen=True)
class TeacherRecipe(Leaves):
    """What all teachers of a configuration share."""

    backbone: Name  # of torchvision, or else of timm: any network with features at strides 8 and 16
    backbone_weights: Literal["imagenet", "random"]
    steps: Count
    batch_size: Count  # images
    learning_rate: Positive  # of Adam
    weight_decay: NotNegative
    grey_probability: Share  # that both views of an image turn grey
    normalisation_images: Count  # whose features give the target's channel mean and standard deviation
    precision: TrainingPrecision
    seed: Seed


@dataclass(frozen=True)
class TeacherSettings(TeacherRecipe):
    """Everything, beside images and code, that shapes a teacher's weights."""

    size: Size
    image_size: ImageSize  # the backbone sees twice that
