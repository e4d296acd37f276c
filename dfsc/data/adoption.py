"""Data that were there before: a folder unpacked by hand, checked against a published table and used where it lies."""

import csv
import os
import sys
from pathlib import Path

from dfsc.data.archive import digests_of
from dfsc.data.images import image_files, image_size, is_image_name
from dfsc.data.layout import IMAGE_FOLDERS, FileRecord
from dfsc.data.manifest import check_counts
from dfsc.errors import UserError
from dfsc.files import digest_of, reading, write_json


def adopt(folder: Path, published: Path | None) -> None:
    """Check a folder against its published table, record its digest, and say in a line that it is used as it is.

    `published`: CSV of `category` and what `dfsc.data.manifest.check_counts` reads, or of `folder` and `images`.
    The receipt, `<folder>.adopted.json`, lies beside the folder, or the link to it, since a shared copy is often
    read-only; below data/ where it cannot lie there. With it, the next run checks the table again and reads no file.

    Raises UserError naming the first folder or file that differs from the table, or that there is no table.
    """
    check_published(folder, published)
    receipt = folder.with_name(f"{folder.name}.adopted.json")
    if not os.access(folder.parent, os.W_OK):
        receipt = Path("data", receipt.name)
    if not receipt.exists():
        files = digests_of(folder)
        made = {"folder": str(folder.resolve()), "checked_against": str(published)}
        write_json(receipt, {**made, "sha256": digest_of(files), "files": files})
    print(f"dfsc: {folder}: was not fetched, but fits {published}; it is adopted as it is", file=sys.stderr)


def check_published(folder: Path, published: Path | None) -> None:
    """Check a folder against its published table, as `adopt` does, which raises the same; write nothing."""
    if published is None:
        raise UserError(f"{folder}: was not fetched, and no published table is known that it could be checked against")
    with reading(published, "a table of published numbers of images"), published.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
        by_category = "category" in rows[0]
    if by_category:
        _check_categories(folder, [row["category"] for row in rows], published)
    else:
        _check_folders(folder, rows)


def _check_categories(folder: Path, names: list[str], published: Path) -> None:
    """Numbers and sizes of images; of these, only the headers are read. A copy may hold some of the categories."""
    present = [name for name in names if (folder / name).is_dir()]
    if not present:
        raise UserError(f"{folder / names[0]}: no such folder, nor another category of {published}; {_advice(folder)}")
    for name in present:
        category = folder / name
        for needed in ("defects_config.json", "ground_truth"):
            if not (category / needed).exists():
                raise UserError(f"{category / needed}: is missing; {_advice(folder)}")
        files = [file for split in IMAGE_FOLDERS for file in image_files(category / split)]
        records = [FileRecord(file.relative_to(category).as_posix(), 0, "", *image_size(file)) for file in files]
        check_counts(records, name, published, where=f"{folder}/", advice=_advice(folder))


def _check_folders(folder: Path, rows: list[dict[str, str]]) -> None:
    for row in rows:
        found = sum(1 for file in (folder / row["folder"]).rglob("[!.]*") if is_image_name(file.name))
        if found != int(row["images"]):
            raise UserError(
                f"{folder / row['folder']}: holds {found} images, but {row['images']} are published; {_advice(folder)}"
            )


def _advice(folder: Path) -> str:
    return f"it is not replaced: move {folder} away to fetch it, or give a whole copy"
