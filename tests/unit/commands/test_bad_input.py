"""Bad input stops with one line that names the culprit and exit code 2; nothing is written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dfsc.cluster.slurm import check_reachable
from dfsc.errors import UserError
from dfsc.files import sha256_of
from support.command_line import Outcome, dfsc
from support.prepared import DFSC, TEACHER, TRAINING, Prepared, teacher_files


def assert_refused(outcome: Outcome, *named: str) -> None:
    """One line, exit code 2, every name in it."""
    assert outcome.code == 2, outcome.errors
    assert outcome.errors.startswith("dfsc: ") and outcome.errors.count("\n") == 1, outcome.errors
    for name in named:
        assert name in outcome.errors


def scan(folder: Path, tmp_path: Path) -> Outcome:
    """Run `dfsc manifest` on a category's folder; a manifest is written if and only if it succeeds."""
    outcome = dfsc(
        *("manifest", "--dataset", folder.parent, "--category", folder.name, "--output", tmp_path / "manifest.csv")
    )
    assert (tmp_path / "manifest.csv").exists() == (outcome.code == 0)
    assert not list(tmp_path.glob(".*.partial"))
    return outcome


def test_an_intact_category_is_accepted(category_copy: Callable[[], Path], tmp_path: Path) -> None:
    assert scan(category_copy(), tmp_path).code == 0


def test_missing_category(prepared: Prepared, tmp_path: Path) -> None:
    assert_refused(scan(prepared.dataset / "pushpin", tmp_path), "pushpin", "no such category")


def test_truncated_image(category_copy: Callable[[], Path], tmp_path: Path) -> None:
    image = category_copy() / "train/good/002.png"
    image.write_bytes(image.read_bytes()[:2000])
    assert_refused(scan(image.parents[2], tmp_path), str(image))


def test_image_without_mask(category_copy: Callable[[], Path], tmp_path: Path) -> None:
    folder = category_copy()
    shutil.rmtree(folder / "ground_truth/logical_anomalies/001")
    assert_refused(scan(folder, tmp_path), "test/logical_anomalies/001.png", "no mask")


@pytest.mark.parametrize(
    ("values", "complaint"), [((0, 77), "77"), ((0, 1, 2), "2 grey values"), ((0, 0), "marks nothing")]
)
def test_wrong_grey_values(
    category_copy: Callable[[], Path], tmp_path: Path, values: tuple[int, ...], complaint: str
) -> None:
    folder = category_copy()
    mask = next((folder / "ground_truth/structural_anomalies/000").glob("*.png"))
    pixels = np.zeros_like(np.asarray(Image.open(mask)))
    for row, value in enumerate(values):
        pixels[row] = value
    Image.fromarray(pixels).save(mask)
    assert_refused(scan(folder, tmp_path), str(mask), complaint)


def test_mask_of_another_size(category_copy: Callable[[], Path], tmp_path: Path) -> None:
    folder = category_copy()
    mask = next((folder / "ground_truth/structural_anomalies/000").glob("*.png"))
    Image.open(mask).resize((10, 10), Image.Resampling.NEAREST).save(mask)
    assert_refused(scan(folder, tmp_path), str(mask), "10 x 10")


def test_empty_validation_split(category_copy: Callable[[], Path], tmp_path: Path) -> None:
    folder = category_copy()
    for image in (folder / "validation/good").iterdir():
        image.unlink()
    assert_refused(scan(folder, tmp_path), str(folder / "validation/good"))


def test_defects_config_with_a_missing_key(category_copy: Callable[[], Path], tmp_path: Path) -> None:
    config = category_copy() / "defects_config.json"
    entries = json.loads(config.read_text())
    del entries[1]["saturation_threshold"]
    config.write_text(json.dumps(entries))
    assert_refused(scan(config.parent, tmp_path), str(config), "entry 1", "saturation_threshold")


def test_teacher_of_another_architecture(prepared: Prepared, tmp_path: Path) -> None:
    arguments = prepared.train_arguments(tmp_path)
    teacher = arguments.index("--teacher") + 1
    assert_refused(dfsc(*prepared.train_arguments(tmp_path, size="S")), "teacher.pt", "size tiny", "size S")

    arguments[teacher] = tmp_path / "other.pt"
    torch.save({"size": "tiny", "weights": {"0.weight": torch.zeros(3)}}, tmp_path / "other.pt")
    shutil.copy(prepared.root / "teacher.json", tmp_path / "other.json")
    assert_refused(dfsc(*arguments), "other.pt", "do not fit")

    (tmp_path / "other.pt").write_bytes(b"no tensors")
    assert_refused(dfsc(*arguments), "other.pt")
    assert not (tmp_path / "model.pt").exists()


@pytest.mark.parametrize("which", ["teacher", "published teacher", "backbone"])
def test_weights_that_would_run_code_are_refused(prepared: Prepared, tmp_path: Path, which: str) -> None:
    class Malicious:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (Path(tmp_path / "ran"),)

    file = tmp_path / "theirs.pt"
    torch.save({"size": "tiny", "weights": Malicious()}, file)
    shutil.copy(prepared.root / "teacher.json", tmp_path / "theirs.json")
    if which == "teacher":
        arguments = prepared.train_arguments(tmp_path)
        arguments[arguments.index("--teacher") + 1] = file
    elif which == "published teacher":
        written = ("--output", tmp_path / "ours.pt", "--record", tmp_path / "ours.json")
        arguments = ["teacher", "import", file, "--size", "S", "--sha256", sha256_of(file), *written]
    else:
        settings = json.dumps({**TEACHER, "backbone_weights": "imagenet"})
        arguments = ["teacher", "pretrain", "--settings", settings, *prepared.pretraining, *teacher_files(tmp_path)]
        arguments += ["--backbone-weights", file, "--checkpoints", tmp_path, "--device", "cpu"]
    assert_refused(dfsc(*arguments), "theirs.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({**TRAINING, "stepps": 3}, "stepps"),
        ({name: value for name, value in TRAINING.items() if name != "jitter"}, "jitter"),
        ({**TRAINING, "steps": "many"}, "steps"),
        ({**TRAINING, "precision": "float8"}, "float8"),
        ({**TRAINING, "dfsc": {**DFSC, "split_unit": "pixel"}}, "split_unit"),
        ("{", "--settings"),
    ],
)
def test_wrong_settings(prepared: Prepared, tmp_path: Path, settings: object, named: str) -> None:
    arguments = prepared.train_arguments(tmp_path)
    arguments[2] = settings if isinstance(settings, str) else json.dumps(settings)
    assert_refused(dfsc(*arguments), named)


def test_settings_from_a_file(prepared: Prepared, tmp_path: Path) -> None:
    arguments = prepared.train_arguments(tmp_path)
    arguments[2] = tmp_path / "settings.json"
    assert_refused(dfsc(*arguments), "settings.json")
    (tmp_path / "settings.json").write_text(json.dumps({**TRAINING, "steps": 1}))
    assert dfsc(*arguments).code == 0


def test_index_of_an_empty_folder(tmp_path: Path) -> None:
    arguments = ["index", "--source", "other", "--output", tmp_path / "index", "--folder"]
    assert_refused(dfsc(*arguments, tmp_path / "none"), "none")
    (tmp_path / "empty").mkdir()
    assert_refused(dfsc(*arguments, tmp_path / "empty"), "empty")
    assert not (tmp_path / "index").exists()


def test_the_cluster_profile_on_a_machine_without_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match=r"sbatch is not on this machine.*--profile profiles/workstation"):
        check_reachable()
