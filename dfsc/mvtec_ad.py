"""Folders in MVTec AD's layout (Bergmann et al., CVPR 2019), arranged in LOCO's so that all else works on them.

MVTec AD has structural defects only, no validation split, and one mask per image:
    <category>/train/good/NNN.png  test/{good,<defect>}/NNN.png  ground_truth/<defect>/NNN_mask.png
"""

import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from dfsc.data import decode_image
from dfsc.errors import UserError
from dfsc.files import folder_written_whole, write_json

VALIDATION_EVERY = 10  # every tenth training image validates: the share that EfficientAD takes on MVTec AD
EIGHT_NEIGHBOURS = np.ones((3, 3), int)  # regions as PRO counts them: connected, corners included


def arrange(category_folder: Path, output: Path) -> None:
    """Write `output`, a category in LOCO's layout, from one in MVTec AD's; images are linked where that is possible.

    Each connected region of a mask becomes one of LOCO's masks, with the whole region as saturation area, so that
    sPRO is MVTec AD's PRO. Raises UserError naming the folder or file that is missing.
    """
    training = sorted((category_folder / "train" / "good").glob("*.png"))
    if len(training) < VALIDATION_EVERY:
        raise UserError(
            f"{category_folder / 'train/good'}: holds {len(training)} PNG images; at least "
            f"{VALIDATION_EVERY} are needed, since every tenth validates"
        )
    defects = sorted(path.name for path in (category_folder / "test").glob("*/") if path.name != "good")
    if not defects:
        raise UserError(f"{category_folder / 'test'}: holds no folder of defective images")
    with folder_written_whole(output) as folder:
        for number, image in enumerate(training):
            split = "validation" if number % VALIDATION_EVERY == 0 else "train"
            _link(image, folder / split / "good" / image.name)
        for image in sorted((category_folder / "test" / "good").glob("*.png")):
            _link(image, folder / "test" / "good" / image.name)
        for number, defect in enumerate(defects):
            for image in sorted((category_folder / "test" / defect).glob("*.png")):
                name = f"{defect}_{image.stem}"
                _link(image, folder / "test" / "structural_anomalies" / f"{name}.png")
                mask = category_folder / "ground_truth" / defect / f"{image.stem}_mask.png"
                _write_regions(mask, folder / "ground_truth" / "structural_anomalies" / name, 255 - number)
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


def _write_regions(mask: Path, folder: Path, grey_value: int) -> None:
    if not mask.is_file():
        raise UserError(f"{mask}: mask is missing")
    labels, count = ndimage.label(np.asarray(decode_image(mask, "L")) > 0, EIGHT_NEIGHBOURS)
    if count == 0:
        raise UserError(f"{mask}: marks no defect")
    folder.mkdir(parents=True)
    for region in range(count):
        Image.fromarray(((labels == region + 1) * grey_value).astype(np.uint8)).save(folder / f"{region:03d}.png")


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
