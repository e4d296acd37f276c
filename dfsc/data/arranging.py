"""Images of any layout, arranged in LOCO's (see `dfsc.data.layout`) so that all else works on them.

What is there is listed first: by `dfsc.data.layouts` for public data sets, by `dfsc.data.own_images` for one's own. No
image is copied where a link will do.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from dfsc.data.changes import PARTS, is_of
from dfsc.data.ground_truth import read_mask, refuse_large
from dfsc.data.images import image_files, image_size, visible
from dfsc.errors import UserError
from dfsc.files import folder_written_whole, sha256_of, write_json
from dfsc.settings.own_images import SplitSettings

DEFECTS_CONFIG = "defects_config.json"
EIGHT_NEIGHBOURS = np.ones((3, 3), int)  # regions as PRO counts them: connected, corners included


@dataclass(frozen=True)
class DefectImages:
    """Images that show one defect, of one of `dfsc.data.layout.ANOMALY_TYPES`: image -> its mask, None without."""

    name: str
    anomaly_type: str
    images: Mapping[Path, Path | None]


@dataclass(frozen=True)
class Listing:
    """The images of a category.

    good: name that it is given -> image, to be trained on; without `validation` or `test_good`, shares of it validate
    and test. mask_threshold: of the layout, where its masks hold several grey values; that of the user's goes before.
    refuse_copies: whether two images of one content may not be in two places, as good and as bad for example.
    """

    good: Mapping[str, Path]
    validation: Mapping[str, Path] = field(default_factory=dict)
    test_good: Mapping[str, Path] = field(default_factory=dict)
    defects: Sequence[DefectImages] = ()
    mask_threshold: int | None = None
    refuse_copies: bool = False


def arrange(
    listing: Listing,
    output: Path,
    split: SplitSettings,
    mask_threshold: int | None = None,
    large_masks: bool = False,
    part: str | None = None,
) -> None:
    """Write `output`, a category in LOCO's layout, or one of `changes.PARTS` of it, whole or not at all.

    Images are linked, and copied only where no link can be made. What an earlier call wrote is replaced.
    Each connected region of a mask becomes one of LOCO's masks, with the whole region as saturation area, so that
    sPRO is PRO. A mask holds 0 and one other value; with `mask_threshold`, grey values from there on are defect.
    Raises UserError naming the file at fault: one of two images of one name, a copy where `listing` refuses it, a mask
    that `dfsc.data.ground_truth.read_mask` refuses, one of more than half of its image unless `large_masks`, masks for
    a part of an anomaly type only, what `output` holds that dfsc did not make; and naming the split that no good image
    is in.
    """
    _refuse_what_is_not_ours(output)
    _refuse_masks_of_a_part(listing.defects)
    folders = [name for names in PARTS.values() for name in names if name != DEFECTS_CONFIG and is_of(part, name)]
    placed: dict[str, Path] = {}
    if part != "ground_truth":
        if listing.refuse_copies:
            _refuse_copies(listing)
        placed = dict(_unlike(_placed(listing, split)))
    with ExitStack() as written:
        begun = {name: written.enter_context(folder_written_whole(output / name)) for name in folders}
        for path, image in placed.items():
            name, _, below = path.partition("/")
            if name in begun:
                _link(image, begun[name] / below)
        if "ground_truth" in begun:
            threshold = listing.mask_threshold if mask_threshold is None else mask_threshold
            entries = _write_masks(listing, begun["ground_truth"], threshold, large_masks)
            if entries:
                write_json(output / DEFECTS_CONFIG, entries)
            else:
                (output / DEFECTS_CONFIG).unlink(missing_ok=True)


def _write_masks(listing: Listing, folder: Path, threshold: int | None, large_masks: bool) -> list[dict[str, object]]:
    """Write the regions of each mask; returns the entries of defects_config.json."""
    marked = [defect for defect in listing.defects if None not in defect.images.values()]
    for number, defect in enumerate(marked):
        for image, mask in defect.images.items():
            assert mask is not None
            grey = read_mask(mask, image_size(image), str(image), threshold)
            if not large_masks:
                refuse_large(mask, grey > 0)
            _write_regions(grey > 0, folder / defect.anomaly_type / f"{defect.name}_{image.stem}", 255 - number)
    return [_entry(*defect) for defect in enumerate(marked)]


def _refuse_what_is_not_ours(output: Path) -> None:
    ours = {name for names in PARTS.values() for name in names}
    for entry in visible(output):
        if entry.name not in ours:
            raise UserError(f"{entry}: was not made by dfsc; choose another `dataset.folder`")


def masks_of(images: Sequence[Path], folder: Path, ending: str = "") -> dict[Path, Path]:
    """The mask of each image in `folder`, of any format: named as the image, then `ending`.

    Raises UserError naming the mask that is missing, or the one that no image has.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of masks")
    masks = {mask.stem: mask for mask in image_files(folder)}
    for image in images:
        if image.stem + ending not in masks:
            raise UserError(f"{folder / (image.stem + ending)}.png: mask is missing")
    if surplus := sorted(set(masks) - {image.stem + ending for image in images}):
        named = f"named as one, with {ending}" if ending else "named as one"
        raise UserError(f"{masks[surplus[0]]}: is the mask of no image; it should be {named}")
    return {image: masks[image.stem + ending] for image in images}


