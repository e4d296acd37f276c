"""Small data sets drawn for tests: grey noise with a red square, in LOCO's layout or MVTec AD's; any image format."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dfsc.data.arranging import arrange
from dfsc.data.layouts import mvtec_ad
from dfsc.settings.own_images import SplitSettings

SIDE = 64
Pixels = NDArray[np.uint8]
Save = Callable[[Path, Pixels], None]
Name = Callable[[int], str]
HALVES = SplitSettings(validation=0.5, test=0.0, seed=0)


def save_as_it_is(path: Path, pixels: Pixels) -> None:
    """Write an image in the format of its ending, losslessly where that has a way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {".webp": {"lossless": True}}.get(path.suffix.lower(), {})
    Image.fromarray(pixels).save(path, **options)


def picture(random: np.random.Generator, defect: str = "") -> tuple[Pixels, NDArray[np.bool_]]:
    """An image [64, 64, 3] and its defect: 'structural' is a yellow spot, 'logical' the square gone."""
    pixels = random.integers(90, 130, (SIDE, SIDE, 3)).astype(np.uint8)
    pixels[20:40, 20:40] = (180, 60, 60)
    mask = np.zeros((SIDE, SIDE), bool)
    if defect == "structural":
        mask[8:14, 44:54] = True
        pixels[mask] = (250, 250, 20)
    if defect == "logical":
        mask[20:40, 20:40] = True
        pixels[mask] = random.integers(90, 130, (int(mask.sum()), 3))
    return pixels, mask


def plain_name(number: int) -> str:
    """000.png and so on."""
    return f"{number:03d}.png"


def loco_category(
    folder: Path,
    name: Name = plain_name,
    save: Save = save_as_it_is,
    *,
    train: int = 3,
    validation: int = 2,
    good: int = 2,
    anomalous: int = 2,
) -> Path:
    """Write a category in LOCO's layout, its images named by `name` and written by `save`; masks are PNG."""
    random = np.random.default_rng(0)
    for split, count in (("train/good", train), ("validation/good", validation), ("test/good", good)):
        for number in range(count):
            save(folder / split / name(number), picture(random)[0])
    for kind, value in (("logical", 255), ("structural", 254)):
        for number in range(anomalous):
            pixels, mask = picture(random, kind)
            file = folder / f"test/{kind}_anomalies" / name(number)
            save(file, pixels)
            save_as_it_is(folder / f"ground_truth/{kind}_anomalies/{file.stem}/000.png", np.uint8(value) * mask)
    write_defects(folder)
    return folder


def write_defects(folder: Path, **changes: object) -> None:
    """Write defects_config.json of `loco_category`, the second entry changed; a change to None removes the key."""
    entries = [
        {"defect_name": name, "pixel_value": value, "saturation_threshold": 1.0, "relative_saturation": True}
        for name, value in (("missing", 255), ("spot", 254))
    ]
    entries[1] = {key: value for key, value in {**entries[1], **changes}.items() if value is not None}
    (folder / "defects_config.json").write_text(json.dumps(entries))


def mvtec_ad_category(folder: Path, name: Name = plain_name, save: Save = save_as_it_is) -> Path:
    """Write a category in MVTec AD's layout: 10 training images, two good ones and two with a spot."""
    random = np.random.default_rng(0)
    for split, count in (("train/good", 10), ("test/good", 2)):
        for number in range(count):
            save(folder / split / name(number), picture(random)[0])
    for number in range(2):
        pixels, mask = picture(random, "structural")
        file = folder / "test/spot" / name(number)
        save(file, pixels)
        save_as_it_is(folder / f"ground_truth/spot/{file.stem}_mask.png", np.uint8(255) * mask)
    return folder


def arrange_mvtec_ad(folder: Path, output: Path, mask_threshold: int | None = None) -> None:
    """Arrange a category in MVTec AD's layout in LOCO's; about half of its training images validate."""
    arrange(mvtec_ad(folder), output, HALVES, mask_threshold)
