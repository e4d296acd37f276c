"""Images are read as what they show, or refused by name; no file of a folder is left out without a word."""

import os
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from dfsc.data.images import decode_grey, decode_image, endings, image_files, image_size
from dfsc.data.manifest import scan_category
from dfsc.data.pretraining_images import PretrainingImages, write_index
from dfsc.errors import UserError
from dfsc.inference.evaluate import evaluate_official_maps, evaluate_small_maps
from dfsc.inference.maps import SmallMaps
from support.small_sets import loco_category, save_as_it_is

WIDE = np.arange(40 * 60, dtype=np.uint16).reshape(40, 60) * 27  # of 0..64773
GREY = (WIDE >> 8).astype(np.uint8)
COLOUR = np.stack([GREY, 255 - GREY, np.roll(GREY, 9)], axis=-1)


def shown(path: Path) -> np.ndarray:
    """What an image is read as; its size by headers alone must agree."""
    pixels = np.asarray(decode_image(path))
    assert image_size(path) == (pixels.shape[1], pixels.shape[0])
    return pixels


def as_colour(grey: np.ndarray) -> np.ndarray:
    return np.stack([grey] * 3, axis=-1)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def twelve_bits(path: Path) -> None:
    """A TIFF of 12 bits a pixel, as cameras write it; pixels are the upper 12 bits of WIDE."""
    first, second = (WIDE >> 4).reshape(-1, 2).T.astype(np.int64)
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=-1).astype(np.uint8).tobytes()
    tags = [(256, 60), (257, 40), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 40), (279, len(packed))]
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    path.write_bytes(
        b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed + struct.pack("<H", len(tags)) + directory + bytes(4)
    )


SIXTEEN_BITS: dict[str, Callable[[Path], object]] = {
    "a.png": lambda path: Image.fromarray(WIDE).save(path),
    "little.tif": lambda path: tifffile.imwrite(path, WIDE, byteorder="<"),
    "big.tif": lambda path: tifffile.imwrite(path, WIDE, byteorder=">"),
    "white_is_zero.tif": lambda path: tifffile.imwrite(path, 65535 - WIDE, photometric="miniswhite"),
    "twelve_bits.tif": twelve_bits,
    "a.pgm": lambda path: path.write_bytes(b"P5 60 40 65535\n" + WIDE.astype(">u2").tobytes()),
    "a.jp2": lambda path: Image.fromarray(WIDE).save(path),
    "colour.tif": lambda path: tifffile.imwrite(path, as_colour(WIDE), photometric="rgb"),
}


@pytest.mark.parametrize("name", SIXTEEN_BITS)
def test_sixteen_bits_are_scaled_by_their_depth(tmp_path: Path, name: str) -> None:
    SIXTEEN_BITS[name](tmp_path / name)
    np.testing.assert_array_equal(shown(tmp_path / name), as_colour(GREY))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("ending", "mode"),
    [("jpg", "L"), ("webp", "RGB"), ("avif", "RGB")]
    + [(ending, mode) for ending in ("png", "tif") for mode in ("RGB", "L", "I;16")],
)
def test_orientation_is_applied_to_images_and_masks(tmp_path: Path, ending: str, mode: str, orientation: int) -> None:
    upright = np.zeros((40, 60), np.uint8)
    upright[:20, :30] = 200  # the upper left quarter is light
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.T, 6: upright.T[::-1], 7: upright.T[::-1, ::-1], 8: upright.T[:, ::-1],
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{ending}"
    values = stored.astype(np.uint16) * 257 if mode == "I;16" else stored
    image = Image.fromarray(np.ascontiguousarray(values))
    (image if mode == "I;16" else image.convert(mode)).save(path, exif=exif)
    np.testing.assert_allclose(shown(path), as_colour(upright), atol=60)
    if ending in ("png", "tif"):
        np.testing.assert_array_equal(decode_grey(path), upright.astype(int) * (257 if mode == "I;16" else 1))


