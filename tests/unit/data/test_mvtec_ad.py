"""MVTec AD's layout, arranged in LOCO's: the same images, a region per connected defect, sPRO equal to PRO."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dfsc.data.manifest import scan_category
from dfsc.data.mvtec_ad import arrange
from dfsc.errors import UserError
from dfsc.inference.evaluate import evaluate_small_maps
from dfsc.inference.maps import SmallMaps


def save(path: Path, pixels: np.ndarray) -> None:
    """Write an image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture
def bottle(tmp_path: Path) -> Path:
    """A category in MVTec AD's layout: two kinds of defect, one mask with two regions that touch at no corner."""
    folder = tmp_path / "mvtec_ad/bottle"
    random = np.random.default_rng(0)
    for number in range(20):
        save(folder / f"train/good/{number:03d}.png", random.integers(0, 255, (40, 30, 3)))
    for path in ("test/good/000", "test/broken/000", "test/stain/000", "test/stain/001"):
        save(folder / f"{path}.png", random.integers(0, 255, (40, 30, 3)))
    mask = np.zeros((40, 30))
    mask[2:4, 2:4] = mask[4:6, 4:6] = 255  # one region: they touch at a corner
    mask[20:30, 10:20] = 255
    for path in ("broken/000", "stain/000", "stain/001"):
        save(folder / f"ground_truth/{path}_mask.png", mask)
    return folder


def test_arranged_category_is_accepted_and_evaluated(bottle: Path, tmp_path: Path) -> None:
    arranged = tmp_path / "data/bottle"
    arrange(bottle, arranged)
    records = {record.path: record for record in scan_category(arranged)}
    assert sum(path.startswith("train/good/") for path in records) == 18
    assert sum(path.startswith("validation/good/") for path in records) == 2
    regions = sorted(path for path in records if path.startswith("ground_truth/"))
    assert len(regions) == 6 and "ground_truth/structural_anomalies/stain_001/001.png" in regions
    assert (bottle / "test/stain/001.png").read_bytes() == (
        arranged / "test/structural_anomalies/stain_001.png"
    ).read_bytes()
    names = [entry["defect_name"] for entry in json.loads((arranged / "defects_config.json").read_text())]
    assert names == ["broken", "stain"]

    maps = {path: np.zeros((12, 12), np.float32) for path in records if path.startswith("test/")}
    for path in maps:
        if "structural" in path:
            maps[path][6:8, 4:6] = 1
    metrics = evaluate_small_maps(arranged.parent, "bottle", SmallMaps(maps, "zero")).metrics
    assert metrics["classification"]["auc_roc"] == {"structural_anomalies": 1.0, "mean": 1.0}
    areas = metrics["localization"]["auc_spro"]
    assert areas["mean"] == areas["structural_anomalies"] and "logical_anomalies" not in areas
    assert set(metrics["localization"]["auc_spro_per_defect"]["structural_anomalies"]) == {"broken", "stain"}


def test_a_folder_of_ones_own_is_never_replaced(bottle: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not made by dfsc"):
        arrange(bottle, bottle)
    arrange(bottle, tmp_path / "data/bottle")
    arrange(bottle, tmp_path / "data/bottle")  # what it made, it may replace
    assert len(list((bottle / "train/good").iterdir())) == 20


@pytest.mark.parametrize("missing", ["ground_truth/stain/001_mask.png", "train/good", "test/broken"])
def test_what_is_missing_is_named(bottle: Path, tmp_path: Path, missing: str) -> None:
    path = bottle / missing
    path.unlink() if path.is_file() else shutil.rmtree(path)
    if missing == "test/broken":
        shutil.rmtree(bottle / "test/stain")
        missing = "test"
    with pytest.raises(UserError, match=missing):
        arrange(bottle, tmp_path / "data/bottle")
    assert not (tmp_path / "data/bottle").exists()
