"""Whatever the environment that a command is called in: the same files to the byte, and no traceback."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest

from dfsc.report.paper import write_paper_tables
from support.prepared import DFSC, Prepared
from support.tracked_grid import GRID, track

SCORING = {"padding": "zero", "precision": "float32"}
# All commands in one process: each environment is imported into once.
RUN = """
import json, sys
from dfsc.cli import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["dfsc", *arguments]
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise
"""
MATPLOTLIBRC = "text.usetex: True\nfont.size: 30\nno.such.key: 3\nbackend: module://matplotlib_inline.backend_inline\n"


LABEL = "DFSC-tiny τ'=0.99"


def commands(prepared: Prepared, results: Path) -> list[list[str]]:
    """Every step from images to figures, writing to the working directory, and a comparison printed of `results`."""
    chosen = ["--dataset", prepared.dataset, "--category", prepared.category]
    model = ["--model", "model.pt", "--settings", json.dumps(SCORING), "--manifest", prepared.manifest()]
    labels = ["--label", "EfficientAD-tiny", "--label", LABEL]
    steps: list[list[object]] = [
        ["manifest", *chosen, "--output", "manifest.csv"],
        [*prepared.train_arguments(Path(), steps=4, dfsc=DFSC), "--progress", "progress.json"],
        ["score", *model, *chosen, "--scores", "scores.csv", "--maps", "maps.npz", "--device", "cpu"],
        ["evaluate", *chosen, "--maps", "maps.npz", "--output", "metrics.json", "--curves", "curves"],
        ["heatmaps", "maps.npz", "--label", LABEL, *chosen, "--output", "heatmaps"],
        [*("novelty", *["model.pt"] * 2, *labels, *chosen), *("--quantiles", "0.9", "--output", "novelty")],
        [
            *("novelty-over-training", *["feature_distances.npz"] * 2, *labels),
            *("--quantiles", "0.9", "--output", "over", "--title", "τ'"),
        ],
        ["compare", results],
    ]
    return [[str(argument) for argument in step] for step in steps]


Run = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark's folder with tables, of two made-up runs."""
    folder = tmp_path_factory.mktemp("results")
    grid = replace(GRID, categories=["coin_tray"], seeds=[0], methods=[GRID.methods[0], GRID.methods[2]])
    assert grid.methods[1].label == LABEL
    for cell in grid.cells():
        track(f"sqlite:///{folder}/mlflow.db", folder, cell.category, cell.method, 0)
    write_paper_tables(f"sqlite:///{folder}/mlflow.db", folder, grid, folder / "tables")
    return folder


@pytest.fixture(scope="module")
def run(prepared: Prepared, results: Path) -> Run:
    """`run_all`, on the prepared data set."""
    return partial(run_all, commands(prepared, results))


def run_all(steps: list[list[str]], folder: Path, changes: dict[str, str | None], umask: int = -1) -> dict[str, str]:
    """Run them in a folder under a changed environment; returns file -> digest. Fails for words beyond the progress."""
    folder.mkdir(exist_ok=True)
    environment = {name: value for name, value in {**os.environ, **changes}.items() if value is not None}
    command = [sys.executable, "-c", RUN, json.dumps(steps)]
    ended = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, umask=umask)
    assert ended.returncode == 0, ended.stderr
    assert not ended.stderr, ended.stderr.decode()
    assert "τ'".encode() in ended.stdout
    # Times and this process's memory stand in these.
    differing = ("training.json", "progress.json", "matplotlibrc")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in differing)
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def expected(run: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the commands leave where nothing is unusual."""
    found = run(tmp_path_factory.mktemp("usual"), {})
    assert {"model.pt", "scores.csv", "maps.npz", "curves.pdf", "heatmaps.png", "over.png"} <= found.keys()
    return found


@pytest.fixture
def latin1(tmp_path: Path) -> dict[str, str | None]:
    """An environment in en_US, ISO-8859-1, as older clusters have it; where it cannot be made, in plain ASCII."""
    made = shutil.which("localedef") and subprocess.run(
        ["localedef", "-i", "en_US", "-f", "ISO-8859-1", tmp_path / "en_US"], capture_output=True, check=False
    )
    if made and (tmp_path / "en_US").exists():
        return {"LOCPATH": str(tmp_path), "LC_ALL": "en_US", "PYTHONUTF8": None}
    return {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_an_older_cluster(run: Run, expected: dict[str, str], latin1: dict[str, str | None], tmp_path: Path) -> None:
    nowhere: dict[str, str | None] = {"HOME": None, "USER": None, "LOGNAME": None, "TMPDIR": "/nonexistent"}
    assert run(tmp_path / "run", {**latin1, **nowhere, "OMP_NUM_THREADS": "3", "TERM": None}) == expected


def test_a_notebook_of_a_user_with_settings(run: Run, expected: dict[str, str], tmp_path: Path) -> None:
    for place in (tmp_path / "run", tmp_path / "home/.config/matplotlib"):
        place.mkdir(parents=True)
        (place / "matplotlibrc").write_text(MATPLOTLIBRC)
    backend: dict[str, str | None] = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    terminal = {"COLUMNS": "20", "NO_COLOR": "1", "TERM": "dumb", "FORCE_COLOR": "1"}
    assert run(tmp_path / "run", {**backend, **terminal, "HOME": str(tmp_path / "home")}) == expected


def test_a_strict_machine(run: Run, expected: dict[str, str], tmp_path: Path) -> None:
    home: dict[str, str | None] = {"HOME": "/proc", "MPLBACKEND": "no such backend", "MPLCONFIGDIR": None}
    found = run(tmp_path / "run", {**home, "PYTHONWARNINGS": "error"}, umask=0o077)
    assert found == expected


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&- <&-", "> /dev/full"])
def test_a_closed_stream_ends_no_training(prepared: Prepared, tmp_path: Path, closed: str) -> None:
    command = f'exec "$@" {closed}'
    arguments = [sys.executable, "-m", "dfsc.cli", *map(str, prepared.train_arguments(tmp_path, steps=2))]
    subprocess.run(["bash", "-c", command, "bash", *arguments], check=closed != "> /dev/full", capture_output=True)
    assert (tmp_path / "training.json").exists()
