"""A mask is 0 and one value, or refused; defects_config.json is closed; both layouts alike."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dfsc.data.arranging import arrange
from dfsc.data.ground_truth import list_test_images, read_regions
from dfsc.data.layout import read_defects
from dfsc.data.layouts import mvtec_ad
from dfsc.data.manifest import check_counts, scan_category
from dfsc.errors import UserError
from dfsc.inference.evaluate import evaluate_small_maps
from dfsc.inference.maps import SmallMaps
from support.command_line import dfsc
from support.small_sets import HALVES, arrange_mvtec_ad, loco_category, mvtec_ad_category, save_as_it_is, write_defects

SPLIT = '{"validation": 0.5, "test": 0, "seed": 0}'
ARRANGE = ("arrange", "--split", SPLIT, "--layout", "mvtec_ad", "--folder")
SPOT = np.zeros((64, 64), np.uint8)
SPOT[8:14, 44:54] = 255


def antialiased() -> Image.Image:
    return Image.fromarray(SPOT).resize((640, 640)).resize((64, 64), Image.Resampling.LANCZOS, reducing_gap=None)


def softened() -> Image.Image:
    return Image.fromarray(SPOT).resize((63, 63)).resize((64, 64), Image.Resampling.BILINEAR)


def coloured() -> Image.Image:
    return Image.fromarray(np.stack([SPOT, 0 * SPOT, 0 * SPOT], axis=-1))


def half_palette() -> Image.Image:
    image = Image.fromarray(SPOT // 255)
    image.putpalette([0, 0, 0, 128, 0, 0])
    return image


MASKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "softened edges": (lambda path: softened().save(path), "grey values besides 0"),
    "two labels": (lambda path: Image.fromarray(np.where(SPOT[::-1] > 0, 254, SPOT)).save(path), "2 grey values"),
    "JPEG": (lambda path: Image.fromarray(SPOT).save(path.with_suffix(".jpg"), quality=60), "grey values besides 0"),
    "nothing": (lambda path: Image.fromarray(0 * SPOT).save(path), "marks nothing; the image"),
    "colours": (lambda path: coloured().save(path), "holds colours"),
    "a palette of colours": (lambda path: half_palette().save(path), "holds colours"),
    "another size": (lambda path: Image.fromarray(SPOT[1:]).save(path), "64 x 63"),
    "floats": (lambda path: Image.fromarray(SPOT / np.float32(255)).save(path.with_suffix(".tif")), "floating point"),
    "inverted": (lambda path: Image.fromarray(255 - SPOT).save(path), "large_masks"),
}  # fmt: skip
SAME: dict[str, Callable[[Path], object]] = {
    "colours that are grey": lambda path: Image.fromarray(SPOT).convert("RGB").save(path),
    "alpha that is opaque": lambda path: Image.fromarray(SPOT).convert("RGBA").save(path),
    "a grey palette": lambda path: Image.fromarray(SPOT).convert("P").save(path),
    "one bit": lambda path: Image.fromarray(SPOT > 0).save(path),
    "TIFF, upper case": lambda path: Image.fromarray(SPOT).save(path.with_suffix(".TIF")),
}


def put(mask: Path, write: Callable[[Path], object]) -> None:
    mask.unlink()
    write(mask)


@pytest.mark.parametrize("kind", MASKS)
def test_what_is_no_mask_is_refused_in_both_layouts(tmp_path: Path, kind: str) -> None:
    write, complaint = MASKS[kind]
    loco, mvtec_ad = loco_category(tmp_path / "data/part"), mvtec_ad_category(tmp_path / "theirs/part")
    put(loco / "ground_truth/logical_anomalies/001/000.png", write)
    put(mvtec_ad / "ground_truth/spot/001_mask.png", write)
    with pytest.raises(UserError, match=complaint) as error:
        scan_category(loco)
    assert "logical_anomalies/001/000." in str(error.value)
    with pytest.raises(UserError, match=complaint) as error:
        arrange_mvtec_ad(mvtec_ad, tmp_path / "arranged/part")
    assert "spot/001_mask." in str(error.value) and not list((tmp_path / "arranged/part").rglob("*"))


@pytest.mark.parametrize("kind", SAME)
def test_masks_that_show_the_same_are_the_same(tmp_path: Path, kind: str) -> None:
    loco, mvtec_ad = loco_category(tmp_path / "data/part"), mvtec_ad_category(tmp_path / "theirs/part")
    put(loco / "ground_truth/logical_anomalies/001/000.png", SAME[kind])
    put(mvtec_ad / "ground_truth/spot/001_mask.png", SAME[kind])
    arrange_mvtec_ad(mvtec_ad, tmp_path / "arranged/part")
    for folder, name in ((loco, "001.png"), (tmp_path / "arranged/part", "spot_001.png")):
        scan_category(folder)
        (image,) = [image for image in list_test_images(folder) if image.name == name and image.folder != "good"][:1]
        (region,) = read_regions(folder, image, read_defects(folder / "defects_config.json"))
        np.testing.assert_array_equal(region.mask, SPOT > 0)


def test_sixteen_bit_masks_keep_their_values(tmp_path: Path) -> None:
    loco, mvtec_ad = loco_category(tmp_path / "data/part"), mvtec_ad_category(tmp_path / "theirs/part")

    def write(path: Path) -> None:
        Image.fromarray(np.where(SPOT > 0, 300, 0).astype(np.uint16)).save(path)

    put(loco / "ground_truth/logical_anomalies/001/000.png", write)
    with pytest.raises(UserError, match=r"001/000.png: grey value 300 has no entry"):
        scan_category(loco)
    for number in range(2):
        put(mvtec_ad / f"ground_truth/spot/{number:03d}_mask.png", write)
    arrange_mvtec_ad(mvtec_ad, tmp_path / "arranged/part", mask_threshold=299)
    with pytest.raises(UserError, match=r"000_mask.png: marks nothing, as no value reaches the threshold 301"):
        arrange_mvtec_ad(mvtec_ad, tmp_path / "arranged/other", mask_threshold=301)


def test_a_threshold_makes_a_mask_of_grey_values(tmp_path: Path) -> None:
    folder = mvtec_ad_category(tmp_path / "theirs/part")
    grey = np.asarray(softened())
    put(folder / "ground_truth/spot/001_mask.png", lambda path: softened().save(path))
    there = int(np.unique(grey)[-2])  # the second highest: a mask from it on holds more than one from the next on
    for threshold in (128, there, there + 1):
        output = tmp_path / f"arranged/{threshold}"
        outcome = dfsc(*ARRANGE, folder, "--output", output, "--mask-threshold", threshold)
        assert outcome.code == 0, outcome.errors
        mask = np.asarray(Image.open(output / "ground_truth/structural_anomalies/spot_001/000.png"))
        assert 0 < np.count_nonzero(grey >= threshold) < np.count_nonzero(grey)
        np.testing.assert_array_equal(mask > 0, grey >= threshold)


@pytest.mark.parametrize(("of_user", "wanted"), [(None, 200), (128, 128)])
def test_the_users_threshold_goes_before_the_layouts(tmp_path: Path, of_user: int | None, wanted: int) -> None:
    folder = mvtec_ad_category(tmp_path / "theirs/part")
    put(folder / "ground_truth/spot/001_mask.png", lambda path: softened().save(path))
    arrange(replace(mvtec_ad(folder), mask_threshold=200), tmp_path / "arranged", HALVES, of_user)
    mask = np.asarray(Image.open(tmp_path / "arranged/ground_truth/structural_anomalies/spot_001/000.png"))
    grey = np.asarray(softened())
    np.testing.assert_array_equal(mask > 0, grey >= wanted)
    assert np.count_nonzero(grey >= 128) > np.count_nonzero(grey >= 200) > 0


def test_half_of_an_image_may_be_marked_and_no_more(tmp_path: Path) -> None:
    folder, mask = loco_category(tmp_path / "data/part"), np.zeros((64, 64), np.uint8)
    mask[:32] = 255
    save_as_it_is(folder / "ground_truth/logical_anomalies/001/000.png", mask)
    scan_category(folder)
    mask[32, 0] = 255
    save_as_it_is(folder / "ground_truth/logical_anomalies/001/000.png", mask)
    with pytest.raises(UserError, match=r"001/000\.png: marks 50% of the image"):
        scan_category(folder)


def test_large_masks_are_accepted_where_that_is_said(tmp_path: Path) -> None:
    loco, mvtec_ad = loco_category(tmp_path / "data/part"), mvtec_ad_category(tmp_path / "theirs/part")
    put(loco / "ground_truth/logical_anomalies/001/000.png", lambda path: Image.fromarray(255 - SPOT).save(path))
    put(mvtec_ad / "ground_truth/spot/001_mask.png", lambda path: Image.fromarray(255 - SPOT).save(path))
    outcome = dfsc(*ARRANGE, mvtec_ad, "--output", tmp_path / "arranged/part", "--large-masks")
    assert outcome.code == 0, outcome.errors
    for folder in (loco, tmp_path / "arranged/part"):
        place = ("--dataset", folder.parent, "--category", "part", "--output", tmp_path / "manifest.csv")
        assert "large_masks" in dfsc("manifest", *place).errors
        assert dfsc("manifest", *place, "--large-masks").code == 0


def test_images_of_another_orientation_than_their_masks_are_refused(tmp_path: Path) -> None:
    """A photograph stored on its side with a mask drawn upright fits; with a mask drawn as stored it does not."""
    exif = Image.Exif()
    exif[0x0112] = 6

    def save(path: Path, pixels: np.ndarray) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(np.rot90(pixels[:50]))).save(path, exif=exif)

    folder = mvtec_ad_category(tmp_path / "theirs/part", save=save)
    masks = sorted((folder / "ground_truth/spot").iterdir())
    for mask in masks:
        save_as_it_is(mask, SPOT[:50])
    arrange_mvtec_ad(folder, tmp_path / "arranged/part")
    sizes = {(r.width, r.height) for r in scan_category(tmp_path / "arranged/part") if r.width}
    assert sizes == {(64, 50)}
    save_as_it_is(masks[0], np.rot90(SPOT[:50]).copy())
    with pytest.raises(UserError, match=r"000_mask.png: is 50 x 64 pixels, but its image .* is 64 x 50"):
        arrange_mvtec_ad(folder, tmp_path / "arranged/part")


LEFT_OUT = {
    "mask of no image": ("ground_truth/spot/007_mask.png", "007_mask.png"),
    "mask without its ending": ("ground_truth/spot/000.png", "spot/000.png"),
    "masks of no defect": ("ground_truth/dent/000_mask.png", "dent"),
    "masks of good images": ("ground_truth/good/000_mask.png", "ground_truth/good"),
    "image beside the folders": ("test/000.png", "test/000.png"),
    "a validation split": ("validation/good/000.png", "validation"),
    "one stem": ("test/spot/000.bmp", "000.png"),
    "one name after arranging": ("test/spot_0/00.png", "spot_0_00"),
}


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_what_mvtec_ads_layout_would_leave_out_is_refused(tmp_path: Path, kind: str) -> None:
    path, named = LEFT_OUT[kind]
    folder = mvtec_ad_category(tmp_path / "theirs/part")
    if kind == "one name after arranging":
        (folder / "test/spot/000.png").rename(folder / "test/spot/0_00.png")
        (folder / "ground_truth/spot/000_mask.png").rename(folder / "ground_truth/spot/0_00_mask.png")
        save_as_it_is(folder / "ground_truth/spot_0/00_mask.png", SPOT)
    save_as_it_is(folder / path, SPOT)
    with pytest.raises(UserError) as error:
        arrange_mvtec_ad(folder, tmp_path / "arranged/part")
    assert named in str(error.value) and "\n" not in str(error.value)
    assert not list((tmp_path / "arranged/part").rglob("*"))


def test_mvtec_ads_layout_in_any_format(tmp_path: Path) -> None:
    folder = mvtec_ad_category(
        tmp_path / "theirs/part", lambda number: f"im, {number}.{'JPG' if number % 2 else 'tif'}"
    )
    (folder / "test/good/._im, 0.tif").write_text("left by a Mac")
    (folder / "train/good/im, 0.tif").rename(tmp_path / "elsewhere.tif")
    (folder / "train/good/im, 0.tif").symlink_to(Path("../../../../elsewhere.tif"))
    arrange_mvtec_ad(folder, tmp_path / "arranged/deeper/part")
    paths = {record.path for record in scan_category(tmp_path / "arranged/deeper/part")}
    names = {path.removeprefix("train/good/").removeprefix("validation/good/") for path in paths}
    assert {"im, 0.tif", "im, 1.JPG", "test/structural_anomalies/spot_im, 1.JPG"} <= names
    assert sum(path.startswith("test/good/") for path in paths) == 2


ENTRIES: dict[str, tuple[dict[str, object], str]] = {
    "a text for a truth value": ({"relative_saturation": "false"}, 'relative_saturation: is "false"'),
    "a number for a truth value": ({"relative_saturation": 1}, "relative_saturation: is 1"),
    "a share above 1": ({"saturation_threshold": 100}, "saturation_threshold: is 100"),
    "no pixels": ({"saturation_threshold": 0, "relative_saturation": False}, "saturation_threshold: is 0"),
    "negative": ({"saturation_threshold": -3, "relative_saturation": False}, "saturation_threshold: is -3"),
    "truth for a number": ({"saturation_threshold": True}, "saturation_threshold: is true"),
    "a text for a number": ({"saturation_threshold": "1.0"}, "saturation_threshold"),
    "no number": ({"saturation_threshold": float("nan")}, "saturation_threshold"),
    "the normal value": ({"pixel_value": 0}, "pixel_value: is 0"),
    "no grey value of 8 bits": ({"pixel_value": 256}, "pixel_value: is 256"),
    "a fraction": ({"pixel_value": 254.5}, "pixel_value"),
    "a float": ({"pixel_value": 254.0}, "pixel_value"),
    "twice": ({"pixel_value": 255}, "pixel_value 255 is listed twice"),
    "no name": ({"defect_name": ""}, "defect_name"),
    "a name that MLflow refuses": ({"defect_name": "dent (deep)"}, "defect_name"),
    "a number for a name": ({"defect_name": 3}, "defect_name"),
    "an unknown key": ({"saturation_treshold": 3}, "saturation_treshold"),
    "a missing key": ({"relative_saturation": None}, "relative_saturation"),
}


@pytest.mark.parametrize("kind", ENTRIES)
def test_entries_of_defects_config_are_closed(tmp_path: Path, kind: str) -> None:
    changes, complaint = ENTRIES[kind]
    write_defects(tmp_path, **changes)
    with pytest.raises(UserError) as error:
        read_defects(tmp_path / "defects_config.json")
    assert f"{tmp_path / 'defects_config.json'}: entry 1: " in str(error.value) and complaint in str(error.value)


@pytest.mark.parametrize("text", ["{}", "[]", "null", "[3]", "", '[{"defect_name"'])
def test_what_is_no_list_of_entries_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "defects_config.json").write_text(text)
    with pytest.raises(UserError, match=r"defects_config\.json"):
        read_defects(tmp_path / "defects_config.json")


def test_pixels_and_shares_of_saturation(tmp_path: Path) -> None:
    write_defects(tmp_path, saturation_threshold=6400, relative_saturation=False)
    assert [entry.saturation_threshold for entry in read_defects(tmp_path / "defects_config.json").values()] == [
        1,
        6400,
    ]
    assert json.loads((tmp_path / "defects_config.json").read_text())[1]["relative_saturation"] is False


def test_a_type_has_masks_for_all_its_images_or_for_none_and_the_published_ones_for_all(tmp_path: Path) -> None:
    folder, table = loco_category(tmp_path / "data/part"), tmp_path / "published.csv"
    table.write_text("category,width,height,train,validation,good,logical,structural\npart,64,64,3,2,2,2,2\n")
    check_counts(scan_category(folder, part="ground_truth"), "part", table, "ground_truth")
    shutil.rmtree(folder / "ground_truth/logical_anomalies/001")
    with pytest.raises(UserError, match=r"logical_anomalies/001\.png: has no mask; .* other logical_anomalies have"):
        scan_category(folder)
    shutil.rmtree(folder / "ground_truth/logical_anomalies")
    records = scan_category(folder, part="ground_truth")
    assert {record.path.split("/")[1] for record in records if "/" in record.path} == {"structural_anomalies"}
    with pytest.raises(UserError, match=r"ground_truth/logical_anomalies: holds masks of 0 images, but 2 are publ"):
        check_counts(records, "part", table, "ground_truth")


def test_a_list_of_defects_is_read_where_there_is_one(tmp_path: Path) -> None:
    folder = loco_category(tmp_path / "part", anomalous=0)
    assert "defects_config.json" in [record.path for record in scan_category(folder)]
    write_defects(folder, pixel_value=0)
    with pytest.raises(UserError, match=r"defects_config\.json: entry 1: "):
        scan_category(folder)


def test_good_images_alone_need_no_list_of_defects(tmp_path: Path) -> None:
    folder = loco_category(tmp_path / "data/part", anomalous=0)
    (folder / "defects_config.json").unlink()
    paths = [record.path for record in scan_category(folder)]
    assert len(paths) == 7 and all("/good/" in path for path in paths)
    maps = {path: np.full((12, 12), number, np.float32) for number, path in enumerate(paths) if "test/" in path}
    found = evaluate_small_maps(tmp_path / "data", "part", SmallMaps(maps, "zero"))
    assert (
        found.metrics["classification"] == {"auc_roc": {}, "auc_roc_per_defect": {}}
        and found.metrics["localization"]["auc_spro"] == {}
    )
    assert found.image_scores == {path: maps[path].max() for path in maps}
