"""A category against the table of published counts, and what a manifest records of a file."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from dfsc.data.layout import IMAGE_FOLDERS, FileRecord
from dfsc.data.manifest import check_counts, scan_category
from dfsc.errors import UserError
from support.small_sets import loco_category

HEAD = "category,width,height,train,validation,good,logical,structural"
COUNTS = dict(zip(IMAGE_FOLDERS, (3, 2, 4, 5, 6), strict=False))  # folder -> images, each number once
RECORDS = [
    FileRecord(f"{folder}/{number:03}.png", 9, "0" * 64, 80, 60)
    for folder, count in COUNTS.items()
    for number in range(count)
]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The published table, with a category beside."""
    path = tmp_path / "published.csv"
    path.write_text(f"{HEAD}\nscrews,1,1,9,9,9,9,9\nbolts,80,60,3,2,4,5,6\n")
    return path


def refused(records: list[FileRecord], table: Path, category: str = "bolts", **options: str) -> str:
    """What is said of records that differ."""
    with pytest.raises(UserError) as error:
        check_counts(records, category, table, **options)
    return str(error.value)


def test_what_is_published_is_accepted(table: Path) -> None:
    check_counts(RECORDS, "bolts", table)
    check_counts([record for record in RECORDS if record.path.startswith("test/")], "bolts", table, "test")
    check_counts([record for record in RECORDS if not record.path.startswith("test/")], "bolts", table, "training")


@pytest.mark.parametrize("folder", COUNTS)
def test_each_count_is_checked(table: Path, folder: str) -> None:
    fewer = [record for record in RECORDS if record.path != f"{folder}/000.png"]
    count = COUNTS[folder]
    said = f"bolts/{folder}: holds {count - 1} images, but {count} are published; "
    assert refused(fewer, table) == f"{said}fetch it again"
    part = "test" if folder.startswith("test/") else "training"
    of_part = [record for record in fewer if (part == "test") == record.path.startswith("test/")]
    assert refused(of_part, table, part=part, where="data/", advice="buy it") == f"data/{said}buy it"


def test_what_no_column_has_is_not_published(table: Path) -> None:
    more = [*RECORDS, FileRecord("test/untyped_anomalies/000.png", 9, "0" * 64, 80, 60)]
    assert refused(more, table).startswith("bolts/test/untyped_anomalies: holds 1 images, but 0 are published")


@pytest.mark.parametrize("folder", COUNTS)
@pytest.mark.parametrize("size", [(81, 60), (80, 61)])
def test_each_images_size_is_checked(table: Path, folder: str, size: tuple[int, int]) -> None:
    path = f"{folder}/{COUNTS[folder] - 1:03}.png"
    width, height = size
    records = [replace(one, width=width, height=height) if one.path == path else one for one in RECORDS]
    said = f"is {width} x {height} pixels, but 80 x 60 is published; fetch it again"
    assert refused(records, table) == f"bolts/{path}: {said}"


@pytest.mark.parametrize("kind", ["logical_anomalies", "structural_anomalies"])
def test_images_with_masks_are_counted(table: Path, kind: str) -> None:
    counts = {"logical_anomalies": 5, "structural_anomalies": 6}
    masks = [
        FileRecord(f"ground_truth/{folder}/{number:03}/{mask:03}.png", 9, "0" * 64, 80, 60)
        for folder, count in counts.items()
        for number in range(count)
        for mask in range(2)
    ]
    check_counts(masks, "bolts", table, "ground_truth")
    fewer = [mask for mask in masks if not mask.path.startswith(f"ground_truth/{kind}/000/")]
    said = f"ground_truth/{kind}: holds masks of {counts[kind] - 1} images, but {counts[kind]} are published"
    assert refused(fewer, table, part="ground_truth") == f"bolts/{said}; fetch it again"


def test_a_category_or_table_that_is_not_there_is_named(table: Path) -> None:
    assert refused(RECORDS, table, category="nuts") == f"{table}: has no category nuts; it has screws, bolts"
    table.write_text(f"{HEAD}\nbolts,80,60,three,2,4,5,6\n")
    assert f"{table}: cannot be read as a table of published counts" in refused(RECORDS, table)
    table.unlink()
    assert refused(RECORDS, table) == f"{table}: no such file; it should be a table of published counts"


@pytest.mark.parametrize("workers", [1, 3])
def test_a_record_holds_what_the_file_is(tmp_path: Path, workers: int) -> None:
    folder = loco_category(tmp_path / "part")
    told: list[tuple[int, int]] = []
    records = scan_category(folder, lambda *counted: told.append(counted), workers)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert [folder / record.path for record in records] == files
    for record, file in zip(records, files, strict=True):
        content = file.read_bytes()
        size = (0, 0) if file.suffix == ".json" else Image.open(file).size
        assert record == FileRecord(
            file.relative_to(folder).as_posix(), len(content), hashlib.sha256(content).hexdigest(), *size
        )
    images = sum(not record.path.startswith(("ground_truth", "defects")) for record in records)
    assert told == [(done, images) for done in range(1, images + 1)]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_folder_that_no_split_takes_is_named(tmp_path: Path, split: str) -> None:
    folder = loco_category(tmp_path / "part")
    (folder / split / "spare").mkdir()
    for refusing in (None, "test" if split == "test" else "training"):
        with pytest.raises(UserError, match=f"{split}/spare: would be left out"):
            scan_category(folder, part=refusing)
    for part in ["training"] if split == "test" else ["test", "ground_truth"]:
        scan_category(folder, part=part)  # the other may just be written


PARTS = {
    "training": ("train/", "validation/"),
    "test": ("test/",),
    "ground_truth": ("ground_truth/", "defects_config.json"),
}


@pytest.mark.parametrize("part", PARTS)
def test_of_a_part_nothing_else_is_read(tmp_path: Path, part: str) -> None:
    folder = loco_category(tmp_path / "part")
    expected = [record for record in scan_category(folder) if record.path.startswith(PARTS[part])]
    for file in [file for file in folder.rglob("*") if file.is_file()]:
        path = file.relative_to(folder).as_posix()
        # Masks are read beside their images' sizes.
        if not path.startswith(PARTS[part]) and not (part == "ground_truth" and path.startswith("test/")):
            file.write_bytes(b"damaged") if path.startswith("test/") else file.unlink()
    assert scan_category(folder, part=part) == expected and expected
    told: list[tuple[int, int]] = []
    scan_category(folder, lambda *counted: told.append(counted), part=part)
    assert told[-1][1] == sum(
        path.is_file() for name in IMAGE_FOLDERS for path in (folder / name).glob("*")
        if name.startswith(PARTS[part]) or (part == "ground_truth" and name.startswith("test/"))
    )  # fmt: skip
