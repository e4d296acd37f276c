"""Every file of a category, checked and listed: what all later stages depend on, instead of thousands of files."""

import csv
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dfsc.data import ANOMALY_TYPES, IMAGE_FOLDERS, FileRecord, decode_image, images_of, read_defects
from dfsc.errors import UserError
from dfsc.files import reading
from dfsc.ground_truth import LabelledImage, list_test_images, read_regions

REQUIRED_FOLDERS = ("train/good", "validation/good", "test/good")  # and anomalous images of one type at least
COLUMNS = ("train", "validation", "good", "logical", "structural")  # of the published table, as IMAGE_FOLDERS


def scan_category(
    category_folder: Path, progress: Callable[[int, int], None] = lambda done, total: None, workers: int = 1
) -> list[FileRecord]:
    """Read and check every file of one category; return their records, sorted by path.

    Every image and mask is decoded once, so that a damaged file is named here and not hours later.
    Raises UserError naming the file or folder: a missing folder, an empty split, an image that cannot be decoded, and
    whatever `dfsc.ground_truth` refuses of the masks.
    """
    if not category_folder.is_dir():
        raise UserError(f"{category_folder}: no such category; check `dataset.categories` and `dataset.folder`")
    for folder in REQUIRED_FOLDERS:
        if not any((category_folder / folder).glob("*.png")):
            raise UserError(f"{category_folder / folder}: holds no PNG image; the split must not be empty")
    defects = read_defects(category_folder / "defects_config.json")
    labelled = {image.path: image for image in list_test_images(category_folder)}

    def check(file: Path) -> list[FileRecord]:
        record = _record(category_folder, file)
        image = labelled.get(record.path, LabelledImage("good", file.stem, record.width, record.height))
        read_regions(category_folder, image, defects)
        masks = category_folder / "ground_truth" / image.folder / image.stem
        return [
            record,
            *(_record(category_folder, mask) for mask in masks.glob("*.png") if image.folder in ANOMALY_TYPES),
        ]

    files = [file for folder in IMAGE_FOLDERS for file in sorted((category_folder / folder).glob("*.png"))]
    records = [_record(category_folder, category_folder / "defects_config.json")]
    with ThreadPoolExecutor(workers) as pool:
        for done, checked in enumerate(pool.map(check, files), start=1):
            records += checked
            progress(done, len(files))
    return sorted(records, key=lambda record: record.path)


def check_counts(records: list[FileRecord], category: str, published: Path) -> None:
    """Compare a category's images with the published table, CSV of category, width, height and images per folder.

    Raises UserError naming the first folder or image that differs.
    """
    wanted = ("category", "width", "height", *COLUMNS)
    with reading(published, "a table of published counts"), published.open(newline="", encoding="utf-8") as stream:
        rows = {row["category"]: {name: row[name] for name in wanted} for row in csv.DictReader(stream)}
    if category not in rows:
        raise UserError(f"{published}: has no category {category}; it has {', '.join(rows)}")
    row = rows[category]
    for folder, column in zip(IMAGE_FOLDERS, COLUMNS, strict=True):
        images = images_of(records, folder)
        if len(images) != int(row[column]):
            raise UserError(
                f"{category}/{folder}: holds {len(images)} images, but {row[column]} are published; fetch it again"
            )
        for image in images:
            if (image.width, image.height) != (int(row["width"]), int(row["height"])):
                raise UserError(
                    f"{category}/{image.path}: is {image.width} x {image.height} pixels, but {row['width']} x "
                    f"{row['height']} is published; fetch it again"
                )


def _record(category_folder: Path, file: Path) -> FileRecord:
    width, height = decode_image(file, "RGB").size if file.suffix == ".png" else (0, 0)
    content = file.read_bytes()
    path = file.relative_to(category_folder).as_posix()
    return FileRecord(path, len(content), hashlib.sha256(content).hexdigest(), width, height)
