"""Images of one's own: where those of a category lie, and how its good images are split."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Lt, MinLen

from dfsc.settings.leaves import FilePath, Leaves, Pattern, Seed, Share

DefectName = Annotated[str, Pattern(r"^[A-Za-z0-9_]+([ .-]+[A-Za-z0-9_]+)*$")]  # part of file names and of metrics
Part = Annotated[Share, Lt(1)]


@dataclass(frozen=True)
class BadImages(Leaves):
    """Images that show one defect."""

    images: FilePath
    type: Literal["logical", "structural", "untyped"] = "untyped"
    masks: FilePath | None = None  # one mask per image, of its name


@dataclass(frozen=True)
class OwnImages(Leaves):
    """Where the images of one category lie; a folder is read without its sub-folders."""

    good: Annotated[list[FilePath], MinLen(1)]
    test_good: list[FilePath] = field(default_factory=list)  # without, a share of the good ones is kept for testing
    bad: dict[DefectName, BadImages] = field(default_factory=dict)

    @property
    def folders(self) -> dict[str, str]:
        """Every folder, under a name that says what it is: 'good.0', 'bad.scratch.masks'."""
        found = {f"good.{number}": folder for number, folder in enumerate(self.good)}
        found |= {f"test_good.{number}": folder for number, folder in enumerate(self.test_good)}
        for name, bad in self.bad.items():
            found |= {f"bad.{name}.images": bad.images} | ({f"bad.{name}.masks": bad.masks} if bad.masks else {})
        return found


@dataclass(frozen=True)
class SplitSettings(Leaves):
    """Which good images validate and test, where folders do not say it; the others train."""

    validation: Part  # shares of the good images
    test: Part
    seed: Seed
