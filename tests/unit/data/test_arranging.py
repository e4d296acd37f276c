"""Images of other layouts and of one's own, arranged in LOCO's: every file where it belongs, or refused by name."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dfsc.data.arranging import arrange
from dfsc.data.changes import PARTS, arranged_content, is_of
from dfsc.data.ground_truth import list_test_images, read_regions
from dfsc.data.layout import FileRecord, read_defects
from dfsc.data.layouts import LAYOUTS, made_from
from dfsc.data.manifest import scan_category
from dfsc.data.own_images import belongs, list_own_images
from dfsc.errors import UserError
from dfsc.inference.evaluate import evaluate_small_maps
from dfsc.inference.maps import SmallMaps
from dfsc.settings.building import build
from dfsc.settings.own_images import OwnImages, SplitSettings
from support.command_line import dfsc
from support.small_sets import HALVES

SHAPE = (40, 30)
RANDOM = np.random.default_rng(0)
SPLIT = SplitSettings(validation=0.3, test=0.3, seed=0)


def save(path: Path, pixels: np.ndarray | None = None) -> Path:
    """Write an image: without pixels, noise that no other image has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RANDOM.integers(0, 255, (*SHAPE, 3)) if pixels is None else pixels
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def noise(folder: Path, count: int, ending: str = ".png") -> Path:
    """A folder of images."""
    for number in range(count):
        save(folder / f"{number:03d}{ending}")
    return folder


def two_regions(value: int = 255, other: int | None = None) -> np.ndarray:
    """A mask [40, 30] of two regions; the first is two squares that touch at a corner."""
    mask = np.zeros(SHAPE)
    mask[2:4, 2:4] = mask[4:6, 4:6] = value
    mask[20:30, 10:20] = other or value
    return mask


def arranged(layout: str, folder: Path, output: Path) -> list[str]:
    """The paths that the manifest of the arranged category lists."""
    arrange(LAYOUTS[layout](folder), output, HALVES)
    return [record.path for record in scan_category(output)]


def below(paths: list[str], folder: str) -> list[str]:
    """Those in a folder, without its name."""
    return [path.removeprefix(f"{folder}/") for path in paths if path.startswith(f"{folder}/")]


@pytest.fixture
def bottle(tmp_path: Path) -> Path:
    """A category in MVTec AD's layout: two kinds of defect, each mask with two regions."""
    folder = tmp_path / "mvtec_ad/bottle"
    noise(folder / "train/good", 20)
    for path in ("test/good/000", "test/broken/000", "test/stain/000", "test/stain/001"):
        save(folder / f"{path}.png")
    for path in ("broken/000", "stain/000", "stain/001"):
        save(folder / f"ground_truth/{path}_mask.png", two_regions())
    return folder


def test_mvtec_ad_is_accepted_and_evaluated(bottle: Path, tmp_path: Path) -> None:
    output = tmp_path / "data/bottle"
    paths = arranged("mvtec_ad", bottle, output)
    train, validation = below(paths, "train/good"), below(paths, "validation/good")
    assert sorted(train + validation) == [f"{number:03d}.png" for number in range(20)] and train and validation
    assert len(below(paths, "ground_truth")) == 6
    assert "ground_truth/structural_anomalies/stain_001/001.png" in paths
    assert (bottle / "test/stain/001.png").samefile(output / "test/structural_anomalies/stain_001.png")
    names = [entry["defect_name"] for entry in json.loads((output / "defects_config.json").read_text())]
    assert names == ["broken", "stain"]
    defects = read_defects(output / "defects_config.json")
    regions = [(image.name, region) for image in list_test_images(output)
               for region in read_regions(output, image, defects)]  # fmt: skip
    assert [name.partition("_")[0] for name, _ in regions] == [region.defect_name for _, region in regions]
    assert all(region.saturation_area == np.count_nonzero(region.mask) for _, region in regions) and len(regions) == 6

    maps = {path: np.zeros((12, 12), np.float32) for path in paths if path.startswith("test/")}
    for path in maps:
        if "structural" in path:
            maps[path][6:8, 4:6] = 1
    metrics = evaluate_small_maps(output.parent, "bottle", SmallMaps(maps, "zero")).metrics
    assert metrics["classification"]["auc_roc"] == {"structural_anomalies": 1.0, "mean": 1.0}
    areas = metrics["localization"]["auc_spro"]
    assert areas["mean"] == areas["structural_anomalies"] and "logical_anomalies" not in areas
    assert set(metrics["localization"]["auc_spro_per_defect"]["structural_anomalies"]) == {"broken", "stain"}


