"""The one place that lists folders of images and opens them: those of a data set, its masks, and pretraining's.

An image is read as what it shows, at 8 bits a channel:
- Its EXIF orientation is applied, to images and masks alike, so that width and height are those it is looked at with.
- Of 16 bits a channel the upper 8 are taken, v // 256, as Pillow itself does of colours; of a TIFF's 12 likewise. 1 bit
  is black or white.
- Palettes, CMYK and the like become the colours they stand for; an alpha channel or a transparent colour that leaves
  every pixel opaque is dropped.
- A phone's JPEG that holds a second picture (MPO, a preview or a depth map) is its first one.
Refused by name is what shows no one thing: partly transparent images, several pages or frames, floating point or
32-bit numbers, whose black and white no file tells.
"""

import os
import struct
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from dfsc.errors import UserError
from dfsc.files import reading

# What Pillow decodes of still pictures made of pixels: no drawings, videos, icons of many sizes, or scientific arrays.
FORMATS = ("AVIF", "BMP", "DIB", "GIF", "IM", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "QOI", "SGI", "SUN",
           "TGA", "TIFF", "WEBP")  # fmt: skip
SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")
TIFF_BITS, TIFF_COLOURS, WHITE_IS_ZERO = 258, 262, 0  # Pillow heeds them up to 8 bits only
NUMBERS = {"I": "signed or 32-bit integers", "F": "floating point numbers"}
ORIENTATION = 0x0112  # EXIF's tag
UPRIGHT = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
           5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
           8: Image.Transpose.ROTATE_90}  # fmt: skip
SIDEWAYS = (5, 6, 7, 8)  # width and height change places
# What systems leave in folders, beside all names that begin with a dot; in lower case.
LEFT_BY_SYSTEMS = ("__macosx", "@eadir", "desktop.ini", "ehthumbs.db", "thumbs.db")


@cache
def endings() -> frozenset[str]:
    """The endings of files that are taken for images, lower case, with their dot."""
    return frozenset(ending for ending, name in Image.registered_extensions().items() if name in (*FORMATS, "MPO"))


def is_image_name(name: str) -> bool:
    """Whether a file is an image by its ending, in upper or lower case."""
    return Path(name).suffix.lower() in endings()


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or one that a system leaves behind: skipped everywhere."""
    return name.startswith(".") or name.lower() in LEFT_BY_SYSTEMS


def visible(folder: Path) -> list[Path]:
    """What a folder holds, by name, without hidden files and what systems leave behind; nothing if there is no folder.

    Raises UserError naming a folder that cannot be read, and an entry whose name no list can carry: one with a line
    break, or that is not UTF-8.
    """
    with reading(folder, "a folder", "check its permissions"):
        names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    names = [name for name in names if not is_hidden(name)]
    for name in names:
        require_plain(name, folder)
    return [folder / name for name in names]


def require_plain(name: str, folder: Path) -> None:
    """Raise UserError if a name cannot stand on a line of a text file: it has a line break, or is not UTF-8."""
    if name.splitlines() != [name]:
        raise UserError(f"{str(folder / name)!a}: its name holds a line break; rename it")
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise UserError(f"{str(folder / name)!a}: its name is not UTF-8; rename it")


def image_files(folder: Path) -> list[Path]:
    """The images of a folder, by name; none if there is no folder.

    Raises UserError naming the first entry that would be left out: a sub-folder, a file that is no image, a second
    image of the same name but for its ending, since masks and maps are found by that name; and as `visible` does.
    """
    files = visible(folder)
    by_stem: dict[str, Path] = {}
    for file in files:
        if file.is_dir():
            raise UserError(f"{file}: is a folder among images; its content would be left out; move it away")
        if not is_image_name(file.name):
            raise UserError(f"{file}: is no image in a format that is read; convert it or move it away")
        other = by_stem.setdefault(file.stem, file)
        if other is not file:
            raise UserError(f"{file}: differs from {other.name} by its ending alone; rename one of them")
    return files


def require_folders(folder: Path, allowed: Collection[str], files: bool = False) -> None:
    """Raise UserError naming what a folder holds beside the sub-folders `allowed`, since nothing would look at it.

    With `files`, files may lie beside them.
    """
    for entry in visible(folder):
        if (entry.is_dir() and entry.name not in allowed) or not (files or entry.is_dir()):
            raise UserError(f"{entry}: would be left out; {folder} holds only the folders {', '.join(allowed)}")


def decode_image(path: Path) -> Image.Image:
    """Decode a whole image file to a PIL image of mode 'RGB', upright. Raises UserError naming the file."""
    image, bits = _decoded(path)
    if bits > 8:
        image = Image.fromarray((np.asarray(image) >> (bits - 8)).astype(np.uint8))
    return image.convert("RGB") if image.mode != "RGB" else image


def decode_grey(path: Path) -> NDArray[np.integer]:
    """The grey values of a mask, uint8 or int32 [height, width], upright: as they stand, 16 bits not scaled.

    Raises UserError naming the file, one that holds colours included.
    """
    pixels: NDArray[np.integer] = np.asarray(_decoded(path)[0])
    if pixels.ndim == 3:
        if (pixels != pixels[..., :1]).any():
            raise UserError(f"{path}: holds colours; a mask is grey")
        pixels = pixels[..., 0]
    return pixels


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image as `decode_image` gives it, from the file's headers. Raises UserError likewise."""
    with _opened(path) as image:
        if ORIENTATION in getattr(image, "tag_v2", ()):  # a TIFF's size is that after turning
            return image.size
        decode = image.format == "PNG" and _metadata_after_pixels(path)
        return image.size[::-1] if _orientation(image, decode) in SIDEWAYS else image.size


