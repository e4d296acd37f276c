"""Disk: what is computed against the files of a real training, and what is measured of a model that is there."""

from pathlib import Path
from typing import Any

import pytest
import torch

from dfsc.files import write_json
from dfsc.model.maps import PADDING_MODES
from dfsc.model.networks import EfficientAD
from dfsc.model.trained import ORIGIN, TrainedModel, save_model
from dfsc.planning.disk import checkpoint_bytes, filled_by, missing_cells, model_bytes
from dfsc.planning.machine import results_needed
from dfsc.settings.grid import CELL_FILES
from dfsc.settings.leaves import Size
from dfsc.settings.reading import read_configuration
from dfsc.training.checkpoint import Checkpoint
from dfsc.training.loop import LoopOptions, run_steps
from support.checkout import CHECKOUT
from support.command_line import dfsc
from support.learners import learner_of
from support.prepared import Prepared

CELL = Path("results/smallest/coin_tray/efficientad-tiny/seed0")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The smallest configuration, whose results lie in an empty folder."""
    monkeypatch.chdir(CHECKOUT)
    found = read_configuration([Path("tests/smallest.yaml")])
    monkeypatch.chdir(tmp_path)
    return found


def test_the_computed_size_is_that_of_a_real_training(config: dict[str, Any], prepared: Prepared) -> None:
    arguments = prepared.train_arguments(CELL)
    assert dfsc(*arguments).code == 0
    files = {name: (CELL / file).stat().st_size for name, file in CELL_FILES["train"].items()}
    assert files["model"] == pytest.approx(model_bytes("tiny", 64), rel=0.01)
    # It was tracked nowhere, so it is not measured.
    filled = filled_by(config, "tiny")
    assert not filled.measured and filled.results == pytest.approx(sum(files.values()), rel=0.05)
    assert filled.results - model_bytes("tiny", 64) == pytest.approx(files["distances"], rel=0.3)
    assert filled.store == model_bytes("tiny", 64)


@pytest.mark.parametrize(("size", "image_size"), [("S", 256), ("M", 128)])
def test_the_computed_size_is_that_of_a_saved_model(tmp_path: Path, size: Size, image_size: int) -> None:
    scores = dict.fromkeys(PADDING_MODES, torch.zeros(1))
    model = TrainedModel(EfficientAD(size, image_size), ["a.png"], scores, dict.fromkeys(ORIGIN, ""))
    save_model(tmp_path / "model.pt", model)
    assert (tmp_path / "model.pt").stat().st_size == pytest.approx(model_bytes(size, image_size), rel=0.01)


def test_the_computed_checkpoint_is_a_real_one(prepared: Prepared, tmp_path: Path) -> None:
    sizes = []

    class Kept(Checkpoint):
        def save(self, state: dict[str, Any]) -> None:
            super().save(state)
            sizes.append(self.path.stat().st_size)

    run_steps(learner_of(prepared), 2, Kept(tmp_path, "kept"), LoopOptions(checkpoint_seconds=0))
    assert sizes[-1] == pytest.approx(checkpoint_bytes("tiny", 64), rel=0.01)


def test_a_model_that_is_there_is_measured(config: dict[str, Any]) -> None:
    write_json(CELL / "run.json", {"run_id": "a1"})
    for name, size in (("model.pt", 5000), ("heatmaps.png", 700)):
        (CELL / name).write_bytes(bytes(size))
    artifacts = Path("mlartifacts/smallest/a1/artifacts/model")
    artifacts.mkdir(parents=True)
    (artifacts / "model.pt").write_bytes(bytes(5000))
    receipt = (CELL / "run.json").stat().st_size
    assert filled_by(config, "tiny") == (5700 + receipt, 5000, True)
    assert [cell.method for cell in missing_cells(config, "tiny")] == ["dfsc-tiny-q0.9"]
    config["tracking"]["uri"] = "http://127.0.0.1:5000"
    assert filled_by(config, "tiny").store == 0, "a server keeps its own"


def test_what_is_needed_is_of_the_models_that_are_missing(config: dict[str, Any]) -> None:
    """And, of a size that lacks one, of a checkpoint; the tracking store keeps a copy of each model."""
    config["training"] |= {"sizes": ["S", "tiny"], "seeds": [0, 1]}
    results, store = Path("results/smallest"), Path.cwd() / "mlartifacts/smallest"
    missing = {"S": 4, "tiny": 4}
    for method, seeds in {"": (), "efficientad-S": (0,), "efficientad-tiny": (0, 1), "dfsc-tiny-q0.9": (0, 1)}.items():
        for seed in seeds:
            model = results / f"coin_tray/{method}/seed{seed}/model.pt"
            model.parent.mkdir(parents=True)
            model.touch()
            missing["S" if "-S" in method else "tiny"] -= 1
        filled = {size: filled_by(config, size) for size in missing}
        needed = sum(number * filled[size].results for size, number in missing.items())
        needed += sum(checkpoint_bytes(size, 64) for size, number in missing.items() if number)
        assert results_needed(config) == {
            results: needed, store: sum(missing[size] * filled[size].store for size in missing)
        }  # fmt: skip
    assert missing == {"S": 3, "tiny": 0} and filled["S"].store < filled["S"].results
    config["tracking"]["uri"] = "http://127.0.0.1:5000"
    assert results_needed(config) == {results: needed}, "a server keeps its own"
