"""Every leaf of the settings acts: changed, it gives another result; left alone, the same bits."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dfsc.data.synthetic import synthesize
from dfsc.files import sha256_of
from dfsc.model.trained import load_model
from dfsc.settings.building import build
from dfsc.settings.scoring import ScoringSettings
from dfsc.settings.synthetic import SyntheticSettings
from dfsc.settings.teacher import TeacherSettings
from dfsc.settings.training import TrainingSettings
from support.command_line import dfsc
from support.leaves import another, leaves, value_at
from support.prepared import DFSC, GENERATED, TEACHER, TRAINING, Prepared, teacher_files

# Steps few in number in which everything happens: the rate drops, the margin acts, some images turn grey.
SETTINGS: dict[type, dict[str, Any]] = {
    TrainingSettings: {
        **TRAINING, "steps": 4, "batch_size": 2, "learning_rate_drop_after": 0.5, "hard_quantile": 0.9,
        "penalty_grey_probability": 1.0, "dfsc": {**DFSC, "margin": 8.0, "novel_weight": 0.5},
        "protocol": {"penalty": True, "checkpoints": 2},
    },
    TeacherSettings: {**TEACHER, "batch_size": 4, "grey_probability": 1.0},
    ScoringSettings: {"padding": "zero", "precision": "float32", "calibration_images": None, "best_on_test": False},
    SyntheticSettings: dict.fromkeys(GENERATED, 1),
}  # fmt: skip
# A model of which an earlier checkpoint is better than the last, by chance.
SCORED = {
    **SETTINGS[TrainingSettings],
    "learning_rate": 1e-2,
    "steps": 8,
    "protocol": {"penalty": True, "checkpoints": 4},
}
ON_CUDA_ALONE = {"precision", "compiled"}  # a CPU computes the same, whatever they are
ELSEWHERE = {
    (TrainingSettings, "size"): "refused beside a teacher of another size",
    (TeacherSettings, "backbone"): "no other name is made by a formula: test_backbone.py",
    (TeacherSettings, "backbone_weights"): "needs a file of weights: test_digests.py, test_second_reading.py",
}
Run = Callable[[Prepared, Path, dict[str, Any]], bytes]


def train(prepared: Prepared, output: Path, settings: dict[str, Any]) -> bytes:
    """The model's weights, as bytes, those of its checkpoints too; the file also says its settings."""
    outcome = dfsc(*prepared.train_arguments(output, **settings))
    assert outcome.code == 0, outcome.errors
    model = load_model(output / "model.pt")
    states = [model.network.state_dict(), *(snapshot.weights for snapshot in model.snapshots)]
    return b"".join(value.numpy().tobytes() for weights in states for value in weights.values())


def pretrain(prepared: Prepared, output: Path, settings: dict[str, Any]) -> bytes:
    """The teacher's bytes."""
    outcome = dfsc(
        *("teacher", "pretrain", "--settings", json.dumps(settings), *prepared.pretraining),
        *(*teacher_files(output), "--checkpoints", output, "--device", "cpu"),
    )
    assert outcome.code == 0, outcome.errors
    return (output / "teacher.pt").read_bytes()


def score(prepared: Prepared, output: Path, settings: dict[str, Any]) -> bytes:
    """The image scores as written, by one model for all settings."""
    model = prepared.root / "scored/model.pt"
    if not model.exists():
        train(prepared, model.parent, SCORED)
    outcome = dfsc(
        *("score", "--model", model, "--settings", json.dumps(settings), "--dataset", prepared.dataset),
        *("--category", prepared.category, "--manifest", prepared.manifest(), "--device", "cpu"),
        *("--scores", output / "scores.csv", "--maps", output / "maps.npz"),
    )
    assert outcome.code == 0, outcome.errors
    with (output / "scores.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 12  # 3 of validation images
    return (output / "scores.csv").read_bytes()


def draw(prepared: Prepared, output: Path, settings: dict[str, Any]) -> bytes:
    """Every file's path and digest."""
    synthesize(output, build(SyntheticSettings, settings))
    files = sorted(path for path in output.rglob("*") if path.is_file())
    return "".join(f"{path.relative_to(output)} {sha256_of(path)}\n" for path in files).encode()


RUNS: dict[type, Run] = {TrainingSettings: train, TeacherSettings: pretrain, ScoringSettings: score,
                         SyntheticSettings: draw}  # fmt: skip


def cases() -> Iterator[Any]:
    """(description, leaf, its hint) of every leaf there is."""
    for kind in RUNS:
        for name, hint in leaves(kind):
            yield pytest.param(kind, name, hint, id=f"{kind.__name__}.{name}")


@pytest.fixture(scope="module")
def unchanged(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> dict[type, bytes]:
    """What each gives with the settings as they are; twice, the same."""
    found = {}
    for kind, run in RUNS.items():
        found[kind], again = (run(prepared, tmp_path_factory.mktemp(kind.__name__), SETTINGS[kind]) for _ in range(2))
        assert found[kind] == again, kind
    return found


@pytest.mark.parametrize(("kind", "name", "hint"), list(cases()))
def test_every_leaf_acts(
    prepared: Prepared, unchanged: dict[type, bytes], tmp_path: Path, kind: type, name: str, hint: Any
) -> None:
    changed = another(SETTINGS[kind], name, hint, lambda values: build(kind, values))
    if (kind, name) in ELSEWHERE:
        pytest.skip(ELSEWHERE[kind, name])
    same = RUNS[kind](prepared, tmp_path, changed) == unchanged[kind]
    assert same == (name in ON_CUDA_ALONE), f"{value_at(SETTINGS[kind], name)} -> {value_at(changed, name)}"


def test_the_baseline_has_what_is_not_dfscs(prepared: Prepared, tmp_path: Path, unchanged: dict[type, bytes]) -> None:
    baseline = {**SETTINGS[TrainingSettings], "dfsc": None}
    found = {train(prepared, tmp_path / str(steps), {**baseline, "steps": steps}) for steps in (4, 5)}
    assert len({*found, unchanged[TrainingSettings]}) == 3


def test_a_model_of_another_size_than_its_teacher_is_refused(prepared: Prepared, tmp_path: Path) -> None:
    outcome = dfsc(*prepared.train_arguments(tmp_path, size="S"))
    assert outcome.code == 2 and "size" in outcome.errors
