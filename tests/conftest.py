"""A generated data set, its manifest and a teacher at the smallest size; and a checkout in which all has run."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from support import forks
from support.checkout import Checkout
from support.command_line import dfsc
from support.prepared import GENERATED, TEACHER, Prepared, teacher_files

# How fast a busy machine is, is no matter of a test.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# The environment's commands are found without activating it.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
# In each process that compiles, torch tries for 10 s which vectors the machine has; so, it compiles for any machine.
os.environ["TORCHINDUCTOR_VEC_ISA_OK"] = "0"
forks.commands()  # before pytest-xdist starts its workers, which share them


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A data set of a few images, and a teacher of a few steps."""
    found = Prepared(tmp_path_factory.mktemp("prepared"))
    steps: list[list[object]] = [
        [
            *("synthesize", "--output", found.dataset, "--settings", json.dumps(GENERATED)),
            *("--only", found.category, "--only", "pretraining"),
        ],
        [*("manifest", "--dataset", found.dataset, "--category", found.category), *("--output", found.manifest())],
        [
            *("index", "--folder", found.dataset / "pretraining", "--source", "generated"),
            *("--output", found.root / "index"),
        ],
        [
            *("teacher", "pretrain", "--settings", json.dumps(TEACHER), *found.pretraining),
            *teacher_files(found.root),
            *("--checkpoints", found.root / "checkpoints", "--device", "cpu"),
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
def finished(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A checkout in which the smallest configuration has run, once for all of pytest's workers; to be copied."""
    shared = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        shared = shared.parent  # of pytest-xdist's workers
    with FileLock(shared / "finished.lock"):
        # It stays where it ran: MLflow's store, the copies' too, names its artifacts by that place.
        root, done = shared / "finished", shared / "finished.done"
        if not done.exists():
            run = Checkout.new(root).smallest()
            assert run.returncode == 0, run.stdout
            done.touch()
    return root


@pytest.fixture(scope="session")
def checkout(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of the finished checkout, which a test leaves as it is."""
    copy = shutil.copytree(finished, tmp_path_factory.mktemp("checkout") / "copy", symlinks=True)
    return Checkout(Path(copy), quick=True)


@pytest.fixture(scope="module")
def own_checkout(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of the finished checkout, in which the tests of one file may run and change what they like."""
    return Checkout(Path(shutil.copytree(finished, tmp_path_factory.mktemp("own") / "copy", symlinks=True)), quick=True)
