"""Data sets in MVTec LOCO AD's layout, and the manifest that stands for one category's files.

Layout (Bergmann et al., IJCV 2022), below a category's folder:
    train/good/NNN.png  validation/good/NNN.png  test/{good,logical_anomalies,structural_anomalies}/NNN.png
                                                 or any other image format (see `dfsc.data.images`)
    ground_truth/<anomaly type>/NNN/KKK.png      one file per defect region; grey value = defect type, 0 = normal
    defects_config.json                          [{defect_name, pixel_value, saturation_threshold, relative_saturation}]

Beyond LOCO, a category may lack an anomaly type, all anomalies, or the masks of a type; and it may have anomalies whose
type nobody said, in `untyped_anomalies`. What is absent is not measured.
"""

import csv
import hashlib
import io
import json
import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from dfsc.errors import UserError
from dfsc.files import read_json, read_lines, reading, write_text

LOCO_TYPES = ("logical_anomalies", "structural_anomalies")
UNTYPED = "untyped_anomalies"  # ours: anomalies of images that do not say whether they are logical or structural
ANOMALY_TYPES = (*LOCO_TYPES, UNTYPED)
WHOLE = "(all of the above)"  # no path of a file: these have a folder
TEST_FOLDERS = ("good", *ANOMALY_TYPES)
REQUIRED_FOLDERS = ("train/good", "validation/good", "test/good")
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


@dataclass(frozen=True)
class Defect:
    """An entry of defects_config.json: a type of defect, by its grey value in the masks."""

    defect_name: str
    pixel_value: int  # 1..255
    saturation_threshold: float  # share of a region's area in 0..1 if relative, else pixels; above 0
    relative_saturation: bool


def read_defects(path: Path) -> dict[int, Defect]:
    """Read defects_config.json: grey value -> its entry. Raises UserError naming the file, the entry and its key."""
    entries = read_json(path, "a list of defect types", "each category has one")
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{path}: is not a list of entries, one per defect type")
    defects: dict[int, Defect] = {}
    for number, entry in enumerate(entries):
        defect = _defect(entry, f"{path}: entry {number}")
        if defect.pixel_value in defects:
            raise UserError(f"{path}: entry {number}: pixel_value {defect.pixel_value} is listed twice")
        defects[defect.pixel_value] = defect
    return defects


def _defect(entry: object, where: str) -> Defect:
    keys = [field.name for field in fields(Defect)]
    if not isinstance(entry, dict):
        raise UserError(f"{where}: is not a mapping of {', '.join(keys)}")
    if missing := [key for key in keys if key not in entry]:
        raise UserError(f"{where}: lacks {', '.join(missing)}")
    if unknown := [key for key in entry if key not in keys]:
        raise UserError(f"{where}: unknown key {unknown[0]!r}; the keys are {', '.join(keys)}")
    name, value, threshold, relative = (entry[key] for key in keys)
    number = type(threshold) in (int, float) and 0 < threshold < math.inf
    allowed = {
        # Each defect has metrics of its own, in MLflow, which takes no other characters.
        "defect_name": (
            isinstance(name, str) and re.fullmatch(r"[\w .:-]*\w[\w .:-]*", name) is not None,
            "letters, digits, spaces and _ - . :",
        ),
        "pixel_value": (type(value) is int and 1 <= value <= 255, "a whole number from 1 to 255"),
        "relative_saturation": (isinstance(relative, bool), "true or false"),
        "saturation_threshold": (
            number and (relative is not True or threshold <= 1),
            "above 0 and at most 1, a share of the region" if relative is True else "a number of pixels above 0",
        ),
    }
    for key, (right, what) in allowed.items():
        if not right:
            raise UserError(f"{where}: {key}: is {json.dumps(entry[key])}; it must be {what}")
    return Defect(name, value, threshold, relative)


def write_manifest(path: Path, records: list[FileRecord]) -> None:
    """Write records as CSV, one line per file, whole or not at all.

    The last line, of path WHOLE, has the number of files and the SHA-256 of the lines above.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(FileRecord)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(record) for record in records)
    writer.writerow({"path": WHOLE, "bytes": len(records), "sha256": _sha256(text.getvalue())})
    write_text(path, text.getvalue())


def read_manifest(path: Path) -> list[FileRecord]:
    """Read a manifest written by `write_manifest`. Raises UserError naming the file, one cut short or edited too."""
    with reading(path, "a manifest", "delete it and write it with `dfsc manifest`"):
        lines = read_lines(path).splitlines(keepends=True)
        *rows, last = csv.DictReader(lines)
        if last["path"] != WHOLE or last["sha256"] != _sha256("".join(lines[:-1])):
            raise ValueError("damaged or cut short")
        return [
            FileRecord(row["path"], int(row["bytes"]), row["sha256"], int(row["width"]), int(row["height"]))
            for row in rows
        ]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def images_of(records: Iterable[FileRecord], folder: str) -> list[FileRecord]:
    """The images of one folder, for example 'train/good' or 'test/logical_anomalies', sorted by path."""
    return [record for record in records if record.folder == folder]
