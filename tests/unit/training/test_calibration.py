"""What a model file holds beside the network: the validation images' scores, and where the model is from."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dfsc.data.images import load_images
from dfsc.data.layout import images_of, read_manifest, write_manifest
from dfsc.errors import UserError
from dfsc.files import read_json, sha256_of
from dfsc.inference.image_scores import read_scores
from dfsc.model.maps import PADDING_MODES
from dfsc.model.networks import EfficientAD, normalise_images
from dfsc.model.saved import load_tensors, save_tensors
from dfsc.model.trained import ORIGIN, load_model
from dfsc.training.calibration import calibrate
from dfsc.training.feature_distance import read_logged_image
from support.command_line import dfsc
from support.prepared import TRAINING, Prepared


@pytest.fixture(scope="module")
def trained(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model of a few steps."""
    folder = tmp_path_factory.mktemp("trained")
    assert dfsc(*prepared.train_arguments(folder)).code == 0
    return folder


@pytest.mark.parametrize("padding", PADDING_MODES)
def test_validation_scores_are_what_scoring_those_images_gives(
    prepared: Prepared, trained: Path, tmp_path: Path, padding: str
) -> None:
    """Bit for bit: the validation images are scored once more, as if they were to be tested."""
    records = images_of(read_manifest(prepared.manifest()), "validation/good")
    as_test = [replace(record, path=record.path.replace("validation", "test")) for record in records]
    folder = tmp_path / "data" / prepared.category
    (folder / "test").mkdir(parents=True)
    (folder / "test/good").symlink_to(prepared.dataset / prepared.category / "validation/good")
    write_manifest(tmp_path / "manifest.csv", as_test)
    outcome = dfsc(
        *("score", "--model", trained / "model.pt", "--manifest", tmp_path / "manifest.csv", "--device", "cpu"),
        *("--dataset", tmp_path / "data", "--category", prepared.category),
        *("--settings", json.dumps({"padding": padding, "precision": "float32"})),
        *("--scores", tmp_path / "scores.csv", "--maps", tmp_path / "maps.npz"),
    )
    assert outcome.code == 0, outcome.errors
    kept = load_model(trained / "model.pt")
    assert kept.validation_images == [record.path for record in records]
    assert kept.validation_scores[padding].tolist() == list(read_scores(tmp_path / "scores.csv").values())
    assert len(kept.validation_images) == 3 and kept.validation_scores[padding].dtype == torch.float32
    assert read_scores(tmp_path / "scores.csv", "validation") == {
        path.replace("test", "validation"): score for path, score in read_scores(tmp_path / "scores.csv").items()
    }


@pytest.mark.parametrize("everywhere", [0.0, 1.0])
def test_maps_that_are_the_same_everywhere_are_refused(everywhere: float) -> None:
    model = EfficientAD("tiny", 64)
    for weight in model.parameters():
        torch.nn.init.zeros_(weight)
    torch.nn.init.constant_(list(model.student.parameters())[-1], everywhere)  # the last bias: what S gives anywhere
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    with pytest.raises(UserError, match="validation images: the anomaly maps of them are the same everywhere"):
        calibrate(model, images, torch.device("cpu"))
    assert (model.raw_maps(normalise_images(torch.from_numpy(images))) == everywhere).all()


def test_the_feature_distance_is_kept_of_the_first_training_image(prepared: Prepared, trained: Path) -> None:
    first, *_ = images_of(read_manifest(prepared.manifest()), "train/good")
    size = load_model(trained / "model.pt").network.image_size
    (wanted,) = load_images([prepared.dataset / prepared.category / first.path], size)
    np.testing.assert_array_equal(read_logged_image(trained / "feature_distances.npz"), wanted)


def test_the_curve_names_each_loss(trained: Path) -> None:
    header = (trained / "training_curve.csv").read_text().splitlines()[0]
    assert header == "step,hard,penalty,autoencoder,student_autoencoder"


def test_a_model_file_says_where_it_is_from(prepared: Prepared, trained: Path) -> None:
    origin = load_model(trained / "model.pt").origin
    record = read_json(trained / "training.json")
    assert set(origin) == set(ORIGIN)
    assert origin["category"] == prepared.category
    assert json.loads(origin["settings"]) == TRAINING
    assert origin["data_digest"] == sha256_of(prepared.manifest())
    assert origin["teacher_digest"] == sha256_of(prepared.root / "teacher.pt")
    for name in ("fingerprint", "pretraining_images", "teacher"):
        assert origin[name] == record[name]


@pytest.mark.parametrize(
    "change",
    [
        {"validation_scores": None},
        {"validation_scores": {}},
        {"validation_images": []},
        {"validation_images": ["validation/good/000.png"]},
        {"validation_scores": dict.fromkeys(PADDING_MODES, torch.tensor([]))},
        {"validation_scores": dict.fromkeys(PADDING_MODES, torch.tensor([1.0, torch.nan]))},
        {"validation_scores": dict.fromkeys(PADDING_MODES, torch.tensor(1.0))},
        {"origin": {"category": "coin_tray"}},
        {"weights": {}},
        {"image_size": 65},
    ],
    ids=str,
)
def test_a_model_file_that_lacks_something_is_refused(
    prepared: Prepared, trained: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    path = tmp_path / "model.pt"
    save_tensors(path, {**load_tensors(trained / "model.pt", "a model"), **change})
    outcome = dfsc(
        *("score", "--model", path, "--manifest", prepared.manifest(), "--dataset", prepared.dataset),
        *("--category", prepared.category, "--settings", json.dumps({"padding": "zero", "precision": "float32"})),
        *("--scores", tmp_path / "scores.csv", "--maps", tmp_path / "maps.npz"),
    )
    assert outcome.code == 2 and f"{path}: is not a trained model of this version" in outcome.errors
    assert outcome.errors.count("\n") == 1 and not (tmp_path / "scores.csv").exists()
