"""Images under neutral names: what a method from outside sees of a category.

Nothing around an image tells whether it is good: test images are named and ordered by the digest of their content, all
files have the same time, and text, dates and camera data inside PNG and JPEG files are dropped. The pixels are the
original's, in its own format; other formats than PNG and JPEG are copied as they are.
"""

import os
import struct
import zlib
from collections.abc import Iterable
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from PIL import Image

from dfsc.data.images import ORIENTATION, UPRIGHT
from dfsc.data.layout import FileRecord
from dfsc.errors import UserError
from dfsc.files import reading

SPLITS = ("train", "validation", "test")
MOMENT = 946_684_800  # of every file: 2000-01-01
ENDINGS = {".jpe": ".jpg", ".jpeg": ".jpg", ".tif": ".tiff"}  # one spelling, whoever saved the file
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
# What says how pixels are to be shown; of other chunks only those that hold pixels are kept.
PNG_KEPT = (b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"sBIT", b"pHYs")
JPEG_METADATA = (*range(0xE1, 0xEE), 0xEF, 0xFE)  # APP1 to APP13, APP15, comments
START_OF_SCAN = 0xDA


def neutral_names(records: Iterable[FileRecord], split: str, shuffle: int = 0) -> dict[str, str]:
    """Path below the category's folder -> 'test_0003.png', of the images of a split.

    Test images are in the order of digests of their content and of the number `shuffle`: that order is reproducible,
    and no part of it depends on a name or a label. Images for training and validation keep their order.
    """
    chosen = [record for record in records if record.path.startswith(f"{split}/")]
    if split == "test":
        chosen.sort(key=lambda record: (sha256(f"{shuffle}/{record.sha256}".encode()).digest(), record.path))
    else:
        chosen.sort(key=lambda record: record.path)
    names = {}
    for number, record in enumerate(chosen):
        ending = Path(record.path).suffix.lower()
        names[record.path] = f"{split}_{number:04}{ENDINGS.get(ending, ending)}"
    return names


def write_blinded(category_folder: Path, records: Iterable[FileRecord], folder: Path, shuffle: int = 0) -> None:
    """Write the images of a category into `folder`/{train,validation,test} under neutral names.

    Raises UserError naming an image that cannot be read, or that is not the one that `records` list.
    """
    listed = list(records)
    by_path = {record.path: record for record in listed}
    for split in SPLITS:
        target = folder / split
        target.mkdir(parents=True)
        for path, name in neutral_names(listed, split, shuffle).items():
            file = category_folder / path
            with reading(file, "an image", "restore it"):
                content = file.read_bytes()
            if sha256(content).hexdigest() != by_path[path].sha256:
                raise UserError(f"{file}: has changed since it was listed; run snakemake again")
            with reading(file, "an image", "replace it"):
                (target / name).write_bytes(without_metadata(content))
            os.utime(target / name, (MOMENT, MOMENT))
        os.utime(target, (MOMENT, MOMENT))


def without_metadata(content: bytes) -> bytes:
    """An image file without text, dates and camera data; pixels, colour profile and EXIF orientation stay."""
    if content.startswith(PNG):
        return _plain_png(content)
    return _plain_jpeg(content) if content.startswith(JPEG) else content


def _plain_png(content: bytes) -> bytes:
    parts, place = [PNG], len(PNG)
    while True:
        length, name = struct.unpack_from(">I4s", content, place)
        end = place + length + 12
        if name[:1].isupper() or name in PNG_KEPT:  # upper case: without it there is no image
            parts.append(content[place:end])
        if name == b"IHDR" and (exif := _orientation_alone(content)):
            parts.append(struct.pack(">I4s", len(exif), b"eXIf") + exif)
            parts.append(struct.pack(">I", zlib.crc32(b"eXIf" + exif)))
        if name == b"IEND":
            return b"".join(parts)
        place = end


def _plain_jpeg(content: bytes) -> bytes:
    parts, place = [JPEG], len(JPEG)
    if exif := _orientation_alone(content):
        segment = b"Exif\0\0" + exif
        parts.append(b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment)
    while content[place + 1] != START_OF_SCAN:
        if content[place + 1] == 0xFF:  # a byte that fills
            place += 1
            continue
        (length,) = struct.unpack_from(">H", content, place + 2)
        segment = content[place : place + 2 + length]
        if segment[1] not in JPEG_METADATA or segment[4:].startswith(b"ICC_PROFILE"):
            parts.append(segment)
        place += 2 + length
    return b"".join([*parts, content[place:]])


def _orientation_alone(content: bytes) -> bytes:
    """EXIF data of the image's orientation and nothing else; empty where it is upright."""
    with Image.open(BytesIO(content)) as image:
        orientation = image.getexif().get(ORIENTATION)
    if orientation not in UPRIGHT:
        return b""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif.tobytes().removeprefix(b"Exif\0\0")