def _placed(listing: Listing, split: SplitSettings) -> Iterator[tuple[str, Path]]:
    """(path in LOCO's layout, image) of each image."""
    good: dict[str, dict[str, Path]] = {
        "train/good": {}, "validation/good": dict(listing.validation), "test/good": dict(listing.test_good),
    }  # fmt: skip
    shares = {
        "validation/good": 0 if listing.validation else split.validation,
        "test/good": 0 if listing.test_good else split.test,
    }
    for name, image in listing.good.items():
        good[split_of(sha256_of(image), shares, split.seed)][name] = image
    for place, images in good.items():
        if not images:
            raise UserError(
                f"{place}: gets none of the {len(listing.good)} good images (the first is "
                f"{next(iter(listing.good.values()), 'missing')}); add images, or change `dataset.split`"
            )
        yield from ((f"{place}/{name}", image) for name, image in images.items())
    for defect in listing.defects:
        for image in defect.images:
            yield f"test/{defect.anomaly_type}/{defect.name}_{image.name}", image


def split_of(digest: str, shares: Mapping[str, float], seed: int) -> str:
    """Where a good image goes. Its content, by SHA-256, and the seed alone say it: other images move none."""
    drawn = int(hashlib.sha256(f"{seed} {digest}".encode()).hexdigest()[:13], 16) / 16**13
    for place, share in shares.items():
        if drawn < share:
            return place
        drawn -= share
    return "train/good"


def _unlike(placed: Iterator[tuple[str, Path]]) -> Iterator[tuple[str, Path]]:
    """The same; refuses two images that would be called the same, but for their ending."""
    by_name: dict[str, Path] = {}
    for path, image in placed:
        other = by_name.setdefault(path.removesuffix(Path(path).suffix), image)
        if other is not image:
            raise UserError(f"{image}: gets the same name as {other}, {path}; rename one of the two, or its folder")
        yield path, image


def _refuse_copies(listing: Listing) -> None:
    groups = {"good": list(listing.good.values()), "test_good": list(listing.test_good.values())}
    groups |= {f"bad.{defect.name}": list(defect.images) for defect in listing.defects}
    seen: dict[str, tuple[str, Path]] = {}
    for group, images in groups.items():
        for image in images:
            other, first = seen.setdefault(sha256_of(image), (group, image))
            if other != group:
                raise UserError(f"{image}: is the same image as {first}; it cannot be {other} and {group}; delete one")


def _refuse_masks_of_a_part(defects: Sequence[DefectImages]) -> None:
    with_masks: dict[str, bool] = {}
    for defect in defects:
        for image, mask in defect.images.items():
            if with_masks.setdefault(defect.anomaly_type, mask is not None) != (mask is not None):
                kind = defect.anomaly_type.replace("_", " ")
                raise UserError(f"{image}: some {kind} have masks, others not; give masks for all of them, or for none")


def _entry(number: int, defect: DefectImages) -> dict[str, object]:
    of_region = {"saturation_threshold": 1.0, "relative_saturation": True}
    return {"defect_name": defect.name, "pixel_value": 255 - number, **of_region}


def _write_regions(mask: NDArray[np.bool_], folder: Path, grey_value: int) -> None:
    labels, count = ndimage.label(mask, EIGHT_NEIGHBOURS)
    folder.mkdir(parents=True)
    for region in range(count):
        Image.fromarray(((labels == region + 1) * grey_value).astype(np.uint8)).save(folder / f"{region:03d}.png")


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source = source.resolve()
    for link in (os.link, os.symlink):  # a hard link lasts where the original is moved; not on another file system
        with suppress(OSError):
            link(source, target)
            return
    shutil.copyfile(source, target)
