"""Public data sets as they are unpacked: which files of a category are what.

Each function lists one layout, below a category's folder, for `dfsc.data.arranging` to arrange in LOCO's.
It raises UserError naming a folder or file that is missing or would be left out.
"""

import csv
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

from dfsc.data.arranging import DefectImages, Listing, masks_of
from dfsc.data.images import image_files, require_folders, visible
from dfsc.data.layout import UNTYPED
from dfsc.errors import UserError
from dfsc.files import reading

MVTEC_MASK = "_mask"  # ends the name of a mask, before its ending
SPLIT_OF_VISA = "../split_csv/1cls.csv"  # beside the categories: which good images train, and which test


def mvtec_ad(folder: Path) -> Listing:
    """MVTec AD (Bergmann et al., CVPR 2019): structural defects only, one mask per image, no validation images.

    train/good/NNN.png  test/{good,<defect>}/NNN.png  ground_truth/<defect>/NNN_mask.png
    """
    require_folders(folder, ("train", "test", "ground_truth"), files=True)
    require_folders(folder / "train", ["good"])
    defects = [entry.name for entry in visible(folder / "test") if entry.name != "good"]
    if not defects:
        raise UserError(f"{folder / 'test'}: holds no folder of defective images")
    require_folders(folder / "ground_truth", defects)
    return Listing(
        good=_good(folder / "train/good"),
        test_good=_good(folder / "test/good"),
        defects=[
            _with_masks(name, folder / "test" / name, folder / "ground_truth" / name, "structural_anomalies")
            for name in defects
        ],
    )


def mvtec_ad_2(folder: Path) -> Listing:
    """MVTec AD 2 (Heckler-Kram et al., 2025): the public test images; `test_private*` have no ground truth.

    train/good  validation/good  test_public/{good,bad}/NNN_<light>.png
                                 test_public/ground_truth/bad/NNN_<light>_mask.png
    """
    public = folder / "test_public"
    require_folders(folder, ("train", "validation", "test_public", "test_private", "test_private_mixed"), files=True)
    for split in ("train", "validation"):
        require_folders(folder / split, ["good"])
    require_folders(public, ("good", "bad", "ground_truth"))
    require_folders(public / "ground_truth", ["bad"])
    return Listing(
        good=_good(folder / "train/good"),
        validation=_good(folder / "validation/good"),
        test_good=_good(public / "good"),
        defects=[_with_masks("bad", public / "bad", public / "ground_truth/bad", UNTYPED)],
    )


def btad(folder: Path) -> Listing:
    """BTAD (Mishra et al., 2021): masks have the name of their image, in any format.

    train/ok  test/{ok,ko}  ground_truth/ko
    """
    require_folders(folder, ("train", "test", "ground_truth"), files=True)
    require_folders(folder / "train", ["ok"])
    require_folders(folder / "test", ("ok", "ko"))
    require_folders(folder / "ground_truth", ["ko"])
    return Listing(
        good=_good(folder / "train/ok"),
        test_good=_good(folder / "test/ok"),
        defects=[_with_masks("ko", folder / "test/ko", folder / "ground_truth/ko", UNTYPED, ending="")],
    )


def visa(folder: Path) -> Listing:
    """VisA (Zou et al., ECCV 2022). In its masks, each grey value above 0 is a kind of defect.

    Data/Images/{Normal,Anomaly}/NNN.JPG  Data/Masks/Anomaly/NNN.png  image_anno.csv: image, label, mask

    The defects of an image are its label, 'bent and melt' where several are named. If there is ../split_csv/1cls.csv,
    it says which good images test.
    """
    images, masks = folder / "Data/Images", folder / "Data/Masks"
    require_folders(folder, ["Data"], files=True)
    require_folders(folder / "Data", ("Images", "Masks"))
    require_folders(images, ("Normal", "Anomaly"))
    require_folders(masks, ["Anomaly"])
    tested = {Path(row["image"]).name for row in _official_split(folder)}
    good, bad = _good(images / "Normal"), _images(images / "Anomaly")
    labels = _labels(folder / "image_anno.csv")
    if unlabelled := [file for file in bad if file.name not in labels]:
        raise UserError(f"{unlabelled[0]}: has no label in {folder / 'image_anno.csv'}; unpack it again")
    found = masks_of(bad, masks / "Anomaly")
    by_label = groupby(sorted(bad, key=lambda file: (labels[file.name], file)), lambda file: labels[file.name])
    return Listing(
        good={name: file for name, file in good.items() if name not in tested},
        test_good={name: file for name, file in good.items() if name in tested},
        defects=[DefectImages(label, UNTYPED, {file: found[file] for file in files}) for label, files in by_label],
        mask_threshold=1,
    )


LAYOUTS: dict[str, Callable[[Path], Listing]] = {
    "mvtec_ad": mvtec_ad, "mvtec_ad_2": mvtec_ad_2, "visa": visa, "btad": btad,
}  # fmt: skip
OF_MVTEC_AD: dict[str, tuple[str, ...]] = {"training": ("train",), "test": ("test",), "ground_truth": ("ground_truth",)}
# What each of `dfsc.data.changes.PARTS` is made from, below a category's folder.
READ: dict[str, dict[str, tuple[str, ...]]] = {
    "mvtec_ad": OF_MVTEC_AD,
    "mvtec_ad_2": {
        "training": ("train", "validation"),
        "test": ("test_public/good", "test_public/bad"),
        "ground_truth": ("test_public/ground_truth",),
    },
    "visa": {
        "training": ("Data/Images/Normal", SPLIT_OF_VISA),
        "test": ("Data/Images/Normal", SPLIT_OF_VISA, "Data/Images/Anomaly", "image_anno.csv"),
        "ground_truth": ("Data/Masks", "image_anno.csv"),
    },
    "btad": OF_MVTEC_AD,
}


def made_from(layout: str, folder: Path) -> dict[str, dict[str, Path]]:
    """Part -> name -> the folders and files of a category that it is made from."""
    return {part: {name: folder / name for name in names} for part, names in READ[layout].items()}


def _good(folder: Path) -> dict[str, Path]:
    return {image.name: image for image in _images(folder)}


def _images(folder: Path) -> list[Path]:
    if folder.is_file():
        raise UserError(f"{folder}: would be left out; {folder.parent} holds only folders")
    images = image_files(folder)
    if not images:
        raise UserError(f"{folder}: holds no image; the metrics need at least one")
    return images


def _with_masks(name: str, images: Path, masks: Path, anomaly_type: str, ending: str = MVTEC_MASK) -> DefectImages:
    return DefectImages(name, anomaly_type, dict(masks_of(_images(images), masks, ending)))


def _labels(path: Path) -> dict[str, str]:
    """Name of an anomalous image -> its defects."""
    with reading(path, "VisA's labels", "unpack it again"):
        rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
        return {
            Path(row["image"]).name: " and ".join(part.strip() for part in row["label"].split(","))
            for row in rows
            if row["label"] != "normal"
        }


def _official_split(folder: Path) -> Iterator[dict[str, str]]:
    path = folder / SPLIT_OF_VISA
    if path.exists():
        with reading(path, "VisA's split", "unpack it again"):
            for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
                if (row["object"], row["split"], row["label"]) == (folder.name, "test", "normal"):
                    yield row