def mvtec_ad_2_category(folder: Path) -> Path:
    """Write a category in MVTec AD 2's layout."""
    noise(folder / "train/good", 4)
    noise(folder / "validation/good", 3)
    noise(folder / "test_private", 2)
    noise(folder / "test_private_mixed", 2)
    save(folder / "test_public/good/000_regular.png")
    for light in ("regular", "shift_1"):
        save(folder / f"test_public/bad/000_{light}.png")
        save(folder / f"test_public/ground_truth/bad/000_{light}_mask.png", two_regions())
    return folder


def test_mvtec_ad_2_has_its_own_validation_images(tmp_path: Path) -> None:
    folder = mvtec_ad_2_category(tmp_path / "mvtec_ad_2/can")
    paths = arranged("mvtec_ad_2", folder, tmp_path / "can")
    assert [len(below(paths, f"{split}/good")) for split in ("train", "validation", "test")] == [4, 3, 1]
    assert below(paths, "test/untyped_anomalies") == ["bad_000_regular.png", "bad_000_shift_1.png"]
    assert len(below(paths, "ground_truth/untyped_anomalies")) == 4


def visa_category(folder: Path, split: bool) -> Path:
    """Write the category 'candle' in VisA's layout; `split`: the official one, of this and another category, too."""
    noise(folder / "Data/Images/Normal", 20, ".JPG")
    labels = {"000": "melt", "001": "melt,bent", "002": "bent"}
    rows = ["image,label,mask", *(f"candle/Data/Images/Normal/{number:03d}.JPG,normal," for number in range(20))]
    for stem, label in labels.items():
        save(folder / f"Data/Images/Anomaly/{stem}.JPG")
        save(folder / f"Data/Masks/Anomaly/{stem}.png", two_regions(1, 2))
        rows.append(f'candle/Data/Images/Anomaly/{stem}.JPG,"{label}",candle/Data/Masks/Anomaly/{stem}.png')
    (folder / "image_anno.csv").write_text("\n".join(rows))
    if split:
        (folder.parent / "split_csv").mkdir()
        official = [f"candle,test,normal,candle/Data/Images/Normal/{number:03d}.JPG," for number in (3, 5)]
        others = [
            "candle,train,normal,candle/Data/Images/Normal/004.JPG,",
            "candle,test,anomaly,candle/Data/Images/Anomaly/001.JPG,candle/Data/Masks/Anomaly/001.png",
            "fryum,test,normal,fryum/Data/Images/Normal/006.JPG,",
        ]
        (folder.parent / "split_csv/1cls.csv").write_text(
            "\n".join(["object,split,label,image,mask", *others, *official])
        )
    return folder


@pytest.mark.parametrize("split", [True, False], ids=["official split", "no split"])
def test_visa_with_its_labels(tmp_path: Path, split: bool) -> None:
    folder = visa_category(tmp_path / "VisA/candle", split)
    if split:
        paths = arranged("visa", folder, tmp_path / "candle")
        assert below(paths, "test/good") == ["003.JPG", "005.JPG"]
    else:
        arrange(LAYOUTS["visa"](folder), tmp_path / "candle", SPLIT)
        paths = [record.path for record in scan_category(tmp_path / "candle")]
        assert 1 < len(below(paths, "test/good")) < 18
    assert below(paths, "test/untyped_anomalies") == ["bent_002.JPG", "melt and bent_001.JPG", "melt_000.JPG"]
    assert len(below(paths, "ground_truth/untyped_anomalies")) == 6


def edit(file: Path, old: str, new: str) -> None:
    """Replace what is there in a file of text."""
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))


