"""A generated data set, its manifests and a teacher, at the smallest size; and the command line, in this process."""

import contextlib
import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from checkout import Checkout
from filelock import FileLock

from dfsc import cli
from dfsc.data.pretraining_images import PretrainingImages

# The environment's commands are found without activating it.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

GENERATED = {"seed": 3, "train": 6, "validation": 3, "test_good": 3, "logical": 3, "structural": 3, "pretraining": 12}
TEACHER = {
    "size": "tiny",
    "image_size": 64,
    "backbone": "resnet18",
    "backbone_weights": "random",
    "steps": 3,
    "batch_size": 2,
    "learning_rate": 1e-3,
    "weight_decay": 1e-5,
    "grey_probability": 0.1,
    "normalisation_images": 4,
    "precision": "float32",
    "seed": 0,
}
DFSC = {
    "quantile": 0.9,
    "margin": 1.0,
    "novel_weight": 1.0,
    "split_unit": "element",
    "distance": "squared",
    "autoencoder_loss_over": "similar",
}
TRAINING = {
    "size": "tiny",
    "image_size": 64,
    "steps": 12,
    "batch_size": 1,
    "learning_rate": 1e-3,
    "weight_decay": 1e-5,
    "learning_rate_drop_after": 0.95,
    "learning_rate_drop_factor": 0.1,
    "hard_quantile": 0.999,
    "jitter": 0.2,
    "penalty_grey_probability": 0.3,
    "precision": "float32",
    "compiled": False,
    "seed": 0,
    "dfsc": None,
}


@dataclass
class Outcome:
    """What a command left: exit code, and its error output."""

    code: int
    errors: str


def dfsc(*arguments: object) -> Outcome:
    """Run the command line in this process."""
    errors = io.StringIO()
    before, sys.argv = sys.argv, ["dfsc", *map(str, arguments)]
    try:
        with contextlib.redirect_stderr(errors):
            cli.main()
        code = 0
    except SystemExit as exit_request:
        code = int(exit_request.code or 0)
    finally:
        sys.argv = before
    return Outcome(code, errors.getvalue())


@dataclass
class Prepared:
    """Where the prepared data set, manifests, index and teacher lie."""

    root: Path
    category: str = "coin_tray"

    @property
    def dataset(self) -> Path:
        """Folder of categories."""
        return self.root / "data"

    def manifest(self) -> Path:
        """The category's manifest."""
        return self.root / f"{self.category}.csv"

    @property
    def pretraining(self) -> tuple[object, ...]:
        """Arguments that name the pretraining images."""
        return ("--pretraining-index", self.root / "index", "--pretraining-folder", self.dataset / "pretraining")

    def pretraining_images(self) -> PretrainingImages:
        """The pretraining images."""
        return PretrainingImages(self.root / "index", self.dataset / "pretraining")

    def train_arguments(self, output: Path, **changes: object) -> list[object]:
        """Arguments of `dfsc train` with some settings changed."""
        return [
            *("train", "--settings", json.dumps({**TRAINING, **changes}), "--dataset", self.dataset),
            *("--category", self.category, "--manifest", self.manifest(), "--teacher", self.root / "teacher.pt"),
            *(*self.pretraining, "--output", output / "model.pt"),
            *("--checkpoints", output / "checkpoints", "--device", "cpu"),
        ]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A data set of a few images, and a teacher of a few steps."""
    found = Prepared(tmp_path_factory.mktemp("prepared"))
    steps: list[list[object]] = [
        ["synthesize", "--output", found.dataset, "--settings", json.dumps(GENERATED)],
        [*("manifest", "--dataset", found.dataset, "--category", found.category), *("--output", found.manifest())],
        [
            *("index", "--folder", found.dataset / "pretraining", "--source", "generated"),
            *("--output", found.root / "index"),
        ],
        [
            *("teacher", "pretrain", "--settings", json.dumps(TEACHER), *found.pretraining),
            *("--output", found.root / "teacher.pt", "--checkpoints", found.root / "checkpoints"),
            *("--device", "cpu"),
        ],
    ]
    for arguments in steps:
        outcome = dfsc(*arguments)
        assert outcome.code == 0, outcome.errors
    return found


@pytest.fixture
def category_copy(prepared: Prepared, tmp_path: Path) -> Callable[[], Path]:
    """A function that copies the prepared category below tmp_path, to be damaged; returns the category's folder."""

    def copy() -> Path:
        return Path(shutil.copytree(prepared.dataset / prepared.category, tmp_path / "data" / prepared.category))

    return copy


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Checkout:
    """A copy of the checkout in which the smallest configuration has run; it ran once, for all of pytest's workers."""
    shared = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        shared = shared.parent  # of pytest-xdist's workers
    with FileLock(shared / "finished.lock"):
        # It stays where it ran: MLflow's store, the copies' too, names its artifacts by that place.
        finished, done = shared / "finished", shared / "finished.done"
        if not done.exists():
            run = Checkout(finished).smallest()
            assert run.returncode == 0, run.stdout
            done.touch()
    copy = Checkout.__new__(Checkout)
    copy.root = Path(shutil.copytree(finished, tmp_path_factory.mktemp("checkout") / "copy", symlinks=True))
    return copy
