"""What a training is measured with: the benchmark's own teacher and images where they are there, else stand-ins.

No time depends on what weights and pixels hold. A penalty image's does depend on its size in pixels: stand-ins have the
usual size of ImageNet's.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from dfsc.data.images import image_files, load_images
from dfsc.data.layout import REQUIRED_FOLDERS
from dfsc.data.pretraining_images import CACHE_BYTES, PretrainingImages, write_index
from dfsc.model.networks import SIZES, pdn
from dfsc.model.saved import load_teacher
from dfsc.settings.grid import teacher_path

IMAGES = 4  # training images: what is kept of each is kept after as many steps, as for most of a training
PICTURES = 32  # penalty images that are drawn; they are listed again and again
IMAGENET_SIZE = (500, 375)  # usual width and height in pixels


def write_pictures(folder: Path, ending: str, number: int, size: tuple[int, int]) -> list[Path]:
    """Write smooth random pictures, `size` (width, height) in pixels, in the format of `ending` ('jpg')."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    paths = [folder / f"{index:03d}.{ending}" for index in range(number)]
    for path in paths:
        coarse = Image.fromarray(random.integers(0, 256, (40, 60, 3), np.uint8))
        coarse.resize(size, Image.Resampling.BICUBIC).save(path)
    return paths


def training_images(config: Mapping[str, Any]) -> tuple[NDArray[np.uint8], bool]:
    """A few training images, uint8 [n, s, s, 3], and whether they are the benchmark's own."""
    side = config["training"]["image_size"]
    files = image_files(Path(config["dataset"]["folder"], config["dataset"]["categories"][0], REQUIRED_FOLDERS[0]))
    if files:
        return load_images(files[:IMAGES], side), True
    return np.random.default_rng(0).integers(0, 256, (IMAGES, side, side, 3), np.uint8), False


def penalty_images(config: Mapping[str, Any], work: Path) -> tuple[PretrainingImages, bool]:
    """Penalty images, and whether they are the benchmark's own; stand-ins and the list of either go to `work`.

    A set so large that a training keeps none of its images in memory is as large here. Of a smaller one, a few images
    are listed, which are soon kept, as they are for most of a training. Raises UserError as `write_index` does.
    """
    section, side = config["pretraining"], config["training"]["image_size"]
    folder, too_many = Path(section["folder"]), CACHE_BYTES // (3 * side**2) + 1
    own = folder.is_dir()
    if not own:
        folder = work / "pictures"
        write_pictures(folder, "jpg", PICTURES, IMAGENET_SIZE)
    write_index(folder, section["images"], work / "index", too_many)
    listed = PretrainingImages(work / "index", folder)
    if not own:
        drawn = config["dataset"]["generated"]["pretraining"] if section["images"] == "generated" else too_many
        listed.paths = (listed.paths * drawn)[:drawn]
    if len(listed) < too_many:
        del listed.paths[IMAGES:]
    return listed, own


def teacher_weights(config: Mapping[str, Any], size: str) -> tuple[dict[str, Tensor], bool]:
    """A teacher's weights, and whether they are the benchmark's own. Raises UserError naming a damaged file."""
    path = Path("results", config["benchmark"], teacher_path(size), "teacher.pt")
    if path.exists():
        return load_teacher(path, size), True
    torch.manual_seed(0)
    return pdn(SIZES[size], SIZES[size].output).state_dict(), False
