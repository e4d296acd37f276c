"""Data sets in MVTec LOCO AD's layout, and the manifest that stands for one category's files.

Layout (Bergmann et al., IJCV 2022), below a category's folder:
    train/good/NNN.png  validation/good/NNN.png  test/{good,logical_anomalies,structural_anomalies}/NNN.png
    ground_truth/<anomaly type>/NNN/KKK.png      one file per defect region; grey value = defect type, 0 = normal
    defects_config.json                          [{defect_name, pixel_value, saturation_threshold, relative_saturation}]
"""

import csv
import hashlib
import io
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dfsc.errors import UserError
from dfsc.files import read_json, write_text

ANOMALY_TYPES = ("logical_anomalies", "structural_anomalies")
TEST_FOLDERS = ("good", *ANOMALY_TYPES)
IMAGE_FOLDERS = ("train/good", "validation/good", *(f"test/{folder}" for folder in TEST_FOLDERS))


@dataclass(frozen=True)
class FileRecord:
    """One file of a category: path below the category's folder (POSIX), bytes, SHA-256; pixels, 0 if no image."""

    path: str
    bytes: int
    sha256: str
    width: int
    height: int

    @property
    def folder(self) -> str:
        """Folder below the category's, for example 'test/good'."""
        return self.path.rsplit("/", 1)[0]


def decode_image(path: Path, mode: str) -> Image.Image:
    """Decode a whole image file to a PIL image of `mode` ('RGB' or 'L').

    Raises UserError naming the file if it is missing, truncated or no image.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return image.convert(mode) if image.mode != mode else image.copy()
    except FileNotFoundError as error:
        raise UserError(f"{path}: image is missing; fetch the data set again") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: image cannot be decoded ({error}); replace the file") from error


def load_image(path: Path, size: int) -> NDArray[np.uint8]:
    """Decode an image and resize it to `size` x `size` pixels whatever its aspect (EfficientAD).

    Returns uint8 [size, size, 3], RGB, resized bilinearly with antialiasing. Raises UserError naming the file.
    """
    image = decode_image(path, "RGB").resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image)


def load_images(paths: Iterable[Path], size: int, workers: int = 1) -> NDArray[np.uint8]:
    """Load images as uint8 [n, size, size, 3], in the order given. Raises UserError naming the first bad file."""
    with ThreadPoolExecutor(workers) as pool:
        return np.stack(list(pool.map(lambda path: load_image(path, size), paths)))


def scan_category(
    category_folder: Path, progress: Callable[[int, int], None] = lambda done, total: None, workers: int = 1
) -> list[FileRecord]:
    """Read and check every file of one category; return their records, sorted by path.

    Every image and mask is decoded once, so that a damaged file is named here and not hours later.
    Raises UserError naming the file or folder: a missing folder, an empty split, an image that cannot be decoded,
    an anomalous image without a mask, a mask of another size, with two grey values or with a grey value that
    defects_config.json does not list.
    """
    if not category_folder.is_dir():
        raise UserError(f"{category_folder}: no such category; check `dataset.categories` and `dataset.folder`")
    images = {folder: sorted((category_folder / folder).glob("*.png")) for folder in IMAGE_FOLDERS}
    for folder, files in images.items():
        if not files:
            raise UserError(f"{category_folder / folder}: holds no PNG image; the split must not be empty")
    listed_values = read_defects(category_folder / "defects_config.json").keys()
    files = [file for group in images.values() for file in group]
    masks = {image: _masks_of(category_folder, image) for image in files if image.parent.name in ANOMALY_TYPES}

    def check(file: Path) -> list[FileRecord]:
        record = _record(category_folder, file)
        return [record] + [
            _checked_mask(category_folder, mask, record, set(listed_values)) for mask in masks.get(file, [])
        ]

    records = [_record(category_folder, category_folder / "defects_config.json")]
    with ThreadPoolExecutor(workers) as pool:
        for done, checked in enumerate(pool.map(check, files), start=1):
            records += checked
            progress(done, len(files))
    return sorted(records, key=lambda record: record.path)


def read_defects(path: Path) -> dict[int, dict[str, object]]:
    """Read defects_config.json: grey value -> its entry. Raises UserError naming the file and the entry at fault."""
    entries = read_json(path)
    defects: dict[int, dict[str, object]] = {}
    for number, entry in enumerate(entries):
        missing = {"defect_name", "pixel_value", "saturation_threshold", "relative_saturation"} - set(entry)
        if missing:
            raise UserError(f"{path}: entry {number} lacks {', '.join(sorted(missing))}")
        if entry["pixel_value"] in defects:
            raise UserError(f"{path}: pixel_value {entry['pixel_value']} is listed twice")
        defects[entry["pixel_value"]] = entry
    return defects


def _record(category_folder: Path, file: Path) -> FileRecord:
    content = file.read_bytes()
    width = height = 0
    if file.suffix == ".png":
        width, height = decode_image(file, "RGB").size
    return FileRecord(
        file.relative_to(category_folder).as_posix(), len(content), hashlib.sha256(content).hexdigest(), width, height
    )


def _masks_of(category_folder: Path, image: Path) -> list[Path]:
    folder = category_folder / "ground_truth" / image.parent.name / image.stem
    masks = sorted(folder.glob("*.png"))
    if not masks:
        raise UserError(f"{image}: has no mask; expected at least one PNG in {folder}")
    return masks


def _checked_mask(category_folder: Path, mask: Path, image: FileRecord, listed_values: set[int]) -> FileRecord:
    values = set(np.unique(np.asarray(decode_image(mask, "L"))).tolist()) - {0}
    if len(values) != 1:
        raise UserError(f"{mask}: holds {len(values)} grey values besides 0; a mask has exactly one")
    if not values <= listed_values:
        raise UserError(f"{mask}: grey value {values.pop()} is not listed in {category_folder / 'defects_config.json'}")
    record = _record(category_folder, mask)
    if (record.width, record.height) != (image.width, image.height):
        raise UserError(
            f"{mask}: is {record.width} x {record.height} pixels, but its image {image.path} is "
            f"{image.width} x {image.height}"
        )
    return record


def write_manifest(path: Path, records: list[FileRecord]) -> None:
    """Write records as CSV, one line per file, whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(FileRecord)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(record) for record in records)
    write_text(path, text.getvalue())


def read_manifest(path: Path) -> list[FileRecord]:
    """Read a manifest written by `write_manifest`. Raises UserError naming the file."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return [
                FileRecord(row["path"], int(row["bytes"]), row["sha256"], int(row["width"]), int(row["height"]))
                for row in csv.DictReader(stream)
            ]
    except FileNotFoundError as error:
        raise UserError(f"{path}: manifest is missing; write it with `dfsc manifest`") from error
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: is not a manifest of `dfsc manifest` ({error})") from error


def images_of(records: Iterable[FileRecord], folder: str) -> list[FileRecord]:
    """The images of one folder, for example 'train/good' or 'test/logical_anomalies', sorted by path."""
    return [record for record in records if record.folder == folder]