# Of each layout, what is changed, and the parts of the arranged category that change with it.
CHANGES: dict[str, tuple[str, Any, list[str]]] = {
    "a training image": ("mvtec_ad_2", lambda folder: save(folder / "train/good/000.png"), ["training"]),
    "a validation image": ("mvtec_ad_2", lambda folder: save(folder / "validation/good/000.png"), ["training"]),
    "a good image": ("mvtec_ad_2", lambda folder: save(folder / "test_public/good/000_regular.png"), ["test"]),
    "a bad image": ("mvtec_ad_2", lambda folder: save(folder / "test_public/bad/000_regular.png"), ["test"]),
    "a mask": (
        "mvtec_ad_2",
        lambda folder: save(folder / "test_public/ground_truth/bad/000_regular_mask.png", two_regions()[::-1]),
        ["ground_truth"],
    ),
    "a good image of VisA": ("visa", lambda folder: save(folder / "Data/Images/Normal/003.JPG"), ["test"]),
    "a bad image of VisA": ("visa", lambda folder: save(folder / "Data/Images/Anomaly/000.JPG"), ["test"]),
    "a mask of VisA": (
        "visa", lambda folder: save(folder / "Data/Masks/Anomaly/000.png", two_regions(1, 2)[::-1]), ["ground_truth"]
    ),
    "a label of VisA": (
        "visa", lambda folder: edit(folder / "image_anno.csv", '"melt,bent"', '"melt"'), ["test", "ground_truth"]
    ),
    "VisA's split": (
        "visa", lambda folder: edit(folder.parent / "split_csv/1cls.csv", "005.JPG", "008.JPG"), ["training", "test"]
    ),
}  # fmt: skip


@pytest.mark.parametrize("changed", CHANGES)
def test_a_part_that_changes_is_seen_in_what_it_is_made_from(tmp_path: Path, changed: str) -> None:
    layout, change, parts = CHANGES[changed]
    candle, can = tmp_path / "visa/candle", tmp_path / "can"
    folder = visa_category(candle, split=True) if layout == "visa" else mvtec_ad_2_category(can)

    def found() -> tuple[dict[str, list[FileRecord]], dict[str, str]]:
        """What is arranged for each part, and the digest of what the part is made from."""
        arrange(LAYOUTS[layout](folder), tmp_path / "arranged", HALVES)
        records = {part: scan_category(tmp_path / "arranged", part=part) for part in PARTS}
        return records, arranged_content(made_from(layout, folder), tmp_path / "seen.json", keep=True)

    records, digests = found()
    change(folder)
    records_now, digests_now = found()
    assert [part for part in PARTS if records[part] != records_now[part]] == parts
    assert {*parts} <= {part for part in PARTS if digests[part] != digests_now[part]}


def test_btad_has_masks_of_their_images_names(tmp_path: Path) -> None:
    folder = tmp_path / "btad/01"
    noise(folder / "train/ok", 12, ".bmp")
    noise(folder / "test/ok", 2, ".bmp")
    noise(folder / "test/ko", 2, ".bmp")
    for number in range(2):
        save(folder / f"ground_truth/ko/{number:03d}.png", two_regions())
    paths = arranged("btad", folder, tmp_path / "01")
    assert below(paths, "test/untyped_anomalies") == ["ko_000.bmp", "ko_001.bmp"]
    assert below(paths, "test/good") == ["000.bmp", "001.bmp"] and len(below(paths, "ground_truth")) == 4


