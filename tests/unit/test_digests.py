"""What a digest covers: the content of what shapes a model, and no more."""

import csv
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torchvision.models import resnet18

from dfsc import provenance
from dfsc.data.layout import read_manifest, write_manifest
from support.checkout import CHECKOUT
from support.command_line import dfsc
from support.prepared import TEACHER, TRAINING, Prepared, teacher_files


def digest(path: Path) -> str:
    """SHA-256 of the file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def edit(path: Path, old: str, new: str) -> None:
    """Replace what must be there."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def one_test_image_has_another_digest(root: Path) -> None:
    records = read_manifest(root / "coin_tray.csv")
    place = [record.path for record in records].index("test/good/001.png")
    records[place] = replace(records[place], sha256=records[place].sha256[::-1])
    write_manifest(root / "coin_tray.csv", records)


def one_number_of_the_teacher_is_another(root: Path) -> None:
    state = torch.load(root / "teacher.pt", weights_only=True)
    state["weights"]["0.weight"][0, 0, 0, 0] += 1e-3
    torch.save(state, root / "teacher.pt")


def one_pretraining_image_has_another_size(root: Path) -> None:
    shutil.copytree(root / "data/pretraining", root / "others")
    largest = max((root / "others").glob("*.png"), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes() + b"\0")
    assert dfsc("index", "--folder", root / "others", "--source", "generated", "--output", root / "index").code == 0


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, to be edited."""
    return Path(shutil.copytree(CHECKOUT / "dfsc", tmp_path / "package/dfsc"))


CHANGES: dict[str, Callable[[Path], None] | None] = {
    "manifest": one_test_image_has_another_digest,
    "teacher": one_number_of_the_teacher_is_another,
    "penalty": one_pretraining_image_has_another_size,
    "code": None,
    "nothing": lambda root: None,
}


@pytest.mark.parametrize("changed", CHANGES)
def test_a_checkpoint_is_of_all_that_shapes_its_weights(
    prepared: Prepared, tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    def kept_checkpoints() -> set[str]:
        """Of a training that stops, since its loss is no number."""
        arguments = copy.train_arguments(tmp_path / "run", learning_rate=1e9, steps=300)
        assert dfsc(*arguments, "--checkpoint-seconds", "0").code == 1
        return {path.name for path in (tmp_path / "run/checkpoints").glob("*.pt")}

    copy = Prepared(Path(shutil.copytree(prepared.root, tmp_path / "copy")))
    before = kept_checkpoints()
    change = CHANGES[changed]
    if change is None:
        edit(package / "model/losses.py", "student.square().mean()", "student.square().sum()")
        monkeypatch.setattr(provenance, "PACKAGE", package)
        forget_code()
    else:
        change(copy.root)
    after = kept_checkpoints()
    forget_code()
    assert len(before) == 1 and before <= after
    assert len(after) == (1 if changed == "nothing" else 2)


def forget_code() -> None:
    """Let the code be read again."""
    for value in vars(provenance).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()


@pytest.mark.parametrize("changed", ["backbone", "images", "code", "nothing"])
def test_a_teachers_checkpoint_too(
    prepared: Prepared, tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    backbone, settings = resnet18(), {**TEACHER, "backbone_weights": "imagenet", "learning_rate": 1e9, "steps": 300}
    copy = Prepared(Path(shutil.copytree(prepared.root, tmp_path / "copy")))

    def kept_checkpoints() -> set[str]:
        """Of a pretraining that stops, since its loss is no number."""
        torch.save(backbone.state_dict(), tmp_path / "backbone.pth")
        outcome = dfsc(
            *("teacher", "pretrain", "--settings", json.dumps(settings), *copy.pretraining),
            *("--backbone-weights", tmp_path / "backbone.pth", *teacher_files(tmp_path)),
            *("--checkpoints", tmp_path / "checkpoints", "--checkpoint-seconds", "0", "--device", "cpu"),
        )
        assert outcome.code == 1, outcome.errors
        return {path.name for path in (tmp_path / "checkpoints").glob("*.pt")}

    before = kept_checkpoints()
    if changed == "backbone":
        with torch.no_grad():
            backbone.layer2[0].conv1.weight[0, 0, 0, 0] += 1e-3
    elif changed == "images":
        one_pretraining_image_has_another_size(copy.root)
    elif changed == "code":
        edit(package / "model/target.py", "POOLED = 1024", "POOLED = 1023")
        monkeypatch.setattr(provenance, "PACKAGE", package)
        forget_code()
    after = kept_checkpoints()
    forget_code()
    assert len(before) == 1 and before <= after
    assert len(after) == (1 if changed == "nothing" else 2)


def test_every_setting_has_a_checkpoint_of_its_own(prepared: Prepared, tmp_path: Path) -> None:
    for seed in (0, 1):
        arguments = prepared.train_arguments(tmp_path, learning_rate=1e9, steps=300, seed=seed)
        assert dfsc(*arguments, "--checkpoint-seconds", "0").code == 1
        assert len(list((tmp_path / "checkpoints").glob("*.pt"))) == seed + 1


@pytest.mark.parametrize(
    ("module", "old", "new", "same"),
    [
        ("training/calibration", "MAP_QUANTILES = (0.9, 0.995)", "MAP_QUANTILES = (0.9, 0.99)", False),
        ("model/networks", "nn.Dropout(0.2)", "nn.Dropout(0.3)", False),
        ("training/randomness", "[seed, ", "[seed + 1, ", False),  # imported by an imported module
        ("training/calibration", "# of the validation maps", "# other words", True),
        ("model/losses", "averages", "takes the mean of", True),  # in a docstring
        ("report/tables", "import", "import sys\nimport", True),  # of no concern to training
    ],
)
def test_the_codes_digest_is_of_what_the_code_does(package: Path, module: str, old: str, new: str, same: bool) -> None:
    def found() -> str:
        command = "from dfsc.provenance import code_digest; print(code_digest('train'))"
        return subprocess.run(
            [sys.executable, "-c", command], cwd=package.parent, capture_output=True, text=True, check=True,
            env={"PYTHONPATH": str(package.parent)},
        ).stdout  # fmt: skip

    before = found()
    edit(package / f"{module}.py", old, new)
    assert (found() == before) is same


def test_records_hold_digests_of_content(prepared: Prepared, tmp_path: Path) -> None:
    with prepared.manifest().open(newline="") as stream:
        *rows, whole = csv.DictReader(stream)
    listed = {row["path"]: (row["sha256"], int(row["bytes"])) for row in rows}
    folder = prepared.dataset / prepared.category
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    assert listed == {p.relative_to(folder).as_posix(): (digest(p), p.stat().st_size) for p in files}
    assert whole["bytes"] == str(len(files))

    assert dfsc(*prepared.train_arguments(tmp_path, steps=1)).code == 0
    made = json.loads((tmp_path / "training.json").read_text())
    assert made["settings"] == {**TRAINING, "steps": 1}
    assert made["data_digest"] == digest(prepared.manifest())
    assert made["teacher_digest"] == digest(prepared.root / "teacher.pt")
    assert made["model_digest"] == digest(tmp_path / "model.pt")
    assert made["penalty_digest"] in (prepared.root / "index").read_text()
    assert made["code"] == provenance.code_digest("train")
    assert json.loads((prepared.root / "teacher.json").read_text())["digest"] == made["teacher_digest"]
