"""Test images for the page: small and large views, where their defects are, and which defects those are."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from dfsc.data.ground_truth import LabelledImage, list_test_images, read_regions
from dfsc.data.images import decode_image
from dfsc.data.layout import Defect, read_defects
from dfsc.files import written_whole

SMALL, LARGE = 320, 800  # pixels of the longer side at most
QUALITY = {SMALL: 70, LARGE: 70}  # of WebP
MASK_COLOUR = (0, 229, 255)  # cyan: rare in photographs, and in no anomaly map
INSIDE, EDGE = 70, 255  # opacity of a mask, and of its edge
Progress = Callable[[int, int], None]


def write_images(category_folder: Path, output: Path, workers: int, progress: Progress) -> list[dict[str, Any]]:
    """Write the views of a category's test images into `output`; returns what the page says of each image, by path.

    <n>.webp is the small view of the n-th image, <n>.large.webp the large one, <n>.truth.png its regions, transparent
    elsewhere, at the small size. Raises UserError as `list_test_images` and `read_regions` do.
    """
    images = sorted(list_test_images(category_folder), key=lambda image: image.path)
    config = category_folder / "defects_config.json"
    defects = read_defects(config) if any(image.has_masks for image in images) else {}
    said: list[dict[str, Any]] = []
    with ThreadPoolExecutor(workers) as pool:
        made = pool.map(lambda place: _write_image(category_folder, place[1], defects, output, place[0]),
                        enumerate(images))  # fmt: skip
        for done, one in enumerate(made, start=1):
            said.append(one)
            progress(done, len(images))
    return said


def _write_image(
    folder: Path, image: LabelledImage, defects: dict[int, Defect], output: Path, number: int
) -> dict[str, Any]:
    decoded = decode_image(folder / image.path)
    small = decoded.size
    for side, ending in ((LARGE, "large.webp"), (SMALL, "webp")):
        decoded.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0)
        small = decoded.size
        with written_whole(output / f"{number}.{ending}") as temporary:
            decoded.save(temporary, format="WEBP", quality=QUALITY[side], method=2)
    regions = read_regions(folder, image, defects) if image.has_masks and image.folder != "good" else []
    if regions:
        union = np.logical_or.reduce([region.mask for region in regions])
        with written_whole(output / f"{number}.truth.png") as temporary:
            _transparent(union, small).save(temporary, format="PNG", optimize=True)
    return {
        "path": image.path,
        "folder": image.folder,
        "size": [image.width, image.height],
        "defects": sorted({region.defect_name for region in regions}),
        "masks": image.has_masks,
    }


def _transparent(union: NDArray[np.bool_], size: tuple[int, int]) -> Image.Image:
    """A mask [height, width] at `size`, a pixel marked where any of its own is: faint, with an edge two pixels wide."""
    reduced = Image.fromarray(union.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)
    marked = Image.fromarray((np.asarray(reduced) > 0).astype(np.uint8))
    inner = np.asarray(ImageOps.expand(marked, 2).filter(ImageFilter.MinFilter(5)))[2:-2, 2:-2]
    shown = Image.fromarray(2 * np.asarray(marked) - inner)  # 0 outside, 1 inside, 2 at the edge
    shown.putpalette([0, 0, 0, *MASK_COLOUR, *MASK_COLOUR])
    shown.info["transparency"] = bytes([0, INSIDE, EDGE])
    return shown
