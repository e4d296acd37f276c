"""Folders in MVTec AD's layout (Bergmann et al., CVPR 2019), arranged in LOCO's so that all else works on them.

MVTec AD has structural defects only, no validation split, and one mask per image:
    <category>/train/good/NNN.png  test/{good,<defect>}/NNN.png  ground_truth/<defect>/NNN_mask.png
"""

import os
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from dfsc.data.ground_truth import read_mask, refuse_large
from dfsc.data.images import image_files, image_size, require_folders, visible
from dfsc.errors import UserError
from dfsc.files import folder_written_whole, write_json

VALIDATION_EVERY = 10  # every tenth training image validates: the share that EfficientAD takes on MVTec AD
EIGHT_NEIGHBOURS = np.ones((3, 3), int)  # regions as PRO counts them: connected, corners included
MASK = "_mask"  # ends the name of a mask, before its ending


def arrange(category_folder: Path, output: Path, mask_threshold: int | None = None, large_masks: bool = False) -> None:
    """Write `output`, a category in LOCO's layout, from one in MVTec AD's; images are linked where that is possible.

    Each connected region of a mask becomes one of LOCO's masks, with the whole region as saturation area, so that
    sPRO is MVTec AD's PRO. A mask holds 0 and one other value; with `mask_threshold`, grey values from there on are
    defect. Raises UserError naming the folder or file that is missing or would be left out, a mask that
    `dfsc.data.ground_truth.read_mask` refuses, and one of more than half of its image unless `large_masks`.
    """
    require_folders(category_folder, ("train", "test", "ground_truth"), files=True)
    require_folders(category_folder / "train", ["good"])
    training = image_files(category_folder / "train" / "good")
    if len(training) < VALIDATION_EVERY:
        raise UserError(
            f"{category_folder / 'train/good'}: holds {len(training)} images; at least "
            f"{VALIDATION_EVERY} are needed, since every tenth validates"
        )
    defects = [entry.name for entry in visible(category_folder / "test") if entry.name != "good"]
    if not defects:
        raise UserError(f"{category_folder / 'test'}: holds no folder of defective images")
    require_folders(category_folder / "ground_truth", defects)
    test = {folder: _test_images(category_folder, folder) for folder in ("good", *defects)}
    with folder_written_whole(output) as folder:
        for number, image in enumerate(training):
            split = "validation" if number % VALIDATION_EVERY == 0 else "train"
            _link(image, folder / split / "good" / image.name)
        for image in test["good"]:
            _link(image, folder / "test" / "good" / image.name)
        for number, defect in enumerate(defects):
            masks = _masks(category_folder / "ground_truth" / defect, test[defect])
            for image, mask in zip(test[defect], masks, strict=True):
                name = f"{defect}_{image.stem}"
                grey = read_mask(mask, image_size(image), str(image), mask_threshold)
                if not large_masks:
                    refuse_large(mask, grey > 0)
                _write_regions(grey, folder / "ground_truth" / "structural_anomalies" / name, 255 - number)
                _link(image, folder / "test" / "structural_anomalies" / f"{name}{image.suffix}")
        write_json(
            folder / "defects_config.json",
            [
                {
                    "defect_name": defect,
                    "pixel_value": 255 - number,
                    "saturation_threshold": 1.0,
                    "relative_saturation": True,
                }
                for number, defect in enumerate(defects)
            ],
        )


def _test_images(category_folder: Path, folder: str) -> list[Path]:
    path = category_folder / "test" / folder
    if path.is_file():
        raise UserError(f"{path}: would be left out; {path.parent} holds only folders, one per defect and good")
    images = image_files(path)
    if not images:
        raise UserError(f"{path}: holds no image; the metrics need at least one")
    return images


def _masks(folder: Path, images: list[Path]) -> list[Path]:
    """The masks of `images`, in their order, in any format."""
    masks = {mask.stem: mask for mask in image_files(folder)}
    for image in images:
        if image.stem + MASK not in masks:
            raise UserError(f"{folder / (image.stem + MASK)}.png: mask is missing")
    if surplus := sorted(set(masks) - {image.stem + MASK for image in images}):
        raise UserError(f"{masks[surplus[0]]}: is the mask of no image; it should be named as one, with {MASK}")
    return [masks[image.stem + MASK] for image in images]


def _write_regions(grey: NDArray[np.integer], folder: Path, grey_value: int) -> None:
    labels, count = ndimage.label(grey > 0, EIGHT_NEIGHBOURS)
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise UserError(f"{folder.name}: two images get this name, <folder>_<image>; rename one of them") from error
    for region in range(count):
        Image.fromarray(((labels == region + 1) * grey_value).astype(np.uint8)).save(folder / f"{region:03d}.png")


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