def load_image(path: Path, size: int) -> NDArray[np.uint8]:
    """Decode an image and resize it to `size` x `size` pixels whatever its aspect (EfficientAD).

    Returns uint8 [size, size, 3], RGB, resized bilinearly with antialiasing. Raises UserError naming the file.
    """
    return np.asarray(decode_image(path).resize((size, size), Image.Resampling.BILINEAR))


def load_images(paths: Iterable[Path], size: int, workers: int = 1) -> NDArray[np.uint8]:
    """Load images as uint8 [n, size, size, 3], in the order given. Raises UserError naming the first bad file."""
    with ThreadPoolExecutor(workers) as pool:
        return np.stack(list(pool.map(lambda path: load_image(path, size), paths)))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    # As a stream: of a file known by name, Pillow maps a grey TIFF into memory, and garbles one stored on its side.
    with reading(path, "an image", "replace the file"), path.open("rb") as stream, _recognised(stream) as image:
        if image.format != "MPO" and (frames := getattr(image, "n_frames", 1)) > 1:
            raise UserError(f"{path}: holds {frames} pages or frames; a file holds one image")
        yield image


def _recognised(stream: BinaryIO) -> Image.Image:
    try:
        return Image.open(stream, formats=FORMATS)
    except UnidentifiedImageError as error:  # Pillow's words would show Python's name of the stream
        raise ValueError("its bytes are of no image format that is read") from error


def _decoded(path: Path) -> tuple[Image.Image, int]:
    """The image upright, and its bits a channel: 'RGB' or 'L' of 8 bits, or 'I' of more."""
    with _opened(path) as image:
        image.load()
        orientation = _orientation(image, decode=True)
        wide = image.mode in SIXTEEN_BITS or (image.mode == "I" and image.format == "PPM")
        if image.mode in NUMBERS and not wide:
            raise UserError(f"{path}: holds {NUMBERS[image.mode]}; save it with 8 or 16 bits, from black to white")
        if image.has_transparency_data and not wide:
            image = image.convert("RGBA")
        if image.has_transparency_data and (wide or image.getchannel("A").getextrema() != (255, 255)):
            raise UserError(f"{path}: is partly transparent; save it on a background, without transparency")
        tags = getattr(image, "tag_v2", {})
        bits = tags.get(TIFF_BITS, (16,))[0] if wide else 8
        if wide:
            values = np.asarray(image).astype(np.int32)
            image = Image.fromarray(2**bits - 1 - values if tags.get(TIFF_COLOURS) == WHITE_IS_ZERO else values)
        elif image.mode not in ("RGB", "L"):
            image = image.convert("RGB")
        return (image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image.copy()), bits


def _orientation(image: Image.Image, decode: bool) -> object:
    try:
        # A PNG's own method decodes the pixels, to find what stands behind them.
        exif = image.getexif() if decode else Image.Image.getexif(image)
        return exif.get(ORIENTATION)
    except (SyntaxError, ValueError, TypeError, struct.error):
        return None  # damaged EXIF data turn nothing; nor do they in viewers


def _metadata_after_pixels(path: Path) -> bool:
    """Whether a PNG has chunks of metadata behind those of its pixels."""
    names = []
    with path.open("rb") as stream:
        stream.seek(8)
        while len(header := stream.read(8)) == 8:
            length, name = struct.unpack(">I4s", header)
            names.append(name)
            stream.seek(length + 4, os.SEEK_CUR)
    behind = names[names.index(b"IDAT") :] if b"IDAT" in names else []
    return not {b"eXIf", b"zTXt", b"iTXt", b"tEXt"}.isdisjoint(behind)
