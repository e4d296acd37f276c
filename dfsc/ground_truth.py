"""The test images of a category and their annotated regions, in MVTec LOCO AD's layout (see `dfsc.data`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dfsc.data import ANOMALY_TYPES, TEST_FOLDERS, decode_image
from dfsc.errors import UserError
from dfsc.metrics.spro import saturation_area


@dataclass(frozen=True)
class LabelledImage:
    """A test image: `folder` is 'good' or its anomaly type; size in pixels."""

    folder: str
    stem: str
    width: int
    height: int

    @property
    def path(self) -> str:
        """Path below the category's folder, for example 'test/good/000.png'."""
        return f"test/{self.folder}/{self.stem}.png"


@dataclass(frozen=True)
class Region:
    """One annotated region: `mask` bool [height, width], saturation area in pixels (>= 1), the defect's name."""

    mask: NDArray[np.bool_]
    saturation_area: int
    defect_name: str


def list_test_images(category_folder: Path) -> list[LabelledImage]:
    """The test images of a category, by folder, then by name. Only the files' headers are read.

    Raises UserError naming the folder or file: a folder without images, a file that is no image, a folder of masks
    without an image.
    """
    images = []
    for folder in TEST_FOLDERS:
        files = sorted((category_folder / "test" / folder).glob("*.png"))
        if not files and folder == "good":
            raise UserError(f"{category_folder / 'test' / folder}: holds no PNG image; the metrics need at least one")
        images += [LabelledImage(folder, file.stem, *image_size(file)) for file in files]
        masks = {entry.name for entry in (category_folder / "ground_truth" / folder).glob("*/")}
        for stem in sorted(masks - {file.stem for file in files}):
            raise UserError(
                f"{category_folder / 'ground_truth' / folder / stem}: holds masks, but there is no image "
                f"{category_folder / 'test' / folder / stem}.png"
            )
    if not any(image.folder in ANOMALY_TYPES for image in images):
        raise UserError(f"{category_folder / 'test'}: holds no anomalous PNG image; the metrics need at least one")
    return images


def read_regions(
    category_folder: Path, image: LabelledImage, defects: Mapping[int, Mapping[str, object]]
) -> list[Region]:
    """The regions of an image, one per mask file, by file name; none for a good image.

    `defects` is what `dfsc.data.read_defects` returns. Raises UserError naming the file: no mask, a mask of another
    size than its image, with several grey values or none besides 0, or whose grey value `defects` does not hold.
    """
    if image.folder not in ANOMALY_TYPES:
        return []
    folder = category_folder / "ground_truth" / image.folder / image.stem
    files = sorted(folder.glob("*.png"))
    if not files:
        raise UserError(f"{image.path}: has no mask; expected at least one PNG in {folder}")
    return [_read_region(file, image, defects) for file in files]


def _read_region(file: Path, image: LabelledImage, defects: Mapping[int, Mapping[str, object]]) -> Region:
    grey = np.asarray(decode_image(file, "L"))
    if grey.shape != (image.height, image.width):
        raise UserError(
            f"{file}: is {grey.shape[1]} x {grey.shape[0]} pixels, but its image {image.path} is "
            f"{image.width} x {image.height}"
        )
    value = int(grey.max())
    mask = grey == value
    if value == 0 or np.count_nonzero(mask) != np.count_nonzero(grey):
        raise UserError(
            f"{file}: holds {len(set(np.unique(grey)) - {0})} grey values besides 0; a mask has exactly one"
        )
    if value not in defects:
        raise UserError(f"{file}: grey value {value} has no entry in defects_config.json")
    entry = defects[value]
    threshold, area = entry["saturation_threshold"], int(np.count_nonzero(mask))
    if not isinstance(threshold, int | float) or threshold < 0:
        raise UserError(
            f"defects_config.json: saturation_threshold of pixel_value {value} is {threshold!r}, not a number from 0 up"
        )
    return Region(mask, saturation_area(area, threshold, bool(entry["relative_saturation"])), str(entry["defect_name"]))


def image_size(file: Path) -> tuple[int, int]:
    try:
        with Image.open(file) as image:
            return image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{file}: image cannot be read ({error}); replace the file") from error
