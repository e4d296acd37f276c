"""Data sets in MVTec LOCO AD's layout, and the manifest that stands for one category's files.

Layout (Bergmann et al., IJCV 2022), below a category's folder:
    train/good/NNN.png  validation/good/NNN.png  test/{good,logical_anomalies,structural_anomalies}/NNN.png
    ground_truth/<anomaly type>/NNN/KKK.png      one file per defect region; grey value = defect type, 0 = normal
    defects_config.json                          [{defect_name, pixel_value, saturation_threshold, relative_saturation}]
"""

import csv
import io
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dfsc.errors import UserError
from dfsc.files import read_json, read_lines, reading, write_text

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


def read_defects(path: Path) -> dict[int, dict[str, object]]:
    """Read defects_config.json: grey value -> its entry. Raises UserError naming the file and the entry at fault."""
    entries = read_json(path)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"{path}: is not a list of mappings, one per defect type")
    defects: dict[int, dict[str, object]] = {}
    for number, entry in enumerate(entries):
        if missing := {"defect_name", "pixel_value", "saturation_threshold", "relative_saturation"} - set(entry):
            raise UserError(f"{path}: entry {number} lacks {', '.join(sorted(missing))}")
        if entry["pixel_value"] in defects:
            raise UserError(f"{path}: pixel_value {entry['pixel_value']} is listed twice")
        defects[entry["pixel_value"]] = entry
    return defects


def write_manifest(path: Path, records: list[FileRecord]) -> None:
    """Write records as CSV, one line per file, whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(FileRecord)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(record) for record in records)
    write_text(path, text.getvalue())


def read_manifest(path: Path) -> list[FileRecord]:
    """Read a manifest written by `write_manifest`. Raises UserError naming the file."""
    with reading(path, "a manifest", "write it with `dfsc manifest`"):
        records = [
            FileRecord(row["path"], int(row["bytes"]), row["sha256"], int(row["width"]), int(row["height"]))
            for row in csv.DictReader(io.StringIO(read_lines(path), newline=""))
        ]
        if not records:
            raise ValueError("it lists no file")
        return records


def images_of(records: Iterable[FileRecord], folder: str) -> list[FileRecord]:
    """The images of one folder, for example 'train/good' or 'test/logical_anomalies', sorted by path."""
    return [record for record in records if record.folder == folder]
