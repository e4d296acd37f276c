"""Every file of a category, checked and listed: what all later stages depend on, instead of thousands of files."""

import csv
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path

from dfsc.data.changes import is_of
from dfsc.data.ground_truth import LabelledImage, list_test_images, mask_files, read_regions, refuse_large
from dfsc.data.images import decode_image, image_files, require_folders
from dfsc.data.layout import (
    IMAGE_FOLDERS,
    LOCO_TYPES,
    REQUIRED_FOLDERS,
    TEST_FOLDERS,
    FileRecord,
    images_of,
    read_defects,
)
from dfsc.errors import UserError
from dfsc.files import reading

COLUMNS = ("train", "validation", "good", "logical", "structural")  # of the published table, as IMAGE_FOLDERS
COUNTED = ("width", "height", *COLUMNS)


def scan_category(
    category_folder: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
    workers: int = 1,
    large_masks: bool = False,
    part: str | None = None,
) -> list[FileRecord]:
    """Read and check every file of one category, or of one of `changes.PARTS`; return their records, sorted by path.

    Every image and mask is decoded once, so that a damaged file is named here and not hours later.
    Raises UserError naming the file or folder: a missing folder, an empty split, one whose images are all of one
    colour, an image that cannot be decoded, what no split would take, a mask of more than half of its image unless
    `large_masks`, and whatever `dfsc.data.ground_truth` refuses of the masks.
    """
    if not category_folder.is_dir():
        raise UserError(f"{category_folder}: no such category; check `dataset.categories` and `dataset.folder`")
    require_folders(category_folder, ("train", "validation", "test", "ground_truth"), files=True)
    # What is of another part is not looked at: it may just be written.
    for split, allowed in (("train", ["good"]), ("validation", ["good"]), ("test", TEST_FOLDERS)):
        if is_of(part, split):
            require_folders(category_folder / split, allowed)
    for folder in REQUIRED_FOLDERS:
        if is_of(part, folder) and not image_files(category_folder / folder):
            raise UserError(f"{category_folder / folder}: holds no image; the split must not be empty")
    judged = is_of(part, "ground_truth")
    labelled = {image.path: image for image in list_test_images(category_folder)} if judged else {}
    config = category_folder / "defects_config.json"
    without = not judged or (not config.exists() and not any(image.has_masks for image in labelled.values()))
    defects = {} if without else read_defects(config)
    plain: dict[str, bool] = {}  # path -> whether the image is of one colour

    def check(file: Path) -> list[FileRecord]:
        listed, path = [], file.relative_to(category_folder).as_posix()
        if is_of(part, path):
            decoded = decode_image(file)
            listed.append(_record(category_folder, file, decoded.size))
            plain[path] = all(channel.getextrema()[0] == channel.getextrema()[1] for channel in decoded.split())
        if path in labelled and labelled[path].has_masks:
            listed += masks_of(labelled[path])
        return listed

    def masks_of(image: LabelledImage) -> list[FileRecord]:
        masks = mask_files(category_folder, image.folder, image.stem)
        for mask, region in zip(masks, read_regions(category_folder, image, defects), strict=True):
            if not large_masks:
                refuse_large(mask, region.mask)
        return [_record(category_folder, mask, (image.width, image.height)) for mask in masks]

    read = [folder for folder in IMAGE_FOLDERS if is_of(part, folder) or (judged and is_of("test", folder))]
    files = [file for folder in read for file in image_files(category_folder / folder)]
    records = [] if without else [_record(category_folder, config, (0, 0))]
    with ThreadPoolExecutor(workers) as pool:
        for done, checked in enumerate(pool.map(check, files), start=1):
            records += checked
            progress(done, len(files))
    for folder in ("train/good", "validation/good"):
        if is_of(part, folder) and all(plain[image.path] for image in images_of(records, folder)):
            raise UserError(
                f"{category_folder / folder}: every image is of one colour, so that no model can be trained or "
                "calibrated on them; replace them"
            )
    return sorted(records, key=lambda record: record.path)


def check_counts(
    records: list[FileRecord],
    category: str,
    published: Path,
    part: str | None = None,
    where: str = "",
    advice: str = "fetch it again",
) -> None:
    """Compare a category's images with the published table, CSV of category, width, height and images per folder.

    `part`: the one of `changes.PARTS` that `records` holds; without, all images. Each anomalous image has masks.

    Raises UserError naming the first folder or image that differs, after `where`, and ending with `advice`.
    """
    with reading(published, "a table of published counts"), published.open(newline="", encoding="utf-8") as stream:
        rows = {row["category"]: {key: int(row[key]) for key in COUNTED} for row in csv.DictReader(stream)}
    if category not in rows:
        raise UserError(f"{published}: has no category {category}; it has {', '.join(rows)}")
    row = rows[category]
    for anomaly_type, column in zip(LOCO_TYPES, COLUMNS[-2:], strict=True) if part == "ground_truth" else ():
        folder = f"ground_truth/{anomaly_type}"
        marked = {record.folder for record in records if record.folder.startswith(f"{folder}/")}
        if len(marked) != row[column]:
            raise UserError(
                f"{where}{category}/{folder}: holds masks of {len(marked)} images, but {row[column]} are published; "
                f"{advice}"
            )
    for folder, column in zip_longest(IMAGE_FOLDERS, COLUMNS, fillvalue=""):
        if not is_of(part, folder):
            continue
        images, expected = images_of(records, folder), row.get(column, 0)
        if len(images) != expected:
            raise UserError(
                f"{where}{category}/{folder}: holds {len(images)} images, but {expected} are published; {advice}"
            )
        for image in images:
            if (image.width, image.height) != (row["width"], row["height"]):
                raise UserError(
                    f"{where}{category}/{image.path}: is {image.width} x {image.height} pixels, but {row['width']} x "
                    f"{row['height']} is published; {advice}"
                )


def _record(category_folder: Path, file: Path, size: tuple[int, int]) -> FileRecord:
    content = file.read_bytes()
    path = file.relative_to(category_folder).as_posix()
    return FileRecord(path, len(content), hashlib.sha256(content).hexdigest(), *size)
