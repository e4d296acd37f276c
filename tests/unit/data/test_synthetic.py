"""The generated data set: layout, reproducibility, masks, and that an interrupted run never looks complete."""

import hashlib
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from dfsc.data.images import decode_grey, decode_image
from dfsc.data.layout import LOCO_TYPES, images_of, read_defects
from dfsc.data.manifest import scan_category
from dfsc.data.synthetic import SCENES, synthesize
from dfsc.data.synthetic.sheet import draw_contact_sheet
from dfsc.errors import UserError
from dfsc.settings.building import build
from dfsc.settings.synthetic import CATEGORIES, SyntheticSettings

SETTINGS = SyntheticSettings(seed=3, train=2, validation=1, test_good=2, logical=8, structural=7, pretraining=17)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthetic") / "data"
    synthesize(root, SETTINGS)
    return root


def digests(root: Path) -> dict[str, str]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_category_of_the_settings_is_drawn() -> None:
    assert tuple(SCENES) == CATEGORIES


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_category_is_scanned_like_a_real_one(generated: Path, category: str) -> None:
    records = scan_category(generated / category)
    counts = {
        "train/good": SETTINGS.train,
        "validation/good": SETTINGS.validation,
        "test/good": SETTINGS.test_good,
        "test/logical_anomalies": SETTINGS.logical,
        "test/structural_anomalies": SETTINGS.structural,
    }
    assert {folder: len(images_of(records, folder)) for folder in counts} == counts
    sizes = {(record.width, record.height) for record in records if record.path.endswith(".png")}
    assert len(sizes) == 1
    width, height = sizes.pop()
    assert width != height


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_defect_occurs_and_every_grey_value_is_listed(generated: Path, category: str) -> None:
    listed = read_defects(generated / category / "defects_config.json")
    values: set[int] = set()
    for mask in (generated / category / "ground_truth").rglob("*.png"):
        values |= set(np.unique(decode_grey(mask)).tolist()) - {0}
    assert values == set(listed)


@pytest.mark.parametrize("category", CATEGORIES)
def test_both_kinds_of_saturation_occur(generated: Path, category: str) -> None:
    defects = read_defects(generated / category / "defects_config.json").values()
    assert {defect.relative_saturation for defect in defects} == {True, False}
    for defect in defects:
        threshold = defect.saturation_threshold
        if defect.relative_saturation:
            assert isinstance(threshold, float) and 0 < threshold <= 1
        else:
            assert isinstance(threshold, int) and threshold > 1


def test_some_images_have_several_masks(generated: Path) -> None:
    truths = [generated / category / "ground_truth" / kind for category in CATEGORIES for kind in LOCO_TYPES]
    assert {len(list(folder.iterdir())) for truth in truths for folder in truth.iterdir()} == {1, 2, 4}


def test_pretraining_crops_are_square_photographs(generated: Path) -> None:
    files = sorted((generated / "pretraining").glob("*.png"))
    assert [file.name for file in files] == [f"{number:05d}.png" for number in range(SETTINGS.pretraining)]
    for file in files:
        width, height = decode_image(file).size
        assert width == height and 128 <= width <= 256


def test_the_same_settings_give_the_same_bytes(generated: Path, tmp_path: Path) -> None:
    synthesize(tmp_path / "again", SETTINGS)
    assert digests(tmp_path / "again") == digests(generated)


def test_larger_counts_only_add_files(generated: Path, tmp_path: Path) -> None:
    fewer = SyntheticSettings(seed=3, train=1, validation=1, test_good=1, logical=1, structural=1, pretraining=1)
    synthesize(tmp_path / "fewer", fewer)
    assert digests(tmp_path / "fewer").items() < digests(generated).items()


def test_no_image_is_drawn_twice(generated: Path) -> None:
    """Validation and test images are others than those that a model is trained on."""
    shown = {path: found for path, found in digests(generated).items() if path.endswith(".png")}
    images = {path: found for path, found in shown.items() if "/ground_truth/" not in path}
    assert {path.split("/")[1] for path in images} >= {"train", "validation", "test"}
    assert len({*images.values()}) == len(images) > 90


def test_another_seed_gives_other_images(generated: Path, tmp_path: Path) -> None:
    synthesize(tmp_path / "other", replace(SETTINGS, seed=4))
    expected, got = digests(generated), digests(tmp_path / "other")
    same = {path for path in expected.keys() & got.keys() if expected[path] == got[path]}
    assert not {path for path in same if "/train/" in path or path.startswith("pretraining/0")}


def test_only_some_parts_are_drawn_and_show_the_same(generated: Path, tmp_path: Path) -> None:
    parts = ["cable_panel", "pretraining"]
    synthesize(tmp_path, SETTINGS, parts)
    expected = {path: digest for path, digest in digests(generated).items() if path.split("/")[0] in parts}
    assert digests(tmp_path) == expected


def test_an_unknown_part_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^pushpins: is not generated; choose from coin_tray, .*, pretraining$"):
        synthesize(tmp_path, SETTINGS, ["coin_tray", "pushpins"])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "coin_tray").mkdir()
    (tmp_path / "coin_tray/note.txt").write_text("mine")
    with pytest.raises(UserError, match="coin_tray: exists and was not made by dfsc"):
        synthesize(tmp_path, SETTINGS)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["coin_tray", "note.txt"]


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize(tmp_path / "data", SETTINGS, progress=stop)
    assert list((tmp_path / "data").iterdir()) == []


def test_an_impossible_count_is_named() -> None:
    with pytest.raises(UserError, match="train"):
        build(SyntheticSettings, {**asdict(SETTINGS), "train": 0})


def test_the_contact_sheet_is_drawn(generated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfsc.data.synthetic.sheet.COLUMNS", 1)  # a palette for all six takes seconds
    draw_contact_sheet(generated, tmp_path / "sheet.png")
    assert len(np.unique(np.asarray(decode_image(tmp_path / "sheet.png")))) > 50
