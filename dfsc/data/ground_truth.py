"""The test images of a category and their annotated regions, in MVTec LOCO AD's layout (see `dfsc.data.layout`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dfsc.data.images import decode_grey, image_files, image_size, require_folders, visible
from dfsc.data.layout import ANOMALY_TYPES, TEST_FOLDERS, Defect
from dfsc.errors import UserError
from dfsc.metrics.spro import saturation_area

LARGE = 0.5  # share of a mask's pixels: more is as likely the normal part, marked by mistake


@dataclass(frozen=True)
class LabelledImage:
    """A test image: `folder` is 'good' or its anomaly type; `name` is its file's; size in pixels, upright.

    has_masks: whether its regions are known; if not, no more is known of it than that it is anomalous.
    """

    folder: str
    name: str
    width: int
    height: int
    has_masks: bool

    @property
    def stem(self) -> str:
        """Name without ending: that of its folder of masks, and of its anomaly map."""
        return Path(self.name).stem

    @property
    def path(self) -> str:
        """Path below the category's folder, for example 'test/good/000.png'."""
        return f"test/{self.folder}/{self.name}"


@dataclass(frozen=True)
class Region:
    """One annotated region: `mask` bool [height, width], saturation area in pixels (>= 1), the defect's name."""

    mask: NDArray[np.bool_]
    saturation_area: int
    defect_name: str


def list_test_images(category_folder: Path) -> list[LabelledImage]:
    """The test images of a category, by folder, then by name. Only the files' headers are read.

    All images of an anomaly type have masks, or none has: then no folder of masks is there for the type.
    Raises UserError naming the folder or file: no good images, a file that is no image, masks without an image, and
    whatever would be left out (see `dfsc.data.images`).
    """
    require_folders(category_folder / "test", TEST_FOLDERS)
    require_folders(category_folder / "ground_truth", ANOMALY_TYPES)
    images = []
    for folder in TEST_FOLDERS:
        files = image_files(category_folder / "test" / folder)
        if not files and folder == "good":
            raise UserError(f"{category_folder / 'test' / folder}: holds no image; the metrics need at least one")
        mask_folders = visible(category_folder / "ground_truth" / folder)
        images += [LabelledImage(folder, file.name, *image_size(file), bool(mask_folders)) for file in files]
        stems = {file.stem for file in files}
        for masks in mask_folders:
            if not masks.is_dir():
                raise UserError(f"{masks}: would be left out; masks lie in a folder that is named as their image")
            if masks.name not in stems:
                raise UserError(
                    f"{masks}: holds masks, but there is no image of that name in {category_folder / 'test' / folder}"
                )
    return images


def mask_files(category_folder: Path, folder: str, stem: str) -> list[Path]:
    """The masks of a test image of `folder`, one file per region, by name; none for a good image."""
    return image_files(category_folder / "ground_truth" / folder / stem) if folder in ANOMALY_TYPES else []


def read_regions(category_folder: Path, image: LabelledImage, defects: Mapping[int, Defect]) -> list[Region]:
    """The regions of an image, one per mask file, by file name; none for one without masks.

    `defects` is what `dfsc.data.layout.read_defects` returns. Raises UserError naming the file: no mask where others of
    the type have some, a mask of another size than its image, with several grey values or none besides 0, or whose grey
    value `defects` lacks.
    """
    files = mask_files(category_folder, image.folder, image.stem)
    if not files and image.has_masks:
        folder = category_folder / "ground_truth" / image.folder / image.stem
        raise UserError(
            f"{image.path}: has no mask; expected at least one image in {folder}, since other {image.folder} have masks"
        )
    return [_read_region(file, image, defects) for file in files]


def read_mask(file: Path, size: tuple[int, int], image: str, threshold: int | None = None) -> NDArray[np.integer]:
    """A mask's grey values, [height, width]: 0, and one other. With `threshold`: 0 below it, and 255 from it on.

    `size` is the width and height of its image, `image` what that is called. Raises UserError naming the file if its
    size differs, if it holds several grey values besides 0 or none, or colours.
    """
    grey = decode_grey(file)
    height, width = grey.shape
    if (width, height) != size:
        raise UserError(f"{file}: is {width} x {height} pixels, but its image {image} is {size[0]} x {size[1]}")
    if threshold is not None:
        grey = np.where(grey >= threshold, np.uint8(255), np.uint8(0))
    if not grey.any():
        least = "" if threshold is None else f", as no value reaches the threshold {threshold}"
        raise UserError(f"{file}: marks nothing{least}; the image {image} has no defect, or its mask is another one")
    if np.count_nonzero(grey == grey.max()) != np.count_nonzero(grey):
        raise UserError(
            f"{file}: holds {len(set(np.unique(grey)) - {0})} grey values besides 0; a mask has exactly one (outside "
            "LOCO's layout, `mask_threshold` in `dataset` says from which value on grey is defect)"
        )
    return grey


def refuse_large(file: Path, mask: NDArray[np.bool_]) -> None:
    """Raise UserError naming the file if more than half of the image is marked: 0 is normal, so it may be inverted."""
    if (share := np.count_nonzero(mask) / mask.size) > LARGE:
        raise UserError(
            f"{file}: marks {share:.0%} of the image as defect; invert it if it marks the normal part, else allow it "
            "with `large_masks: true` in `dataset`, or --large-masks"
        )


def _read_region(file: Path, image: LabelledImage, defects: Mapping[int, Defect]) -> Region:
    grey = read_mask(file, (image.width, image.height), image.path)
    value, mask = int(grey.max()), grey > 0
    if value not in defects:
        raise UserError(f"{file}: grey value {value} has no entry in defects_config.json")
    defect, area = defects[value], int(np.count_nonzero(mask))
    saturation = saturation_area(area, defect.saturation_threshold, defect.relative_saturation)
    return Region(mask, saturation, defect.defect_name)