def own(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    """A category of one's own: good images of two days, two defects without masks; `changes` of its description."""
    described: dict[str, Any] = {
        "good": [str(noise(tmp_path / day, 20, ".jpg")) for day in ("monday", "tuesday")],
        "bad": {
            "missing": {"images": str(noise(tmp_path / "missing", 2, ".jpg")), "type": "logical"},
            "other": {"images": str(noise(tmp_path / "other", 2, ".jpg"))},
        },
    }
    return {**described, **changes}


def paths_of(described: Mapping[str, Any], output: Path, split: SplitSettings = SPLIT) -> list[str]:
    """The manifest's paths of a category of one's own, once arranged."""
    arrange(list_own_images(build(OwnImages, described)), output, split)
    return [record.path for record in scan_category(output)]


def test_ones_own_images_are_split_and_none_is_lost(tmp_path: Path) -> None:
    paths = paths_of(own(tmp_path), tmp_path / "data/part")
    splits = {split: below(paths, f"{split}/good") for split in ("train", "validation", "test")}
    assert sorted(image for images in splits.values() for image in images) == [
        f"{day}_{number:03d}.jpg" for day in ("monday", "tuesday") for number in range(20)
    ]
    assert all(5 < len(images) < 25 for images in splits.values())
    assert below(paths, "test/logical_anomalies") == ["missing_000.jpg", "missing_001.jpg"]
    assert below(paths, "test/untyped_anomalies") == ["other_000.jpg", "other_001.jpg"]
    assert not below(paths, "ground_truth")


def test_an_added_image_moves_no_other_and_a_seed_moves_many(tmp_path: Path) -> None:
    described = own(tmp_path)
    before = paths_of(described, tmp_path / "data/part")
    for number in range(3):
        save(tmp_path / f"monday/new {number}.jpg")
    after = paths_of(described, tmp_path / "data/part")
    assert set(before) < set(after) and len(after) == len(before) + 3
    (tmp_path / "monday/000.jpg").rename(tmp_path / "monday/renamed.jpg")
    renamed = paths_of(described, tmp_path / "data/part")
    assert [path.replace("renamed", "000") for path in renamed if "renamed" in path] == [
        path for path in after if "monday_000" in path
    ]
    other = paths_of(described, tmp_path / "data/part", SplitSettings(SPLIT.validation, SPLIT.test, 1))
    assert len(set(other) - set(renamed)) > 10


def test_a_copy_stays_in_its_images_split(tmp_path: Path) -> None:
    described = own(tmp_path)
    for number in range(20):
        shutil.copy(tmp_path / f"monday/{number:03d}.jpg", tmp_path / f"tuesday/copy of {number:03d}.jpg")
    splits = {Path(path).name: Path(path).parent for path in paths_of(described, tmp_path / "data/part")}
    for number in range(20):
        assert splits[f"tuesday_copy of {number:03d}.jpg"] == splits[f"monday_{number:03d}.jpg"]


def test_good_images_of_another_day_test_alone(tmp_path: Path) -> None:
    described = own(tmp_path, test_good=[str(noise(tmp_path / "friday", 3, ".jpg"))], bad={})
    paths = paths_of(described, tmp_path / "data/part")
    assert below(paths, "test/good") == ["000.jpg", "001.jpg", "002.jpg"]
    assert len(below(paths, "train/good")) + len(below(paths, "validation/good")) == 40
    assert {path.partition("/")[0] for path in paths} == {"train", "validation", "test"}


def test_an_image_that_trains_is_no_good_image_that_tests(tmp_path: Path) -> None:
    described = own(tmp_path, test_good=[str(noise(tmp_path / "friday", 3, ".jpg"))])
    shutil.copy(tmp_path / "monday/003.jpg", tmp_path / "friday/x.jpg")
    with pytest.raises(UserError, match=r"friday/x\.jpg: is the same image as .*003\.jpg; it cannot be good and test_"):
        paths_of(described, tmp_path / "data/part")


def test_masks_of_ones_own(tmp_path: Path) -> None:
    for number in range(2):
        save(tmp_path / f"masks/{number:03d}.png", two_regions(7))
    described = own(tmp_path)
    described["bad"]["missing"]["masks"] = str(tmp_path / "masks")
    paths = paths_of(described, tmp_path / "data/part")
    regions = [f"missing_{number:03d}/{region:03d}.png" for number in range(2) for region in range(2)]
    assert below(paths, "ground_truth/logical_anomalies") == regions
    written = tmp_path / "data/part/ground_truth/logical_anomalies"
    areas = [np.count_nonzero(np.asarray(Image.open(written / name))) for name in regions]
    assert areas == [8, 100] * 2  # corners that touch connect
    maps = {path: np.zeros((12, 12), np.float32) for path in paths if path.startswith("test/")}
    metrics = evaluate_small_maps(tmp_path / "data", "part", SmallMaps(maps, "zero")).metrics
    assert set(metrics["classification"]["auc_roc"]) == {"logical_anomalies", "untyped_anomalies", "mean"}
    assert set(metrics["localization"]["auc_spro"]) == {"logical_anomalies", "mean"}, "without masks, not measured"


def test_a_part_is_written_alone(tmp_path: Path) -> None:
    described, output = own(tmp_path), tmp_path / "data/part"
    for number in range(2):
        save(tmp_path / f"masks/{number:03d}.png", two_regions(7))
    described["bad"]["missing"]["masks"] = str(tmp_path / "masks")
    whole = paths_of(described, tmp_path / "data/whole")
    listing = list_own_images(build(OwnImages, described))
    for part in PARTS:
        arrange(listing, output, SPLIT, part=part)
    assert [record.path for part in PARTS for record in scan_category(output, part=part)] == [
        path for part in PARTS for path in whole if is_of(part, path)
    ]
    times = {path: path.stat().st_ctime_ns for path in output.iterdir()}
    del described["bad"]["missing"]["masks"]
    arrange(list_own_images(build(OwnImages, described)), output, SPLIT, part="ground_truth")
    assert [path.name for path in times if not path.exists()] == ["defects_config.json"]
    assert {path.name for path in output.iterdir() if path.stat().st_ctime_ns != times[path]} == {"ground_truth"}
    assert scan_category(output, part="ground_truth") == []


def test_an_image_of_ones_own_belongs_to_the_part_that_it_is_arranged_in(tmp_path: Path) -> None:
    described = own(tmp_path)
    parsed = build(OwnImages, described)
    arrange(list_own_images(parsed), tmp_path / "data/part", SPLIT)
    placed = {record.path: record.sha256 for record in scan_category(tmp_path / "data/part")}
    for path, digest in placed.items():
        place = "good.0 tests too/monday" if "day_" in path else "bad.other.images untyped/other"
        of = [part for part in ("training", "test") if belongs(parsed, SPLIT, part, place, digest)]
        assert of == (["training", "test"] if place[:3] == "bad" else [p for p in PARTS if is_of(p, path)]), path
    with_friday = build(OwnImages, {**described, "test_good": [str(tmp_path / "friday")]})
    assert all(belongs(with_friday, SPLIT, "training", "good.0 trains/monday", digest) for digest in placed.values())


def copy_of(source: str, target: str) -> Any:
    """Puts one image in two places."""
    return lambda folder: shutil.copy(folder / source, folder / target)


WRONG: dict[str, tuple[Any, str]] = {
    "good and bad": (copy_of("monday/003.jpg", "other/x.jpg"), r"other/x\.jpg: .* good and bad\.other"),
    "two defects": (copy_of("missing/000.jpg", "other/x.jpg"), r"other/x\.jpg: .* bad\.missing and bad\.other"),
    "a forgotten mask": (lambda folder: (folder / "masks/001.png").unlink(), r"masks/001\.png: mask is missing"),
    "a mask too many": (lambda folder: save(folder / "masks/9.png", two_regions()), r"9\.png: is the mask of no image"),
    "several greys": (
        lambda folder: save(folder / "masks/000.png", two_regions(7, 9)),
        r"000\.png: holds 2 grey values",
    ),
    "a folder gone": (lambda folder: shutil.rmtree(folder / "tuesday"), "tuesday: no such folder"),
    "a folder of masks gone": (lambda folder: shutil.rmtree(folder / "masks"), "masks: no such folder of masks"),
    "an empty mask": (
        lambda folder: save(folder / "masks/000.png", np.zeros_like(two_regions())),
        r"masks/000\.png: marks nothing; the image .*000\.jpg has no defect, or its mask is another one",
    ),
    "an empty folder": (
        lambda folder: [file.unlink() for file in folder.glob("tuesday/*")],
        "tuesday: holds no image;",
    ),
    "a folder within": (lambda folder: (folder / "monday/old").mkdir(), "old: is a folder among images"),
    "no image": (lambda folder: (folder / "monday/list.txt").write_text("x"), r"list\.txt: is no image"),
    "too few": (
        lambda folder: [file.unlink() for file in (*folder.glob("*day/01*"), *folder.glob("*day/00*"))],
        "good: gets none of the",
    ),
}


def test_a_folder_that_is_listed_twice_is_named(tmp_path: Path) -> None:
    described = own(tmp_path)
    described["good"] *= 2
    with pytest.raises(UserError, match="monday: is listed twice; remove it once"):
        paths_of(described, tmp_path / "data/part", SPLIT)


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_with_ones_own_images_is_named(tmp_path: Path, kind: str) -> None:
    damage, complaint = WRONG[kind]
    described = own(tmp_path)
    for number in range(2):
        save(tmp_path / f"masks/{number:03d}.png", two_regions())
    described["bad"]["missing"]["masks"] = str(tmp_path / "masks")
    if kind == "too few":
        save(tmp_path / "monday/only.jpg")
        save(tmp_path / "tuesday/only.jpg")
    damage(tmp_path)
    with pytest.raises(UserError, match=complaint) as error:
        paths_of(described, tmp_path / "data/part", SplitSettings(0.001, 0.001, 0) if kind == "too few" else SPLIT)
    assert "\n" not in str(error.value) and not list((tmp_path / "data/part").rglob("*"))


def test_masks_for_a_part_of_a_type_are_refused(tmp_path: Path) -> None:
    described = own(tmp_path)
    for number in range(2):
        save(tmp_path / f"masks/{number:03d}.png", two_regions())
    described["bad"]["missing"] |= {"masks": str(tmp_path / "masks"), "type": "untyped"}
    with pytest.raises(UserError, match=r"other/000\.jpg: some untyped anomalies have masks, others not"):
        paths_of(described, tmp_path / "data/part")


def test_two_folders_of_one_name_need_other_files_names(tmp_path: Path) -> None:
    described = own(tmp_path, good=[str(noise(tmp_path / week / "good", 9)) for week in ("1", "2")])
    with pytest.raises(UserError, match=r"2/good/000\.png: gets the same name as .*1/good/000\.png, good_000\.png"):
        paths_of(described, tmp_path / "data/part")


def test_what_is_asked_for_is_one_thing(bottle: Path, tmp_path: Path) -> None:
    output = ("--output", tmp_path / "data/bottle", "--split", '{"validation": 0.5, "test": 0, "seed": 0}')
    for options in ((), ("--folder", bottle), ("--layout", "btad"), ("--layout", "btad", "--images", "{}")):
        outcome = dfsc("arrange", *output, *options)
        assert outcome.code == 2 and "give --layout with --folder, or --images" in outcome.errors


def test_a_folder_of_ones_own_is_never_replaced(bottle: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not made by dfsc"):
        arranged("mvtec_ad", bottle, bottle)
    arranged("mvtec_ad", bottle, tmp_path / "data/bottle")
    arranged("mvtec_ad", bottle, tmp_path / "data/bottle")  # what it made, it may replace
    assert len(list((bottle / "train/good").iterdir())) == 20
    (tmp_path / "data/bottle/notes").mkdir()
    with pytest.raises(UserError, match="notes: was not made by dfsc"):
        arranged("mvtec_ad", bottle, tmp_path / "data/bottle")


@pytest.mark.parametrize("missing", ["ground_truth/stain/001_mask.png", "train/good", "test/broken"])
def test_what_is_missing_is_named(bottle: Path, tmp_path: Path, missing: str) -> None:
    path = bottle / missing
    path.unlink() if path.is_file() else shutil.rmtree(path)
    if missing == "test/broken":
        shutil.rmtree(bottle / "test/stain")
        missing = "test"
    with pytest.raises(UserError, match=missing):
        arranged("mvtec_ad", bottle, tmp_path / "data/bottle")
    assert not list((tmp_path / "data/bottle").rglob("*"))
