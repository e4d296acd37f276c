"""The whole configuration. A section adds the grid, and where files are, to the leaves of its stage."""

from dataclasses import dataclass, field, fields, make_dataclass
from typing import Annotated, Literal

from annotated_types import MinLen

from dfsc.settings.leaves import (
    FilePath,
    Label,
    Leaves,
    MaskThreshold,
    Name,
    Pattern,
    PretrainingSource,
    Quantile,
    Seed,
    Size,
)
from dfsc.settings.outside import MethodName, OutsideMethod
from dfsc.settings.own_images import OwnImages, SplitSettings
from dfsc.settings.protocols import Protocols
from dfsc.settings.scoring import ScoringRecipe
from dfsc.settings.synthetic import SyntheticSettings
from dfsc.settings.teacher import PublishedSize, TeacherRecipe
from dfsc.settings.training import DfscReading, TrainingRecipe

# Some of the leaves of DfscReading; the quantile, if it is not the headline's; and what people call the reading.
Ablation = make_dataclass(
    "Ablation",
    [
        *((leaf.name, leaf.type, field(default=None)) for leaf in fields(DfscReading)),
        ("quantile", Quantile, field(default=None)),
        ("label", Label, field(default=None)),
    ],
    bases=(Leaves,),
    frozen=True,
)


@dataclass(frozen=True)
class DatasetSection(Leaves):
    """Which images, and where they are."""

    source: Literal["mvtec_loco", "generated", "folder", "images", "mvtec_ad", "mvtec_ad_2", "visa", "btad"]
    folder: FilePath  # holds one folder per category
    categories: Annotated[list[Name], MinLen(1)]
    split: SplitSettings  # of what is arranged: `images`, and data sets at `original`
    original: FilePath | None = None  # of mvtec_ad, mvtec_ad_2, visa, btad
    images: dict[Name, OwnImages] | None = None  # of images: category -> where its images are
    mask_threshold: MaskThreshold | None = None  # of what is arranged: grey values from which a mask shows a defect
    large_masks: bool = False  # most of an image may be a defect
    generated: SyntheticSettings | None = None


@dataclass(frozen=True)
class PretrainingSection(Leaves):
    """Images of the teacher and of the penalty loss."""

    images: PretrainingSource
    folder: FilePath


@dataclass(frozen=True)
class TeacherSection(TeacherRecipe):
    """How teachers are pretrained, or which published ones are taken over."""

    published: dict[PublishedSize, FilePath] = field(default_factory=dict)  # a file, or FETCH


@dataclass(frozen=True)
class TrainingSection(TrainingRecipe):
    """The grid of all methods, and how each model is trained."""

    sizes: Annotated[list[Size], MinLen(1)]
    seeds: Annotated[list[Seed], MinLen(1)]


@dataclass(frozen=True)
class DfscSection(DfscReading):
    """Which DFSC there are, and what all of them share."""

    quantiles: Annotated[list[Quantile], MinLen(1)]
    headline_quantile: Quantile  # which of them is compared with the baseline
    ablations: list[Ablation]  # type: ignore[valid-type]


@dataclass(frozen=True)
class TrackingSection(Leaves):
    """Where runs are tracked."""

    uri: Annotated[str, Pattern(r"^(sqlite:///|https?://|postgresql(\+[a-z0-9]+)?://).+$")]


@dataclass(frozen=True)
class Configuration(Leaves):
    """All sections."""

    benchmark: Name
    dataset: DatasetSection
    pretraining: PretrainingSection
    teacher: TeacherSection
    training: TrainingSection
    dfsc: DfscSection
    inference: ScoringRecipe
    tracking: TrackingSection
    methods: dict[MethodName, OutsideMethod] = field(default_factory=dict)  # from outside
    controls: list[Literal["random", "oracle"]] = field(default_factory=list)
    protocols: Protocols | None = None
