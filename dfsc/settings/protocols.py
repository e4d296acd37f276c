"""Deviations from EfficientAD's protocol that are found in public code; each becomes a method, for Table 7."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

from annotated_types import Ge

from dfsc.settings.leaves import Count, FilePath, Leaves, PretrainingSource
from dfsc.settings.scoring import Padding


@dataclass(frozen=True)
class PenaltyImages(Leaves):
    """Penalty images that are not those of the teacher."""

    images: PretrainingSource
    folder: FilePath
    first: Count | None = None  # only so many of them, in the order of their paths; without, all


@dataclass(frozen=True)
class Protocols(Leaves):
    """Which deviations are compared with EfficientAD as published; without a key, that one is not."""

    no_penalty: bool = False  # trained without penalty images
    other_penalty: PenaltyImages | None = None  # trained with other penalty images
    checkpoints: Annotated[int, Ge(2)] | None = None  # of a training; that with the best test AUROC is used
    calibration_images: Count | None = None  # validation images that scale the maps; published: all
    paddings: list[Padding] = field(default_factory=list)  # of the maps, in place of `inference.padding`


class Deviation(NamedTuple):
    """One deviation: part of a method's name, what people read of it, and the leaf that it changes, with its value."""

    name: str
    words: str
    protocol: dict[str, Any]


def deviations(section: Mapping[str, Any]) -> Iterator[Deviation]:
    """Those that the configuration's `protocols` asks for, each alone."""
    if section.get("no_penalty"):
        yield Deviation("no_penalty", "no penalty images", {"penalty": False})
    if other := section.get("other_penalty"):
        source = other["images"] + (f", the first {other['first']}" if other.get("first") else "")
        yield Deviation("other_penalty", f"penalty images: {source}", {"penalty_images": source})
    if count := section.get("checkpoints"):
        words = f"best of {count} checkpoints on the test images"
        yield Deviation(f"checkpoints_{count}", words, {"checkpoints": count})
    if count := section.get("calibration_images"):
        words = f"map quantiles from {count} validation image{'s' if count > 1 else ''}"
        yield Deviation(f"calibration_images_{count}", words, {"calibration_images": count})
    for padding in section.get("paddings", []):
        yield Deviation(f"padding_{padding}", f"padding: {padding}", {"padding": padding})