def test_orientation_behind_the_pixels_of_a_png(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.png"
    Image.fromarray(WIDE).save(path)
    content = path.read_bytes()
    path.write_bytes(content[:-12] + chunk(b"eXIf", exif.tobytes()[6:]) + content[-12:])
    np.testing.assert_array_equal(shown(path), as_colour(np.rot90(GREY, -1)))
    np.testing.assert_array_equal(decode_grey(path), np.rot90(WIDE, -1))


def test_damaged_exif_data_turn_nothing(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "a.png", exif=b"Exif\0\0no directory of tags at all")
    np.testing.assert_array_equal(shown(tmp_path / "a.png"), COLOUR)


def opaque(mode: str) -> Callable[[Path], object]:
    return lambda path: Image.fromarray(GREY).convert(mode).save(path)


SAME_GREY: dict[str, Callable[[Path], object]] = {
    "alpha.png": opaque("RGBA"),
    "grey_alpha.png": opaque("LA"),
    "palette.png": opaque("P"),
    "palette.gif": opaque("P"),
    "palette_of_opaque_colours.png": lambda path: (
        Image.fromarray(GREY).convert("P").save(path, transparency=bytes([255]) * 256)
    ),
    "unused_transparent_colour.png": lambda path: Image.fromarray(as_colour(GREY)).save(path, transparency=(1, 2, 3)),
    "bmp.BMP": opaque("L"),
    "cmyk.tif": opaque("CMYK"),
    "planes.tif": lambda path: tifffile.imwrite(path, np.stack([GREY] * 3), photometric="rgb", planarconfig="separate"),
    "phone.jpg": lambda path: (
        Image.fromarray(GREY).convert("RGB").save(
            path, "MPO", save_all=True, append_images=[Image.new("RGB", (9, 9))], quality=100
        )
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", SAME_GREY)
def test_modes_become_the_colours_they_show(tmp_path: Path, name: str) -> None:
    SAME_GREY[name](tmp_path / name)
    np.testing.assert_allclose(shown(tmp_path / name), as_colour(GREY), atol=2)


def test_one_bit_is_black_or_white(tmp_path: Path) -> None:
    Image.fromarray(GREY > 100).save(tmp_path / "a.png")
    np.testing.assert_array_equal(shown(tmp_path / "a.png"), as_colour((GREY > 100) * np.uint8(255)))


def frames(path: Path) -> None:
    others = [Image.fromarray(255 - COLOUR)]
    Image.fromarray(COLOUR).save(path, save_all=True, append_images=others)


def half_transparent(mode: str) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        image = Image.fromarray(COLOUR).convert(mode)
        image.putalpha(Image.fromarray(GREY))
        image.save(path)

    return save


UNFAITHFUL: dict[str, tuple[Callable[[Path], object], str]] = {
    "float.tif": (lambda path: tifffile.imwrite(path, GREY / np.float32(255)), "floating point"),
    "float.pfm": (lambda path: path.write_bytes(b"Pf\n2 2\n-1.0\n" + bytes(16)), "floating point"),
    "int32.tif": (lambda path: tifffile.imwrite(path, WIDE.astype(np.int32)), "32-bit integers"),
    "uint32.tif": (lambda path: tifffile.imwrite(path, WIDE.astype(np.uint32)), "32-bit integers"),
    "signed.tif": (lambda path: tifffile.imwrite(path, WIDE.astype(np.int16)), "signed"),
    "pages.tif": (lambda path: tifffile.imwrite(path, np.stack([GREY, GREY]), photometric="minisblack"), "2 pages"),
    "frames.gif": (frames, "2 pages or frames"),
    "frames.webp": (frames, "2 pages or frames"),
    "frames.png": (frames, "2 pages or frames"),
    "frames.avif": (frames, "2 pages or frames"),
    "cut_out.png": (half_transparent("RGB"), "transparent"),
    "cut_out_grey.png": (half_transparent("L"), "transparent"),
    "cut_out.webp": (half_transparent("RGB"), "transparent"),
    "colour_key.png": (lambda path: Image.fromarray(GREY).save(path, transparency=int(GREY[0, 0])), "transparent"),
    "wide_key.png": (lambda path: Image.fromarray(WIDE).save(path, transparency=27), "transparent"),
    "palette_key.gif": (lambda path: Image.fromarray(GREY).convert("P").save(path, transparency=3), "transparent"),
    "text.png": (
        lambda path: path.write_text("hello"),
        r"text.png: cannot be read as an image \(its bytes are of no image format that is read\); replace the file",
    ),
    "empty.jpg": (lambda path: path.touch(), "cannot be read as an image"),
    "drawing.png": (lambda path: path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), "cannot be"),
    "broken_link.png": (lambda path: path.symlink_to("nowhere"), "no such file"),
    "loop.png": (lambda path: path.symlink_to(path), "cannot be read as an image"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNFAITHFUL)
def test_what_cannot_be_read_faithfully_is_refused_by_name(tmp_path: Path, name: str) -> None:
    write, complaint = UNFAITHFUL[name]
    write(tmp_path / name)
    with pytest.raises(UserError, match=complaint) as error:
        decode_image(tmp_path / name)
    assert name in str(error.value) and "\n" not in str(error.value)


# Each place that lists images, given a LOCO category: what it finds in test/good.
def listed_by_manifest(folder: Path) -> set[str]:
    return {record.path for record in scan_category(folder) if record.folder == "test/good"}


def listed_by_evaluation(folder: Path) -> set[str]:
    files = [path for path in folder.rglob("test/*/*") if path.suffix.lower() in endings() and path.name[0] != "."]
    maps = {path.relative_to(folder).as_posix(): np.zeros((8, 8), np.float32) for path in files}
    scores = evaluate_small_maps(folder.parent, folder.name, SmallMaps(maps, "zero")).image_scores
    return {path for path in scores if path.startswith("test/good/")}


def listed_by_official_evaluation(folder: Path) -> set[str]:
    for number, image in enumerate(sorted(folder.rglob("test/*/*"))):
        if image.suffix.lower() in endings() and image.name[0] != ".":
            ending = (".tiff", ".TIF", ".TIFF", ".tif")[number % 4]
            target = folder.parent.with_name("maps") / image.relative_to(folder.parent).with_suffix(ending)
            target.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(target, np.zeros((64, 64), np.float32))
            (target.parent / f"._{target.name}").write_text("left by a Mac")
    found = evaluate_official_maps(folder.parent, folder.name, folder.parent.with_name("maps")).image_scores
    return {path for path in found if path.startswith("test/good/")}


def listed_by_index(folder: Path) -> set[str]:
    write_index(folder, "other", folder.parent / "index")
    return {path for path in PretrainingImages(folder.parent / "index", folder).paths if path.startswith("test/good/")}


LISTERS = (listed_by_manifest, listed_by_evaluation, listed_by_official_evaluation, listed_by_index)
MIXED = (
    "000.png",
    "001.PNG",
    "002.jpg",
    "003.JPEG",
    "004.Tif",
    "005.bmp",
    "006.webp",
    "part 7, left.Jp2",
    'a "b".avif',
)


@pytest.mark.parametrize("lister", LISTERS)
def test_every_format_and_case_is_taken_and_hidden_files_are_skipped(
    tmp_path: Path, lister: Callable[[Path], set[str]]
) -> None:
    folder = loco_category(tmp_path / "data/part", lambda n: MIXED[n % len(MIXED)], good=9, train=9)
    for split in ("train", "train/good", "test/good", "ground_truth", "ground_truth/logical_anomalies"):
        for name in ("._000.png", ".DS_Store", "Thumbs.db", "desktop.ini"):
            (folder / split / name).write_text("hidden")
        for name in (".ipynb_checkpoints", "__MACOSX", "@eaDir"):
            save_as_it_is(folder / split / name / "000.png", COLOUR)
    assert lister(folder) == {f"test/good/{name}" for name in MIXED}


LEFT_OUT: dict[str, tuple[str, str]] = {
    "other file": ("test/good/notes.txt", "notes.txt"),
    "raw image": ("train/good/000.raw", "000.raw"),
    "no ending": ("validation/good/README", "README"),
    "one stem": ("test/good/000.JPG", "000.png"),
    "one stem of masks": ("ground_truth/logical_anomalies/000/000.bmp", "000.png"),
    "sub-folder": ("train/good/line 2/000.png", "line 2"),
    "sub-folder of masks": ("ground_truth/logical_anomalies/000/more/000.png", "more"),
    "third anomaly type": ("test/odd_anomalies/000.png", "odd_anomalies"),
    "image beside the folders": ("test/000.png", "test/000.png"),
    "unknown masks": ("ground_truth/good/000/000.png", "ground_truth/good"),
    "mask beside the folders": ("ground_truth/logical_anomalies/000.png", "000.png: would be left out"),
    "bad training images": ("train/bad/000.png", "train/bad"),
    "second validation split": ("validation/extra/000.png", "validation/extra"),
    "second test split": ("test_private/good/000.png", "test_private"),
    "line break": ("train/good/a\nb.png", "line break"),
    "another line break": ("test/good/a\u2028b.png", "line break"),
    "not UTF-8": (os.fsdecode(b"test/good/caf\xe9.png"), "not UTF-8"),
}


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_a_file_that_would_be_left_out_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    path, named = LEFT_OUT[kind]
    folder = loco_category(tmp_path / "data/part")
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes((folder / "test/good/000.png").read_bytes())
    with pytest.raises(UserError) as error:
        scan_category(folder)
    assert named in str(error.value) and "\n" not in str(error.value)
    str(error.value).encode()


def test_a_folder_that_is_a_link_is_followed(tmp_path: Path) -> None:
    save_as_it_is(tmp_path / "there/000.png", COLOUR)
    (tmp_path / "here").symlink_to("there")
    assert image_files(tmp_path / "here") == [tmp_path / "here/000.png"]


def test_an_unreadable_folder_is_named() -> None:
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        (Path(place) / "n01").mkdir(mode=0)
        try:
            os.seteuid(user or 65534)  # root may read every folder
            with pytest.raises(UserError, match="n01: cannot be read as a folder"):
                image_files(Path(place) / "n01")
        finally:
            os.seteuid(user)
