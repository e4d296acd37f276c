"""What a method sees: the pixels of the images, and nothing that tells which are good."""

import io
import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from dfsc.data.images import decode_image
from dfsc.data.layout import FileRecord
from dfsc.data.manifest import scan_category
from dfsc.errors import UserError
from dfsc.outside.blinding import neutral_names, without_metadata, write_blinded
from support.small_sets import loco_category


def test_images_are_the_same_under_neutral_names(tmp_path: Path) -> None:
    records = scan_category(loco_category(tmp_path / "category"))
    write_blinded(tmp_path / "category", records, tmp_path / "blinded")
    assert sorted(path.name for path in (tmp_path / "blinded").iterdir()) == ["test", "train", "validation"]
    for split, count in (("train", 3), ("validation", 2), ("test", 6)):
        names = neutral_names(records, split)
        files = sorted(path.name for path in (tmp_path / "blinded" / split).iterdir())
        assert files == sorted(names.values()) == [f"{split}_{number:04}.png" for number in range(count)]
        for path, name in names.items():
            seen = decode_image(tmp_path / "blinded" / split / name)
            assert (np.asarray(seen) == np.asarray(decode_image(tmp_path / "category" / path))).all()


def test_a_cheat_by_name_order_time_or_size_gains_nothing(tmp_path: Path) -> None:
    category = loco_category(tmp_path / "category", good=20, anomalous=10)
    for number, file in enumerate(sorted((category / "test").rglob("*.png"))):
        os.utime(file, (number, number))  # good ones are older
        if "good" not in file.parts:  # and smaller; their text says what they are
            with Image.open(file) as image:
                text = PngImagePlugin.PngInfo()
                text.add_text("label", "anomalous" * 99)
                image.save(file, pnginfo=text)
    records = scan_category(category)
    write_blinded(category, records, tmp_path / "blinded")
    names = neutral_names(records, "test")
    files = [tmp_path / "blinded/test" / name for name in names.values()]
    assert len({(file.stat().st_mtime_ns, file.stat().st_atime_ns) for file in files}) == 1
    assert not any(b"anomalous" in file.read_bytes() for file in files)
    # Without the text, sizes are those of the pixels: as they would be had all files been saved alike.
    for path, name in names.items():
        buffer = io.BytesIO()
        decode_image(category / path).save(buffer, "png")
        assert (tmp_path / "blinded/test" / name).stat().st_size == buffer.getbuffer().nbytes
    is_good = ["good" in path for path, _ in sorted(names.items(), key=lambda item: item[1])]
    runs = sum(one != other for one, other in itertools.pairwise(is_good))
    assert 10 <= runs <= 30  # 20 of 39 are expected, 1 if the order told


def test_names_follow_the_content_and_the_shuffle_alone() -> None:
    records = [FileRecord(f"test/{folder}/{n}.png", 1, f"{folder}{n}", 8, 8) for folder in "abc" for n in range(9)]
    renamed = [FileRecord(f"test/x/{r.sha256}.PNG", 2, r.sha256, 8, 8) for r in records]
    first, second = neutral_names(records, "test"), neutral_names(renamed, "test")
    assert [first[r.path] for r in records] == [second[r.path] for r in renamed]
    assert neutral_names(records, "test", shuffle=1) != first
    assert neutral_names(records[::-1], "test") == first


def test_files_of_one_format_have_one_ending() -> None:
    records = [FileRecord(f"test/good/{n}{e}", 1, str(n), 8, 8) for n, e in enumerate((".JPG", ".jpeg", ".tif"))]
    assert sorted(Path(name).suffix for name in neutral_names(records, "test").values()) == [".jpg", ".jpg", ".tiff"]


def saved(image: Image.Image, **options: object) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def with_exif(orientation: int) -> Image.Exif:
    """Camera data that tell too much."""
    exif = Image.Exif()
    exif[0x010E], exif[0x0112], exif[0x0132] = "logical anomaly", orientation, "2020:01:01 00:00:00"
    return exif


@pytest.mark.parametrize("ending", ["png", "jpeg"])
@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_metadata_go_and_pixels_stay(tmp_path: Path, ending: str, orientation: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (9, 14, 3)).astype(np.uint8)
    profile = b"a profile of colours"
    content = saved(
        Image.fromarray(pixels), format=ending, exif=with_exif(orientation), icc_profile=profile, comment="anomaly"
    )
    plain = without_metadata(content)
    assert b"logical" in content and b"logical" not in plain and b"2020" not in plain and b"comment" not in plain
    before, after = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    before.write_bytes(content)
    after.write_bytes(plain)
    assert (np.asarray(decode_image(before)) == np.asarray(decode_image(after))).all()
    with Image.open(after) as image:
        assert image.info["icc_profile"] == profile
        assert dict(image.getexif()) == ({} if orientation == 1 else {0x0112: orientation})


@pytest.mark.parametrize("content", [b"II*\0 a TIFF", b"BM a bitmap"])
def test_other_formats_are_copied(content: bytes) -> None:
    assert without_metadata(content) == content


def test_an_image_that_changed_since_it_was_listed_is_refused(tmp_path: Path) -> None:
    category = loco_category(tmp_path / "category")
    records = scan_category(category)
    file = category / "test/good/001.png"
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(UserError, match=r"test/good/001.png: has changed since it was listed"):
        write_blinded(category, records, tmp_path / "blinded")
