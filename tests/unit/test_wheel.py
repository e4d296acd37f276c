"""The package installed as a container or a user of pip has it: from a wheel, with no checkout around it."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import dfsc
from support.checkout import CHECKOUT
from support.prepared import Prepared
from support.tracked_grid import GRID, track


@dataclass
class Installed:
    """A folder that pip installed the wheel into."""

    root: Path

    def dfsc(self, cwd: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run the command that pip installed."""
        command = [sys.executable, self.root / "bin/dfsc", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(self.root)}
        return subprocess.run(
            list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )


def pip(cwd: Path, *arguments: object) -> None:
    """Run pip without any index."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    run = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert run.returncode == 0, run.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel of a copy of the sources, installed."""
    sources, target = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("installed")
    shutil.copytree(CHECKOUT / "dfsc", sources / "dfsc", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, sources / name)
    pip(sources, "wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", sources / "wheels", ".")
    (wheel,) = (sources / "wheels").glob("*.whl")
    pip(sources, "install", "--no-index", "--no-deps", "--target", target, wheel)
    return Installed(target)


def test_every_module_is_in_the_wheel(installed: Installed) -> None:
    modules = {str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "dfsc").rglob("*.py")}
    assert modules == {str(path.relative_to(installed.root)) for path in (installed.root / "dfsc").rglob("*.py")}


def test_what_the_page_is_drawn_with_is_in_the_wheel(installed: Installed) -> None:
    folders = [root / "dfsc/report/page" for root in (CHECKOUT, installed.root)]
    ours, theirs = ({str(path.relative_to(folder)) for path in folder.glob("[at]*/*.*")} for folder in folders)
    assert {"templates/index.html", "assets/page.css", "assets/core.js"} <= ours <= theirs


def test_the_wheel_has_the_version_of_the_package(installed: Installed) -> None:
    assert (installed.root / f"dfsc-{dfsc.__version__}.dist-info").is_dir()


def test_help_and_status_outside_of_a_checkout(installed: Installed, tmp_path: Path) -> None:
    run = installed.dfsc(tmp_path, "--help")
    assert run.returncode == 0 and "status" in run.stdout

    run = installed.dfsc(tmp_path, "status")
    assert run.returncode == 2 and run.stderr.startswith("dfsc: ") and run.stderr.count("\n") == 1
    assert "config/config.yaml" in run.stderr


def test_status_in_a_checkout(installed: Installed, tmp_path: Path) -> None:
    shutil.copytree(CHECKOUT / "config", tmp_path / "config")
    run = installed.dfsc(tmp_path, "status")
    assert run.returncode == 0 and "210 waiting" in run.stdout, run.stderr


def test_a_training(installed: Installed, prepared: Prepared, tmp_path: Path) -> None:
    run = installed.dfsc(tmp_path, *prepared.train_arguments(tmp_path, steps=1))
    assert run.returncode == 0, run.stderr
    assert json.loads((tmp_path / "training.json").read_text())["settings"]["steps"] == 1


def test_tables_with_the_results_of_others(
    installed: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    grid = replace(GRID, categories=GRID.categories[:1], methods=GRID.methods[:2], seeds=GRID.seeds[:1])
    grid = replace(grid, headlines=grid.names[1:])
    for cell in grid.cells():
        track(uri, tmp_path / "results", cell.category, cell.method, int(cell.seed))
    arguments = ["tables", "--grid", grid.as_text(), "--uri", uri, "--results", "results"]
    for reference in ([], ["--reference", CHECKOUT / "config/reference_results.csv"]):
        run = installed.dfsc(tmp_path, *arguments, *reference)
        assert run.returncode == 0, run.stderr
        table = (tmp_path / "results/tables/table1_image_auroc.md").read_text()
        assert ("published: EfficientAD paper table 2" in table) == bool(reference)
        assert ("Others' numbers" in table) == bool(reference)
    run = installed.dfsc(tmp_path, *arguments, "--reference", "none.csv")
    assert run.returncode == 2 and "none.csv" in run.stderr and run.stderr.count("\n") == 1
